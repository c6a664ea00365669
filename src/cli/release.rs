//! Decides the arguments of `rpub release`.
//! Must never do a stage's work itself.

use crate::{
    error::Result,
    pipeline::{
        context::Context,
        release::{self, Options, Source},
    },
    ui::Answer,
};
use std::path::PathBuf;

/// Build, push by digest, assemble, verify, tag, verify, prune: all of it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rpub release v1.2.3\n  rpub release v1.2.3 --to ./out\n  rpub release --digests digests"
)]
pub(super) struct Args {
    /// A version, branch, tag or full ref [default: $GITHUB_REF, else what is checked out]
    #[arg(value_name = "REF")]
    git_ref: Option<String>,
    /// Build nothing: take what other machines pushed, by the digest records in this folder
    #[arg(long, value_name = "DIR", env = "RPUB_DIGESTS")]
    digests: Option<PathBuf>,
    /// Overwrite version tags that are published with another digest
    #[arg(long, env = "RPUB_FORCE", value_parser = super::words::switch)]
    force: bool,
    #[command(flatten)]
    layers: super::layers::Layers,
    #[command(flatten)]
    pub(super) report: super::reports::ReportTo,
    // Last: its heading holds for all that follows.
    #[command(flatten)]
    caches: super::caches::Caches,
}

impl Args {
    pub(super) async fn run(self, mut context: Context) -> Result<Answer> {
        self.layers.over(&mut context.spec);
        let context = &context;
        let plan = super::plan(context, self.git_ref.as_deref(), &[])?;
        let caches = self.caches.into();
        let source = self
            .digests
            .as_deref()
            .map_or(Source::Built(&caches), Source::Records);
        let options = Options {
            source,
            force: self.force,
        };
        let report = release::release(context, &plan, options).await?;
        Ok(Answer::Released(report))
    }
}
