//! Decides the arguments of `rpub man`, and which pages there are.
//! Must never write outside of the folder it is given.

use crate::{
    error::{Error, Result},
    ui::Answer,
};
use clap::CommandFactory as _;
use std::path::{Path, PathBuf};

/// Print rpub's man page, or write one page per command
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rpub man | man -l -\n  rpub man --out ~/.local/share/man/man1\n\n\
After the second, man rpub and man rpub-release find them."
)]
pub(super) struct Args {
    /// Write the pages of all commands into this folder; it is made where it is missing
    #[arg(long, value_name = "DIR", env = "RPUB_OUT")]
    out: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(&self) -> Result<Answer> {
        let pages = pages()?;
        let Some(folder) = &self.out else {
            let main = pages.into_iter().next().map(|(_, text)| text);
            return Ok(Answer::Text(main.unwrap_or_default()));
        };
        std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))?;
        let mut written = String::new();
        for (name, text) in pages {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|e| Error::io("write it", &path, &e))?;
            written.push_str(&path.display().to_string());
            written.push('\n');
        }
        Ok(Answer::Text(written))
    }
}

/// Every page and its file's name, rpub's own first.
fn pages() -> Result<Vec<(String, String)>> {
    // `rpub help` has nothing to say that the pages do not.
    let mut rpub = super::Cli::command().disable_help_subcommand(true);
    rpub.build();
    let commands: Vec<clap::Command> = rpub.get_subcommands().cloned().collect();
    let mut pages = Vec::new();
    for command in std::iter::once(rpub).chain(commands) {
        let man = clap_mangen::Man::new(command);
        let mut text = Vec::new();
        let name = man.get_filename();
        man.render(&mut text)
            .map_err(|e| Error::io("make the page", Path::new(&name), &e))?;
        pages.push((name, String::from_utf8_lossy(&text).into_owned()));
    }
    Ok(pages)
}
