//! Decides how workflow commands are written, and how everything else is kept from being one.
//! Must never pass on a line that GitHub's runner would take for a command that is not ours.

use crate::error::{Error, Kind};
use crate::ui::plain::hides;
use std::fmt::Write as _;

/// No part of an annotation is longer, in characters.
const LONGEST: usize = 2000;

/// Ends the group that is open.
pub(super) const END_GROUP: &str = "::endgroup::";

/// Begins a group of log lines that fold away.
pub(super) fn group(name: &str) -> String {
    format!("::group::{}", data(&flat(name)))
}

/// A warning annotation.
pub(super) fn warning(title: &str, text: &str) -> String {
    annotation("warning", title, &flat(text))
}

/// The error annotation: what, where, what to do next.
pub(super) fn error(error: &Error) -> String {
    let mut text = flat(&error.what);
    for (head, part) in [("at", &error.place), ("next", &error.hint)] {
        if !part.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{head}: {}", flat(part));
        }
    }
    annotation("error", title(error.kind), &text)
}

/// What kind of failure it is, as people read it.
pub(super) fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Failed => "rpub failed",
        Kind::Usage => "rpub was asked for something that cannot be",
        Kind::Build => "rpub: a build failed",
        Kind::Registry => "rpub: a registry failed",
        Kind::Interrupted => "rpub was interrupted",
        Kind::Engine => "rpub: podman is not usable",
        Kind::Permission => "rpub: not authenticated or not permitted",
        Kind::RolledBack => "rpub rolled back",
        Kind::RollbackIncomplete => "rpub: the roll-back is not complete",
        Kind::PruneIncomplete => "rpub: superseded content is left",
    }
}

fn annotation(level: &str, title: &str, text: &str) -> String {
    format!("::{level} title={}::{}", property(&flat(title)), data(text))
}

/// One line, without characters that are not seen, of a bounded length.
pub(super) fn flat(text: &str) -> String {
    let printable = |c: char| if hides(c) { ' ' } else { c };
    let mut out: String = text.chars().map(printable).take(LONGEST).collect();
    if out.len() < text.len() && text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// As the runner undoes it in what stands after the second `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// As the runner undoes it in `title=…`.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The same text, so that the runner finds no command in it.
///
/// It takes two forms: `::name::` at the beginning of a line, after white space, and the old `##[name]`, which counts
/// anywhere in a line, so that no prefix helps against it. A carriage return ends a line too. It may compare by the rules
/// of a language, where characters that are not seen do not count, so they do not count here either.
pub(in crate::ui) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // What stands before, the unseen apart: `begun` something on this line, or so many colons or hashes.
    let (mut begun, mut colons, mut hashes) = (false, 0, 0);
    for c in text.chars() {
        let breaks = match c {
            ':' => colons == 1 && !begun,
            '[' => hashes >= 2,
            _ => false,
        };
        if breaks {
            out.push(' ');
        }
        out.push(c);
        match c {
            '\n' | '\r' => (begun, colons, hashes) = (false, 0, 0),
            ':' => {
                colons += 1;
                begun |= colons > 1;
                hashes = 0;
            }
            '#' => (begun, hashes) = (true, hashes + 1),
            _ if c.is_ascii_graphic() || c.is_alphanumeric() => (begun, hashes) = (true, 0),
            // A space is seen, but for those that a line begins with.
            ' ' => (begun, hashes) = (begun || colons > 0, 0),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind; a new one fails to compile here until it is listed.
    fn kinds() -> Vec<Kind> {
        let all = [
            Kind::Failed,
            Kind::Usage,
            Kind::Build,
            Kind::Registry,
            Kind::Interrupted,
            Kind::Engine,
            Kind::Permission,
            Kind::RolledBack,
            Kind::RollbackIncomplete,
            Kind::PruneIncomplete,
        ];
        for kind in all {
            match kind {
                Kind::Failed
                | Kind::Usage
                | Kind::Build
                | Kind::Registry
                | Kind::Interrupted
                | Kind::Engine
                | Kind::Permission
                | Kind::RolledBack
                | Kind::RollbackIncomplete
                | Kind::PruneIncomplete => {}
            }
        }
        all.to_vec()
    }

    #[test]
    fn the_annotation_of_every_kind_has_the_three_parts() {
        let mut titles = std::collections::BTreeSet::new();
        for kind in kinds() {
            let line = error(&Error::new(kind, "it broke", "ghcr.io", "mend it"));
            let (head, text) = line[2..].split_once("::").unwrap();
            assert_eq!(text, "it broke%0Aat: ghcr.io%0Anext: mend it", "{kind:?}");
            titles.insert(head.strip_prefix("error title=").unwrap().to_owned());
        }
        assert_eq!(titles.len(), kinds().len(), "each has its own title");
        assert_eq!(
            error(&Error::interrupted()),
            "::error title=rpub was interrupted::interrupted%0Anext: run the same command again to finish"
        );
    }

    #[test]
    fn hostile_words_stay_within_their_command() {
        let evil = "100%\r\n::add-mask::x\u{1b}[2J\u{202e}";
        let line = error(&Error::new(Kind::Build, evil, evil, evil));
        assert_eq!(line.lines().count(), 1);
        assert!(!line.contains('\r') && !line.contains('\u{1b}'));
        let words = "100%25  ::add-mask::x [2J ";
        assert!(line.ends_with(&format!("{words}%0Aat: {words}%0Anext: {words}")));
        assert_eq!(warning("a:b,c%\n", "x"), "::warning title=a%3Ab%2Cc%25 ::x");
        assert_eq!(group("a\nb"), "::group::a b");
        let long = warning("t", &"x".repeat(100_000));
        assert!(long.len() < LONGEST + 100);
    }

    #[test]
    fn no_line_is_a_command_that_was_none() {
        for (text, told) in [
            ("::error::x", ": :error::x"),
            (" \t::set-output name=a::b", " \t: :set-output name=a::b"),
            ("a\r::stop-commands::x", "a\r: :stop-commands::x"),
            ("a\n::add-path::/x\n", "a\n: :add-path::/x\n"),
            (
                "app linux/amd64 | ::error::x",
                "app linux/amd64 | ::error::x",
            ),
            ("std::io", "std::io"),
            ("x ##[set-output name=d]e", "x ## [set-output name=d]e"),
            ("###[group]", "### [group]"),
            ("#\u{200b}#\u{ad}[group]", "#\u{200b}#\u{ad} [group]"),
            ("\u{200b}:\u{feff}:error::x", "\u{200b}:\u{feff} :error::x"),
            ("#[derive] # #[x] a[0]", "#[derive] # #[x] a[0]"),
            (":::error::x", ": ::error::x"),
        ] {
            assert_eq!(harmless(text), told, "{text:?}");
            assert_eq!(harmless(told), told, "once is enough");
        }
    }
}
