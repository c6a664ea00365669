//! Decides how an error is told: what failed, the last lines of what failed, where, what to do next.
//! Must never print a Rust Debug form.

use super::Style;
use crate::error::{Error, Kind};
use std::fmt::Write as _;

/// The text of an error, with its newline.
pub(super) fn text(error: &Error, style: Style) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{} {}", style.paint("1;31", "error:"), error.what);
    for line in &error.tail {
        let bar = style.paint("31", "  |");
        let _ = writeln!(out, "{bar} {line}");
    }
    if !error.place.is_empty() {
        let _ = writeln!(out, "{} {}", style.paint("1", "   at:"), error.place);
    }
    if error.kind != Kind::Interrupted || !error.hint.is_empty() {
        let _ = writeln!(out, "{} {}", style.paint("1;36", " next:"), error.hint);
    }
    out
}

/// clap's words about wrong words, in three parts.
pub(super) fn of_words(text: &str) -> Error {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let what = lines.next().unwrap_or_default();
    let tip = lines.find_map(|line| line.strip_prefix("tip: "));
    Error::usage(
        what.strip_prefix("error: ").unwrap_or(what),
        "the command line",
        tip.unwrap_or("rpub --help says what there is"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_three_parts_and_the_failing_lines() {
        let error = Error::new(
            Kind::Build,
            "the build failed",
            "Containerfile STEP 2/3",
            "mend the step",
        )
        .with_tail(vec!["sh: nope: not found".to_owned()]);
        let style = Style {
            verbosity: 0,
            color: false,
        };
        insta::assert_snapshot!(text(&error, style), @r"
        error: the build failed
          | sh: nope: not found
           at: Containerfile STEP 2/3
         next: mend the step
        ");
    }
}
