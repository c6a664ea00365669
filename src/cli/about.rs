//! Decides when `rpub --version` is asked for all that a report of a bug needs.
//! Must never hold up an ordinary `--version`.

use crate::{
    config,
    pipeline::{about, plan::Env},
    ui::Answer,
};
use clap::error::ErrorKind;
use std::{ffi::OsString, path::PathBuf};

/// What to answer in place of the version alone: `rpub -vV`, `rpub --version --verbose`.
pub fn asked(error: &clap::Error, words: &[OsString], env: &Env) -> Option<Answer> {
    if error.kind() != ErrorKind::DisplayVersion || !words.iter().skip(1).any(is_verbose) {
        return None;
    }
    let config = env("RPUB_CONFIG").filter(|path| !path.is_empty());
    let config = config.map_or_else(|| PathBuf::from(config::FILE), PathBuf::from);
    Some(Answer::Text(about::text(&config, env)))
}

/// clap stops at `--version`, so that the other words are not read yet.
fn is_verbose(word: &OsString) -> bool {
    let word = word.to_string_lossy();
    let cluster = word
        .strip_prefix('-')
        .filter(|letters| !letters.starts_with('-'));
    word == "--verbose" || cluster.is_some_and(|letters| letters.contains('v'))
}
