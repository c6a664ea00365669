//! Decides the arguments of `rpub schema`.
//! Must never read an rpub.toml.

use crate::{config, ui::Answer};

/// Print the JSON schema of rpub.toml, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  rpub schema > rpub.schema.json\n\n\
An editor that knows Taplo (Even Better TOML) takes it where rpub.toml begins with the line: #:schema ./rpub.schema.json")]
pub(super) struct Args {}

impl Args {
    pub(super) fn run() -> Answer {
        Answer::Text(config::schema())
    }
}
