//! Decides the arguments of `rpub status`.
//! Must never change a journal.

use crate::{
    error::Result,
    pipeline::{journal, plan::Env},
    ui::Answer,
};

/// Show releases that did not end, and what each tag named before and shall name
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rpub status\n  rpub status --format json")]
pub(super) struct Args {}

impl Args {
    pub(super) fn run(env: &Env) -> Result<Answer> {
        let found = journal::unfinished(&journal::folder(env)?)?;
        let document = |(path, journal): &(std::path::PathBuf, crate::model::journal::Journal)| {
            journal.document(path.display().to_string())
        };
        Ok(Answer::Unfinished(found.iter().map(document).collect()))
    }
}
