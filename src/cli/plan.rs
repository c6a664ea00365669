//! Decides the arguments of `rpub plan`.
//! Must never change anything.

use crate::{error::Result, pipeline::context::Context, ui::Answer};

/// Show what a release of REF would do; changes nothing
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rpub plan\n  rpub plan v1.2.3\n  rpub plan --format json | jq '.images[].tags'"
)]
pub(super) struct Args {
    /// A version, branch, tag or full ref [default: $GITHUB_REF, else what is checked out]
    #[arg(value_name = "REF")]
    git_ref: Option<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<Answer> {
        let plan = super::plan(context, self.git_ref.as_deref(), &[])?;
        Ok(Answer::Plan(plan.document()))
    }
}
