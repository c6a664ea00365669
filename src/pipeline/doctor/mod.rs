//! Decides in which order a machine, its engine, a project and its registries are looked at, and what is not asked where
//! something before it is broken.
//! Must never change anything, but for what `--fix` was let to; nor wait without end for anybody.

mod engine;
mod machine;
mod process;
mod project;
mod registries;

use super::{context::Context, plan::Env};
use crate::{
    error::Error,
    events::{Event, Events},
    model::{
        doctor::{Diagnosis, Finding, Fixed, Remedy},
        platform::Platform,
    },
    podman::Connect,
};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// How long a socket may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a remedy may take.
const MENDING: Duration = Duration::from_mins(10);

/// What is looked at.
pub struct Asked {
    /// rpub.toml, as it was named.
    pub config: PathBuf,
    /// What it says, or what is wrong with it; none where there is no such file.
    pub project: Option<Result<Context, Error>>,
    /// Platforms that shall be built here.
    pub platforms: Vec<Platform>,
    /// `--url`.
    pub url: Option<String>,
    /// Looks an environment variable up.
    pub env: Arc<Env>,
    /// Where progress is told.
    pub events: Events,
}

impl Asked {
    fn context(&self) -> Option<&Context> {
        self.project.as_ref()?.as_ref().ok()
    }

    fn connect(&self) -> Connect {
        Connect {
            patience: PATIENCE,
            // To look is not to start anything that stays.
            systemctl: None,
            ..Connect::from_env(self.url.clone())
        }
    }
}

/// Looks at everything.
pub async fn diagnose(asked: &Asked) -> Diagnosis {
    let machine = machine::look(asked);
    let mut found = crate::model::doctor::machine::findings(&machine);
    let engine = engine::look(asked, &machine, &mut found).await;
    project::look(asked, &machine, &engine, &mut found);
    if let Some(context) = asked.context() {
        registries::look(context, &asked.config, &mut found).await;
    }
    Diagnosis::new(found)
}

/// Runs a remedy; what it says where it fails.
pub async fn mend(asked: &Asked, finding: &Finding, remedy: &Remedy) -> Fixed {
    asked
        .events
        .send(Event::Note(format!("running: {}", remedy.command)));
    let command = process::shell(&remedy.command);
    Fixed {
        check: finding.check.clone(),
        command: remedy.command.clone(),
        failure: process::run(command, MENDING).await.err(),
    }
}
