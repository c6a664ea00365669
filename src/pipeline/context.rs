//! Decides what all stages share: the configuration, the environment, the channel to `ui`, the wish to stop.
//! Must never hold what belongs to one stage.

use super::plan::Env;
use crate::{
    error::{Error, Result},
    events::{Event, Events, Stage},
    model::{report::StageTime, spec::Spec},
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use crate::registry::Timeouts;

/// What every stage is given.
pub struct Context {
    /// rpub.toml, read.
    pub spec: Spec,
    /// The folder that rpub.toml's paths start from.
    pub folder: PathBuf,
    /// Looks an environment variable up.
    pub env: Arc<Env>,
    /// Where progress is told.
    pub events: Events,
    /// Cancelled when the user asks to stop.
    pub cancel: CancellationToken,
    /// `--url`: podman's socket.
    pub url: Option<String>,
    /// `--authfile`: where credentials are.
    pub authfile: Option<PathBuf>,
    /// How long a request to a registry may stand still.
    pub timeouts: Timeouts,
    /// `--tag`: the one tag to publish under.
    pub tag: Option<String>,
    /// How long each stage took.
    pub clock: Clock,
}

impl Context {
    /// Says that a stage begins.
    pub fn stage(&self, stage: Stage) {
        self.clock.begin(stage.name());
        self.events.send(Event::Stage(stage));
    }

    /// Runs `work` until it is done, or drops it where it stands when the user asks to stop.
    ///
    /// Only for work that leaves nothing visible when it is dropped.
    pub async fn unless_interrupted<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::interrupted()),
            result = work => result,
        }
    }

    /// The absolute form of a path that stands in rpub.toml or in `--to`.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.join(relative)
    }
}

/// Notes when each stage began.
#[derive(Debug, Default)]
pub struct Clock(Mutex<Vec<(&'static str, Instant)>>);

impl Clock {
    fn begin(&self, stage: &'static str) {
        let mut stages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stages.push((stage, Instant::now()));
    }

    /// Each stage's time so far, in order; the last one's runs until now. A stage that came twice counts once.
    pub fn times(&self) -> Vec<StageTime> {
        let stages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = stages.iter().skip(1).map(|(_, begin)| *begin);
        let mut out: Vec<StageTime> = Vec::new();
        for ((name, begin), end) in stages.iter().zip(ends.chain([Instant::now()])) {
            let seconds = end.duration_since(*begin).as_secs_f64();
            match out.iter_mut().find(|time| time.name == *name) {
                Some(time) => time.seconds += seconds,
                None => out.push(StageTime {
                    name: (*name).to_owned(),
                    seconds,
                }),
            }
        }
        out
    }
}
