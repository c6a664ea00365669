//! Decides what becomes of a build that nobody waits for any more: its steps are ended, and podman tidies up after them.
//! Must never hang up before that: podman would build on to the end, and ending podman leaves a step's container running.

use super::Engine;
use super::libpod::{Failure, Lines, Progress};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long podman gets to end builds that are stopped.
const STOPPING: Duration = Duration::from_secs(10);
/// How often a step is looked for: one without a command of its own is followed by one that has one.
const LOOK: Duration = Duration::from_millis(50);

/// The output of builds that nobody waits for.
#[derive(Default)]
pub(super) struct Abandoned(Mutex<Vec<Lines>>);

/// The output of a build; who stops reading it leaves it to the engine.
pub(super) struct Output<'e> {
    lines: Option<Lines>,
    abandoned: &'e Abandoned,
}

impl Abandoned {
    /// A build's output, from its beginning.
    pub(super) fn read(&self, lines: Lines) -> Output<'_> {
        Output {
            lines: Some(lines),
            abandoned: self,
        }
    }

    fn take(&self) -> Vec<Lines> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Output<'_> {
    /// The next line; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Progress>, Failure> {
        let Some(lines) = &mut self.lines else {
            return Ok(None);
        };
        let next = lines.next().await;
        if !matches!(next, Ok(Some(_))) {
            self.lines = None;
        }
        next
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        let mut abandoned = self
            .abandoned
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        abandoned.extend(self.lines.take());
    }
}

impl Engine {
    /// Ends the builds that nobody waits for any more, where the service is ours to tell; waits (bounded) until podman has
    /// tidied up. Another podman only sees rpub hang up: 4.3 then builds on to the end.
    pub async fn stop_builds(&self) {
        let mut abandoned = self.abandoned.take();
        let Some(service) = self.service.as_ref().filter(|_| !abandoned.is_empty()) else {
            return;
        };
        let ends = async {
            for lines in &mut abandoned {
                while let Ok(Some(_)) = lines.next().await {}
            }
        };
        let mut ends = std::pin::pin!(ends);
        let stopping = async {
            loop {
                service.stop_steps();
                if tokio::time::timeout(LOOK, ends.as_mut()).await.is_ok() {
                    break;
                }
            }
        };
        if tokio::time::timeout(STOPPING, stopping).await.is_err() {
            tracing::warn!("podman did not end its builds in time");
        }
    }
}
