//! Decides what becomes of a build that nobody waits for any more: its steps are ended, and podman tidies up after them.
//! Must never hang up before that: podman would build on to the end, and ending podman leaves a step's container running.

use super::Engine;
use super::libpod::{Failure, Lines, Progress};
use super::own_build::OwnBuild;
use super::service::Service;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long podman gets to end builds that are stopped.
const STOPPING: Duration = Duration::from_secs(10);
/// How often a step is looked for: one without a command of its own is followed by one that has one.
const LOOK: Duration = Duration::from_millis(50);

/// A build that runs.
pub(super) enum Running {
    /// In the service: what it answers.
    Called(Lines),
    /// As a process of its own.
    Own(Box<OwnBuild>),
}

/// Builds that nobody waits for.
#[derive(Default)]
pub(super) struct Abandoned(Mutex<Vec<Running>>);

/// The output of a build; who stops reading it leaves it to the engine.
pub(super) struct Output<'e> {
    build: Option<Running>,
    abandoned: &'e Abandoned,
}

impl Running {
    async fn next(&mut self) -> Result<Option<Progress>, Failure> {
        match self {
            Running::Called(lines) => lines.next().await,
            Running::Own(build) => build.next().await,
        }
    }

    fn stop_steps(&self, service: &Service) {
        match self {
            Running::Called(_) => service.stop_steps(),
            Running::Own(build) => build.stop_steps(),
        }
    }
}

impl Abandoned {
    /// A build's output, from its beginning.
    pub(super) fn read(&self, build: Running) -> Output<'_> {
        Output {
            build: Some(build),
            abandoned: self,
        }
    }

    fn take(&self) -> Vec<Running> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Output<'_> {
    /// The next line; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Progress>, Failure> {
        let Some(build) = &mut self.build else {
            return Ok(None);
        };
        let next = build.next().await;
        if !matches!(next, Ok(Some(_))) {
            self.build = None;
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
        abandoned.extend(self.build.take());
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
        let stopping = async {
            while !abandoned.is_empty() {
                for build in &abandoned {
                    build.stop_steps(service);
                }
                let ends = async {
                    while let Some(build) = abandoned.last_mut() {
                        while let Ok(Some(_)) = build.next().await {}
                        abandoned.pop();
                    }
                };
                // Not in time: its next step is looked for.
                let _ = tokio::time::timeout(LOOK, ends).await;
            }
        };
        if tokio::time::timeout(STOPPING, stopping).await.is_err() {
            tracing::warn!("podman did not end its builds in time");
        }
        // What is left is ended now, and waited for.
        let _ = tokio::task::spawn_blocking(move || drop(abandoned)).await;
    }
}
