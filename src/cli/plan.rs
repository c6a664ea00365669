//! Decides the arguments of `rpub plan`.
//! Must never change anything.

use crate::{
    error::{Error, Result},
    pipeline::context::Context,
    ui::{Answer, Format},
};

/// Show what a release of REF would do; changes nothing
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rpub plan\n  rpub plan v1.2.3\n  rpub plan --format json | jq '.images[].tags'\n  rpub plan --format github-matrix"
)]
pub(super) struct Args {
    /// A version, branch, tag or full ref [default: $GITHUB_REF, else what is checked out]
    #[arg(value_name = "REF")]
    git_ref: Option<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context, format: Format) -> Result<Answer> {
        let plan = super::plan(context, self.git_ref.as_deref(), &[])?;
        if format == Format::GithubMatrix {
            let hint = "take the platform out of rpub.toml, or write that job by hand";
            let matrix = plan.matrix();
            let matrix =
                matrix.map_err(|error| Error::usage(error.to_string(), "--format", hint))?;
            return Ok(Answer::Matrix(matrix));
        }
        Ok(Answer::Plan(plan.document()))
    }
}
