//! Decides the arguments of `rpub push`.
//! Must never write a tag.

use crate::{
    error::Result,
    model::platform::Platform,
    pipeline::{context::Context, records, release},
    ui::Answer,
};
use std::path::PathBuf;

/// Push what `rpub build` built, by digest; write digest records for the machine that assembles
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rpub build && rpub push\n  rpub push v1.2.3 --digests digests"
)]
pub(super) struct Args {
    /// A version, branch, tag or full ref [default: $GITHUB_REF, else what is checked out]
    #[arg(value_name = "REF")]
    git_ref: Option<String>,
    /// Only these images of rpub.toml
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Push these platforms instead of this machine's
    #[arg(
        long,
        value_name = "OS/ARCH",
        value_delimiter = ',',
        env = "RPUB_PLATFORM"
    )]
    platform: Vec<Platform>,
    /// The folder for the digest records
    #[arg(
        long,
        value_name = "DIR",
        default_value = "rpub-digests",
        env = "RPUB_DIGESTS"
    )]
    digests: PathBuf,
    #[command(flatten)]
    layers: super::layers::Layers,
    #[command(flatten)]
    pub(super) report: super::reports::ReportTo,
}

impl Args {
    pub(super) async fn run(self, mut context: Context) -> Result<Answer> {
        self.layers.over(&mut context.spec);
        let context = &context;
        let plan = super::plan(context, self.git_ref.as_deref(), &self.images)?;
        let pushed = release::push_kept(context, &plan, super::wanted(self.platform)).await?;
        records::write(&self.digests, &pushed)?;
        Ok(Answer::Pushed(pushed))
    }
}
