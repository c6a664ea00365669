//! Decides the arguments of `rpub serve`.
//! Must never serve beyond loopback, or write to the folder.

use super::World;
use crate::{error::Result, pipeline::serve, ui::Answer};
use std::path::PathBuf;

/// Serve a directory store as a registry on loopback, to read from
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rpub serve\n  rpub serve ./rpub-out --port 5001")]
pub(super) struct Args {
    /// The directory store
    #[arg(value_name = "DIR", default_value = crate::config::DEFAULT_STORE)]
    folder: PathBuf,
    /// The port; 5000 where it is free, else another
    #[arg(long, env = "RPUB_PORT")]
    port: Option<u16>,
}

impl Args {
    pub(super) async fn run(self, world: World, answer: impl Fn(&Answer)) -> Result<Answer> {
        let serving = serve::start(&self.folder, self.port, world.events).await?;
        answer(&Answer::Serving(serving.document()));
        world.cancel.cancelled().await;
        serving.stop().await;
        Ok(Answer::Nothing)
    }
}
