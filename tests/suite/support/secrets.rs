//! Decides what the tests' secrets are, and where a run could have left one: as it is, or in base64 at any offset.
//! Must never pass over a file that it cannot read.

use super::project::{Outcome, PASSWORD, Project, USER};
use super::tokens::Tokens;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use memchr::memmem;
use std::io::ErrorKind::NotFound;
use std::path::Path;
use std::sync::OnceLock;

/// Every form that a secret could be found in.
fn forms() -> &'static [Vec<u8>] {
    static FORMS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    FORMS.get_or_init(|| {
        let login = format!("{USER}:{PASSWORD}");
        // Every token begins with the prefix.
        let secrets = [PASSWORD, &login, Tokens::PREFIX];
        let mut forms: Vec<Vec<u8>> = secrets.map(|s| s.as_bytes().to_vec()).to_vec();
        for secret in secrets {
            for offset in 0..3 {
                let bytes = [&vec![0; offset][..], secret.as_bytes()].concat();
                // The characters that hold nothing but bits of the secret.
                let own = (offset * 8).div_ceil(6)..bytes.len() * 8 / 6;
                for alphabet in [&STANDARD, &URL_SAFE] {
                    forms.push(alphabet.encode(&bytes).as_bytes()[own.clone()].to_vec());
                }
            }
        }
        forms
    })
}

/// Whether there is a secret in it.
pub(crate) fn is_in(bytes: &[u8]) -> bool {
    forms()
        .iter()
        .any(|form| memmem::find(bytes, form).is_some())
}

impl Project {
    /// What a run printed has no secret in it.
    pub(crate) fn tells_no_secret(run: &Outcome) {
        for text in [&run.out, &run.err] {
            assert!(!is_in(text.as_bytes()), "a secret in {text}");
        }
    }

    /// No file that runs have left or are using has a secret in it (journals, locks, spool, records; the login itself
    /// apart), nor has the command line of a process.
    pub(crate) fn holds_no_secret(&self) {
        let mut todo = vec![
            self.path(""),
            self.cache().to_owned(),
            self.state().to_owned(),
        ];
        while let Some(folder) = todo.pop() {
            // What runs may take away its own files meanwhile.
            let Some(entries) = unless_gone(std::fs::read_dir(&folder), &folder) else {
                continue;
            };
            for entry in entries.map(Result::unwrap) {
                let path = entry.path();
                let Some(kind) = unless_gone(entry.file_type(), &path) else {
                    continue;
                };
                if kind.is_dir() {
                    todo.push(path);
                } else if kind.is_file()
                    && path != self.path("auth.json")
                    && let Some(bytes) = unless_gone(std::fs::read(&path), &path)
                {
                    assert!(!is_in(&bytes), "a secret in {}", path.display());
                }
            }
        }
        for (_, line) in self.processes() {
            assert!(!is_in(line.as_bytes()), "a secret in the arguments {line}");
        }
    }
}

fn unless_gone<T>(done: std::io::Result<T>, path: &Path) -> Option<T> {
    match done {
        Err(error) if error.kind() == NotFound => None,
        done => Some(done.unwrap_or_else(|error| panic!("{}: {error}", path.display()))),
    }
}

/// The search is only as good as this.
#[test]
fn secrets_are_found_in_every_form() {
    use super::project::BASIC;
    let token = format!("{}7-xxx", Tokens::PREFIX);
    let hidden = |text: &str| STANDARD.encode(text);
    for text in [
        format!("Basic {BASIC}"),
        format!("...{PASSWORD}..."),
        hidden(PASSWORD),
        hidden(&format!("a{PASSWORD}b")),
        hidden(&format!("ab{PASSWORD}")),
        hidden(&format!("{{\"token\":\"{token}\"}}")),
        token,
    ] {
        assert!(is_in(text.as_bytes()), "{text}");
    }
    assert!(!is_in(
        format!("{USER} {}", hidden("somebody else's")).as_bytes()
    ));
}
