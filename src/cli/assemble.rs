//! Decides the arguments of `rpub assemble`.
//! Must never build.

use crate::{
    error::Result,
    pipeline::{
        context::Context,
        release::{self, Options, Source},
    },
    ui::Answer,
};
use std::path::PathBuf;

/// Make manifest lists of digest records, and tag them on every registry
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rpub assemble v1.2.3 --digests digests")]
pub(super) struct Args {
    /// A version, branch, tag or full ref [default: $GITHUB_REF, else what is checked out]
    #[arg(value_name = "REF")]
    git_ref: Option<String>,
    /// The folder with the digest records that `rpub push` wrote on every machine
    #[arg(
        long,
        value_name = "DIR",
        default_value = "rpub-digests",
        env = "RPUB_DIGESTS"
    )]
    digests: PathBuf,
    /// Overwrite version tags that are published with another digest
    #[arg(long, env = "RPUB_FORCE", value_parser = super::words::switch)]
    force: bool,
    #[command(flatten)]
    pub(super) report: super::reports::ReportTo,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<Answer> {
        let plan = super::plan(context, self.git_ref.as_deref(), &[])?;
        let options = Options {
            source: Source::Records(&self.digests),
            force: self.force,
        };
        let report = release::release(context, &plan, options).await?;
        Ok(Answer::Released(report))
    }
}
