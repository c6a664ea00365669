//! Decides how an error is told: what failed, the last lines of what failed, where, what caused it, what to do next.
//! Must never print a Rust Debug form.

use super::{Style, plain::visible};
use crate::error::{Error, Kind};
use std::fmt::Write as _;

/// The text of an error, with its newline.
pub(super) fn text(error: &Error, style: Style) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} {}",
        style.paint("1;31", "error:"),
        visible(&error.what)
    );
    for line in &error.tail {
        let bar = style.paint("31", "  |");
        let _ = writeln!(out, "{bar} {}", visible(line));
    }
    if !error.place.is_empty() {
        let _ = writeln!(
            out,
            "{} {}",
            style.paint("1", "   at:"),
            visible(&error.place)
        );
    }
    // Most causes are said already.
    let news = |cause: &&String| style.verbosity > 0 && !error.what.contains(cause.as_str());
    for cause in error.causes.iter().filter(news) {
        let _ = writeln!(out, "{} {}", style.paint("1", "cause:"), visible(cause));
    }
    if error.kind != Kind::Interrupted || !error.hint.is_empty() {
        let _ = writeln!(
            out,
            "{} {}",
            style.paint("1;36", " next:"),
            visible(&error.hint)
        );
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
    use crate::model::fault::{Class, Fault};

    #[test]
    fn an_error_has_three_parts_and_the_failing_lines() {
        let error = Error::new(
            Kind::Build,
            "the build failed",
            "Containerfile STEP 2/3",
            "mend the step",
        )
        .with_tail(vec!["sh: nope: not found".to_owned()]);
        insta::assert_snapshot!(text(&error, Style::plain(0)), @r"
        error: the build failed
          | sh: nope: not found
           at: Containerfile STEP 2/3
         next: mend the step
        ");
    }

    #[test]
    fn what_caused_it_is_told_where_more_is_to_be_said() {
        let mut error = Error::new(Kind::Registry, "cannot go: no way", "x", "go elsewhere");
        error.causes = vec!["no way".to_owned(), "the road ends".to_owned()];
        assert!(!text(&error, Style::plain(0)).contains("cause:"));
        insta::assert_snapshot!(text(&error, Style::plain(1)), @r"
        error: cannot go: no way
           at: x
        cause: the road ends
         next: go elsewhere
        ");
    }

    /// The kind after this one; a new one does not compile until it has its place.
    fn after(kind: Kind) -> Option<Kind> {
        match kind {
            Kind::Failed => Some(Kind::Usage),
            Kind::Usage => Some(Kind::Build),
            Kind::Build => Some(Kind::Registry),
            Kind::Registry => Some(Kind::Interrupted),
            Kind::Interrupted => Some(Kind::Engine),
            Kind::Engine => Some(Kind::Permission),
            Kind::Permission => Some(Kind::RolledBack),
            Kind::RolledBack => Some(Kind::RollbackIncomplete),
            Kind::RollbackIncomplete => Some(Kind::PruneIncomplete),
            Kind::PruneIncomplete => None,
        }
    }

    /// The class after this one.
    fn following(class: Class) -> Option<Class> {
        match class {
            Class::Auth => Some(Class::Permission),
            Class::Permission => Some(Class::NotFound),
            Class::NotFound => Some(Class::Refused),
            Class::Refused => Some(Class::RateLimit),
            Class::RateLimit => Some(Class::Server),
            Class::Server => Some(Class::Transport),
            Class::Transport => Some(Class::UploadLost),
            Class::UploadLost => Some(Class::Content),
            Class::Content => Some(Class::Storage),
            Class::Storage => Some(Class::Busy),
            Class::Busy => Some(Class::Cancelled),
            Class::Cancelled => None,
        }
    }

    /// What stands behind each head, in the order that people read it.
    fn parts(text: &str) -> Vec<(&str, &str)> {
        let part = |line| -> Option<(&str, &str)> { str::split_once(line, ": ") };
        text.lines().map(|line| part(line).unwrap()).collect()
    }

    #[test]
    fn every_kind_is_told_in_three_parts_with_a_code_of_its_own() {
        let mut codes = Vec::new();
        for kind in std::iter::successors(Some(Kind::Failed), |kind| after(*kind)) {
            let text = text(
                &Error::new(kind, "it broke", "there", "mend it"),
                Style::plain(0),
            );
            let all = [
                ("error", "it broke"),
                ("   at", "there"),
                (" next", "mend it"),
            ];
            assert_eq!(parts(&text), all, "{}", kind.name());
            codes.push(kind.exit_code());
        }
        assert_eq!(codes, (1..=10).collect::<Vec<u8>>());
    }

    #[test]
    fn every_class_of_a_registrys_fault_is_told_in_three_parts() {
        let mut said = std::collections::BTreeSet::new();
        for class in std::iter::successors(Some(Class::Auth), |class| following(*class)) {
            let fault = Fault::new(class, "ghcr.io", "PUT https://ghcr.io/v2/o/a", "odd");
            let text = text(&Error::from(fault), Style::plain(0));
            let parts = parts(&text);
            if class == Class::Cancelled {
                // The user knows where.
                assert_eq!(parts.len(), 2, "{text}");
                continue;
            }
            let heads: Vec<&str> = parts.iter().map(|(head, _)| *head).collect();
            assert_eq!(heads, ["error", "   at", " next"], "{text}");
            assert!(parts[0].1.ends_with(": odd"), "{text}");
            assert_eq!(parts[1].1, "PUT https://ghcr.io/v2/o/a");
            assert!(parts[2].1.len() > 10, "{text}");
            assert!(said.insert(parts[0].1.to_owned()), "said of two: {text}");
        }
        assert_eq!(said.len(), 11);
    }

    #[test]
    fn no_part_of_an_error_reaches_a_terminal_as_anything_but_text() {
        let evil = "a\u{1b}[2J\u{202e}\u{9b}b";
        let mut error = Error::new(Kind::Build, evil, evil, evil).with_tail(vec![evil.to_owned()]);
        error.causes = vec![format!("{evil}!")];
        let told = text(&error, Style::plain(1));
        assert_eq!(
            told.matches("a\\u{1b}[2J\\u{202e}\\u{9b}b").count(),
            5,
            "{told}"
        );
        assert!(!told.replace('\n', "").contains(crate::ui::plain::hides));
    }

    #[test]
    fn wrong_words_become_three_parts() {
        let clap = "error: unexpected argument '--formt' found\n\n  tip: a similar argument exists: '--format'\n\nUsage: rpub\n";
        let error = of_words(clap);
        assert_eq!(error.what, "unexpected argument '--formt' found");
        assert_eq!(error.hint, "a similar argument exists: '--format'");
        assert!(of_words("error: no\n").hint.contains("--help"));
    }
}
