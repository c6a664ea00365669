//! Decides the arguments of `rpub verify`.
//! Must never write anything to a registry.

use crate::{
    error::Result,
    pipeline::{context::Context, verify},
    ui::Answer,
};

/// Read back what is published for REF, from every registry, and compare
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rpub verify v1.2.3\n  rpub verify v1.2.3 --format json")]
pub(super) struct Args {
    /// A version, branch, tag or full ref [default: $GITHUB_REF, else what is checked out]
    #[arg(value_name = "REF")]
    git_ref: Option<String>,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<Answer> {
        let plan = super::plan(context, self.git_ref.as_deref(), &[])?;
        let work = verify::published_for(context, &plan);
        Ok(Answer::Verified(context.unless_interrupted(work).await?))
    }
}
