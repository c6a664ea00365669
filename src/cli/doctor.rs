//! Decides the arguments of `rpub doctor`, and what it asks before it mends anything.
//! Must never run a remedy that nobody agreed to.

use super::{Global, World};
use crate::{
    config,
    error::{Error, Result},
    events::Event,
    model::{doctor::Diagnosis, platform::Platform},
    pipeline::doctor::{self, Asked},
    ui::{self, Answer, YesNo},
};
use std::path::Path;

/// So often it is looked again after remedies: one may bring the next to light.
const ROUNDS: usize = 4;

/// Say what is wrong with this machine, this project and its registries, and the command that mends it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rpub doctor\n  rpub doctor --fix\n  rpub doctor --format json\n\n\
Exit code 0: nothing is broken. Else that of the release that would come of it: 2 rpub.toml or a Containerfile, 6 the\n\
machine or podman, 7 a login or its rights, 4 a registry that cannot be reached; the first of these counts."
)]
pub(super) struct Args {
    /// Run the remedies that need no root and lose nothing, after asking
    #[arg(long, env = "RPUB_FIX", value_parser = super::words::switch)]
    fix: bool,
    /// Of --fix: ask nothing; it wants this where there is no terminal
    #[arg(short, long, env = "RPUB_FIX_YES", value_parser = super::words::switch)]
    yes: bool,
    /// A platform that shall be built here, whatever this machine is; repeatable
    #[arg(
        long,
        value_name = "OS/ARCH",
        value_delimiter = ',',
        env = "RPUB_PLATFORM"
    )]
    platform: Vec<Platform>,
}

impl Args {
    pub(super) async fn run(self, global: Global, world: World) -> Result<Answer> {
        let cancel = world.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::interrupted()),
            answer = self.look(global, world) => answer,
        }
    }

    async fn look(self, global: Global, world: World) -> Result<Answer> {
        let asked = Asked {
            config: global.config.clone(),
            platforms: self.platform.clone(),
            url: global.url.clone(),
            env: world.env.clone(),
            events: world.events.clone(),
            // One that was named must be there; without any there is nothing to look at.
            project: (global.config != Path::new(config::FILE) || global.config.exists())
                .then(|| global.context(world)),
        };
        let mut diagnosis = doctor::diagnose(&asked).await;
        if self.fix {
            diagnosis = self.mend(&asked, diagnosis).await?;
        }
        Ok(Answer::Diagnosed(diagnosis))
    }

    async fn mend(&self, asked: &Asked, mut diagnosis: Diagnosis) -> Result<Diagnosis> {
        let mut fixed = Vec::new();
        for _ in 0..ROUNDS {
            let known = |command: &str| {
                fixed
                    .iter()
                    .any(|fix: &crate::model::doctor::Fixed| fix.command == command)
            };
            let todo = diagnosis.harmless().into_iter();
            let todo: Vec<_> = todo.filter(|(_, remedy)| !known(&remedy.command)).collect();
            if todo.is_empty()
                || !self
                    .agreed(
                        asked,
                        &todo
                            .iter()
                            .map(|(_, r)| r.command.as_str())
                            .collect::<Vec<_>>(),
                    )
                    .await?
            {
                break;
            }
            for (finding, remedy) in todo {
                fixed.push(doctor::mend(asked, finding, remedy).await);
            }
            diagnosis = doctor::diagnose(asked).await;
        }
        diagnosis.fixed = fixed;
        Ok(diagnosis)
    }

    async fn agreed(&self, asked: &Asked, commands: &[&str]) -> Result<bool> {
        if self.yes {
            return Ok(true);
        }
        if !ui::can_ask() {
            let note = "nothing is changed: where nobody can be asked, --fix wants --yes";
            asked.events.send(Event::Note(note.to_owned()));
            return Ok(false);
        }
        let question = format!("Run this?\n  {}\n", commands.join("\n  "));
        let answer = tokio::task::spawn_blocking(move || ui::ask(&question, YesNo(true))).await;
        let answer = answer.ok().flatten().ok_or_else(Error::interrupted)?;
        Ok(answer.0)
    }
}
