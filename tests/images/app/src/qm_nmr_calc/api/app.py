"""The API's two questions about itself, with qm-nmr-calc's answers."""

import os
from pathlib import Path

from fastapi import FastAPI, Response

from qm_nmr_calc.queue import DATA, huey

app = FastAPI()


@app.get("/health")
def alive() -> dict[str, str]:
    return {"status": "alive"}


@app.get("/health/ready")
def ready(response: Response) -> dict[str, str]:
    try:
        if not os.access(DATA, os.W_OK):
            raise OSError(f"{Path(DATA).resolve()} cannot be written")
        huey.pending_count()
    except Exception as error:  # whatever it is, we are not ready
        response.status_code = 503
        return {"status": "not ready", "why": str(error)}
    return {"status": "ready"}
