//! Decides the arguments of `rpub init`, and what it asks on a terminal.
//! Must never ask for what git, podman or rpub.toml tell.

use super::{Global, World};
use crate::{
    error::{Error, Result},
    model::{
        starter::{Namespace, Starter},
        workflow::Slug,
    },
    pipeline::init::{self, Asked},
    ui::{self, Answer, YesNo},
};

/// Write rpub.toml and the workflow that releases, for the repository in this folder
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An rpub.toml that is there is read and kept. Files that rpub init wrote are written again; others are\n\
refused, but for --force.\n\nExamples:\n  rpub init\n  rpub init --yes --rpub OWNER/NAME"
)]
pub(super) struct Args {
    /// Ask nothing; so it is without a terminal
    #[arg(short, long, env = "RPUB_YES", value_parser = super::words::switch)]
    yes: bool,
    /// Overwrite a workflow or an action that rpub init did not write
    #[arg(long, env = "RPUB_INIT_FORCE", value_parser = super::words::switch)]
    force: bool,
    /// Whose releases of rpub the workflow takes [default: those that this rpub is from]
    #[arg(long, value_name = "OWNER/NAME", env = "RPUB_REPOSITORY")]
    rpub: Option<Slug>,
    /// SHA256SUMS of the release that the workflow takes: a file or an https URL [default: what the action holds, else the
    /// release's own]
    #[arg(long, value_name = "WHERE", env = "RPUB_CHECKSUMS")]
    checksums: Option<String>,
    /// Write rpub.toml alone; --rpub, --checksums and --force mean nothing then
    #[arg(long, env = "RPUB_NO_CI", value_parser = super::words::switch)]
    no_ci: bool,
}

impl Args {
    pub(super) async fn run(self, global: Global, world: World) -> Result<Answer> {
        let asked = Asked {
            config: &global.config,
            authfile: global.authfile,
            env: world.env,
            events: &world.events,
            rpub: self.rpub,
            checksums: self.checksums,
            ci: !self.no_ci,
            grants: global.granted.into(),
        };
        let mut found = tokio::select! {
            found = init::look(asked) => found?,
            () = world.cancel.cancelled() => return Err(Error::interrupted()),
        };
        if let Some(starter) = found.starter.take() {
            let asks = !self.yes && ui::can_ask();
            found.starter = Some(if asks {
                let answers = tokio::task::spawn_blocking(move || questions(starter));
                let answers = tokio::select! {
                    () = world.cancel.cancelled() => None,
                    answers = answers => answers.ok().flatten(),
                };
                answers.ok_or_else(Error::interrupted)?
            } else {
                starter
            });
        }
        Ok(Answer::Started(init::write(&found, self.force)?))
    }
}

/// `None` where the input ends before the last answer.
fn questions(mut starter: Starter) -> Option<Starter> {
    for image in &mut starter.images {
        let mut files: Vec<&str> = image.files.values().map(String::as_str).collect();
        files.dedup();
        let question = format!("Name of the image from {}?", files.join(", "));
        image.name = ui::ask(&question, image.name.clone())?;
    }
    starter.ghcr = registry("ghcr.io", starter.ghcr)?;
    starter.docker_hub = registry("docker.io", starter.docker_hub)?;
    Some(starter)
}

/// Whether images go there, and under which account.
#[allow(clippy::option_option, reason = "outside: whether it was answered")]
fn registry(host: &str, namespace: Option<Namespace>) -> Option<Option<Namespace>> {
    let YesNo(wanted) = ui::ask(&format!("Publish to {host}?"), YesNo(namespace.is_some()))?;
    if !wanted {
        return Some(None);
    }
    let namespace = namespace.unwrap_or_else(Namespace::of_owner);
    ui::ask(&format!("Account on {host}?"), namespace).map(Some)
}
