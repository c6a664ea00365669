//! Decides what is wrong with rpub.toml and the Containerfiles, before podman stumbles over it.
//! Must never judge a Containerfile by more than what it says: a base image may bring anything.

use super::engine::major_minor;
use super::reading::{self, Copied};
use super::system::Distribution;
use super::{Area, Finding, Remedy, Severity, quoted};
use crate::model::containerfile::declares_healthcheck;

/// One Containerfile of rpub.toml.
#[derive(Debug, Clone)]
pub struct File {
    /// Its absolute path.
    pub path: String,
    /// As rpub.toml names it.
    pub shown: String,
    /// Its text, or why it cannot be read.
    pub text: Result<String, String>,
    /// The stage that is built.
    pub target: Option<String>,
    /// What it copies from its context that is not there.
    pub missing: Vec<Copied>,
}

/// Whether another platform's programs can run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emulation {
    /// The kernel hands them to this.
    By(String),
    /// There is an entry, switched off.
    Off(String),
    /// `/proc/sys/fs/binfmt_misc` is not mounted.
    NotMounted,
    /// There is no entry for it.
    Missing,
}

fn new(check: &str, severity: Severity, found: impl Into<String>) -> Finding {
    Finding::new(check, Area::Project, severity, found)
}

/// Opens a file in the user's editor, at `PATH` or `PATH:LINE`.
pub(super) fn edit(place: &str) -> Remedy {
    let line = place
        .rsplit_once(':')
        .filter(|(_, line)| line.parse::<u32>().is_ok());
    Remedy::by_hand(match line {
        Some((path, line)) => format!("${{EDITOR:-vi}} +{line} {}", quoted(path)),
        None => format!("${{EDITOR:-vi}} {}", quoted(place)),
    })
}

/// There is no rpub.toml.
pub fn no_config(path: &str, rpub: &str) -> Finding {
    new("config", Severity::Note, format!("there is no {path}"))
        .why("without it there is nothing to publish; only the machine and its engine were looked at")
        .mend(Remedy::by_hand(format!("{} init", quoted(rpub))))
}

/// rpub.toml has a mistake: what, where (`PATH:LINE`), what to do.
pub fn bad_config(what: &str, place: &str, hint: &str) -> Finding {
    new("config", Severity::Broken, format!("{place}: {what}"))
        .why(hint)
        .mend(edit(place))
}

/// rpub.toml is well.
pub fn good_config(path: &str, images: usize) -> Finding {
    let s = if images == 1 { "" } else { "s" };
    new("config", Severity::Ok, format!("{path}: {images} image{s}"))
}

/// All that is wrong with a Containerfile, for this podman.
pub fn containerfile(file: &File, podman: Option<&str>) -> Vec<Finding> {
    let shown = &file.shown;
    let text = match &file.text {
        Ok(text) => text,
        Err(words) => {
            return vec![
                new(
                    "containerfile",
                    Severity::Broken,
                    format!("{shown} cannot be read: {words}"),
                )
                .why("podman builds from it")
                .mend(Remedy::by_hand(format!("chmod u+r {}", quoted(&file.path)))),
            ];
        }
    };
    let at = |line: usize| edit(&format!("{}:{line}", file.path));
    let mut found = Vec::new();
    let first = reading::unknown_instruction(text);
    if let Some((line, word)) = first {
        found.push(
            new(
                "containerfile",
                Severity::Broken,
                format!("{shown}:{line}: {word} is no instruction"),
            )
            .why("podman refuses the whole file")
            .mend(at(line)),
        );
    } else if !reading::has_stage(text) {
        found.push(
            new(
                "containerfile",
                Severity::Broken,
                format!("{shown} has no FROM"),
            )
            .why("there is no image in it")
            .mend(at(1)),
        );
    }
    let old = podman
        .and_then(major_minor)
        .filter(|version| *version < (5, 0));
    if let (Some(line), Some((major, minor))) = (reading::here_document(text), old) {
        found.push(
            new(
                "here-documents",
                Severity::Broken,
                format!(
                    "{shown}:{line} has a here-document, and podman {major}.{minor} knows none"
                ),
            )
            .why("podman 5.0 is the first that does; write it with && and \\, or COPY a file")
            .mend(at(line)),
        );
    }
    for copied in &file.missing {
        found.push(
            new(
                "copy-source",
                Severity::Broken,
                format!(
                    "{shown}:{}: {} is not in the build context",
                    copied.line, copied.source
                ),
            )
            .why("the build ends there; it is not there, or .containerignore leaves it out")
            .mend(at(copied.line)),
        );
    }
    if found.is_empty() {
        let check = declares_healthcheck(text, file.target.as_deref());
        let words = if check {
            "with a HEALTHCHECK, which docker format keeps"
        } else {
            "without a HEALTHCHECK"
        };
        found.push(new(
            "containerfile",
            Severity::Ok,
            format!("{shown}: {words}"),
        ));
    }
    found
}

/// Whether a platform that is not this machine's own can be built here; `asked`: it was asked to be.
pub fn emulation(
    platform: &str,
    arch: &str,
    emulation: &Emulation,
    asked: bool,
    distribution: Distribution,
) -> Finding {
    const CHECK: &str = "emulation";
    let severity = if asked {
        Severity::Broken
    } else {
        Severity::Warning
    };
    let at = |found: String, remedy: String| {
        new(CHECK, severity, found)
            .why("its RUN steps cannot run here; build it on a machine of its own (rpub plan --format github-matrix), or emulated")
            .mend(Remedy::by_root(remedy))
    };
    match emulation {
        Emulation::By(program) => new(CHECK, Severity::Ok, format!("{platform} by {program}")),
        Emulation::Off(entry) => at(
            format!("{platform}: {entry} is switched off"),
            format!("echo 1 > {}", quoted(entry)),
        ),
        Emulation::NotMounted => at(
            format!("{platform}: binfmt_misc is not mounted"),
            "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc".to_owned(),
        ),
        Emulation::Missing => at(
            format!("{platform}: nothing here runs programs for {arch}"),
            distribution.install("qemu"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File {
            path: "/p/Containerfile".to_owned(),
            shown: "Containerfile".to_owned(),
            text: Ok(text.to_owned()),
            target: None,
            missing: Vec::new(),
        }
    }

    fn checks(file: &File, podman: &str) -> Vec<(String, String)> {
        let found = containerfile(file, Some(podman))
            .into_iter()
            .filter(Finding::is_broken);
        found
            .map(|f| (f.check, f.remedy.map_or_else(String::new, |r| r.command)))
            .collect()
    }

    #[test]
    fn containerfiles_are_judged_line_by_line() {
        let heredoc = file("FROM a\nRUN <<EOF\nx\nEOF\n");
        assert_eq!(
            checks(&heredoc, "4.9.3"),
            [(
                "here-documents".to_owned(),
                "${EDITOR:-vi} +2 /p/Containerfile".to_owned()
            )]
        );
        assert!(checks(&heredoc, "5.0.0").is_empty());
        let cases = [
            ("", "+1"),
            ("FROM a\nRUM x\n", "+2"),
            ("# x\n\nFORM a\n", "+3"),
        ];
        for (text, line) in cases {
            let found = checks(&file(text), "5.0.0");
            assert_eq!(found.len(), 1, "{text:?}");
            assert!(found[0].1.contains(line), "{found:?}");
        }
        let missing = File {
            missing: vec![Copied {
                line: 2,
                source: "gone".to_owned(),
            }],
            ..file("FROM a\nCOPY gone /\n")
        };
        assert_eq!(checks(&missing, "5.0.0")[0].0, "copy-source");
    }

    #[test]
    fn a_foreign_platform_is_broken_only_where_it_was_asked_for() {
        let at = |found: Emulation, asked| {
            emulation("linux/arm64", "arm64", &found, asked, Distribution::Debian)
        };
        assert_eq!(at(Emulation::Missing, false).severity, Severity::Warning);
        assert_eq!(at(Emulation::Missing, true).severity, Severity::Broken);
        assert_eq!(
            at(Emulation::By("qemu".to_owned()), true).severity,
            Severity::Ok
        );
    }

    #[test]
    fn mistakes_are_mended_in_an_editor() {
        assert_eq!(edit("/a b:3").command, "${EDITOR:-vi} +3 '/a b'");
        assert_eq!(edit("/a").command, "${EDITOR:-vi} /a");
    }
}
