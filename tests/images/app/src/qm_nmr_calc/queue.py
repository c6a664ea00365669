"""The queue, as qm-nmr-calc has it: SQLite under ./data, relative to the working directory."""

from pathlib import Path

from huey import SqliteHuey

DATA = Path("data")
DATA.mkdir(exist_ok=True)
huey = SqliteHuey("qm-nmr-calc", filename=str(DATA / "huey.db"))


@huey.task()
def energy(smiles: str) -> float:
    """Embeds a molecule and gives its force field's energy: something that only works where RDKit does."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(molecule, randomSeed=7)
    return AllChem.UFFGetMoleculeForceField(molecule).CalcEnergy()
