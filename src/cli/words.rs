//! Decides how the command line becomes commands: switches that the environment may set, and which of two words counts.
//! Must never ask the environment itself: clap does.

use super::Cli;
use clap::{CommandFactory as _, FromArgMatches as _, error::ErrorKind, parser::ValueSource};
use std::ffi::OsString;

/// A switch in the environment: `RPUB_DRY_RUN=false` is false, and so is one that is empty, as workflows leave it.
pub(super) fn switch(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "y" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "n" | "off" => Ok(false),
        _ => Err("write true or false"),
    }
}

impl Cli {
    /// The command that these words are, the program's name first.
    ///
    /// # Errors
    /// What clap has to say: help and version too.
    pub fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        let matches = Cli::command().try_get_matches_from(words)?;
        let mut cli = Cli::from_arg_matches(&matches)?;
        let global = &mut cli.global;
        if global.quiet && global.verbose > 0 {
            // What is typed counts more than what the environment says.
            let typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
            match (typed("quiet"), typed("verbose")) {
                (true, false) => global.verbose = 0,
                (false, true) => global.quiet = false,
                _ => {
                    let what = "--quiet cannot be used with --verbose";
                    return Err(Cli::command().error(ErrorKind::ArgumentConflict, what));
                }
            }
        }
        Ok(cli)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_true_false_or_a_mistake() {
        for (text, value) in [
            ("1", Ok(true)),
            ("TRUE", Ok(true)),
            ("on", Ok(true)),
            ("", Ok(false)),
            ("0", Ok(false)),
            ("No", Ok(false)),
        ] {
            assert_eq!(switch(text), value, "{text}");
        }
        for text in ["2", "maybe", " true"] {
            assert!(switch(text).is_err(), "{text}");
        }
    }

    fn read(words: &[&str]) -> Result<Cli, clap::Error> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Cli::read(&words)
    }

    #[test]
    fn quiet_and_verbose_are_one_or_the_other() {
        let cli = read(&["rpub", "-vv", "plan"]).unwrap();
        assert_eq!((cli.global.verbose, cli.global.quiet), (2, false));
        let cli = read(&["rpub", "plan", "-q"]).unwrap();
        assert_eq!((cli.global.verbose, cli.global.quiet), (0, true));
        let error = read(&["rpub", "-q", "plan", "-v"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
    }
}
