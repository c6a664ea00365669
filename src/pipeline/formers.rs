//! Decides where the past of each repository lies on disk.
//! Must never stop a release: what cannot be remembered cannot be pruned, and that is all.

use super::{journal, plan::Env, whole};
use crate::{
    error::{Error, Result},
    model::former::Formers,
};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::PathBuf,
};

/// No file of this kind is larger, by far: it holds some manifests.
const LIMIT: u64 = 256 * 1024 * 1024;

/// The memory of one repository's past.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    repository: String,
}

impl Memory {
    /// The memory for a repository, beside the journals. `repository` is as locks know it: a directory store's is absolute.
    pub(super) fn of(env: &Env, repository: &str) -> Result<Self> {
        let name = format!("formers-{}.json", journal::key(repository));
        Ok(Memory {
            path: journal::folder(env)?.join(name),
            repository: repository.to_owned(),
        })
    }

    /// What is remembered; nothing where there is no file.
    pub(super) fn read(&self) -> Result<Formers> {
        let mut text = String::new();
        match File::open(&self.path).and_then(|file| file.take(LIMIT).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(Formers::new(self.repository.clone()));
            }
            Err(e) => return Err(Error::io("read what was published before", &self.path, &e)),
        }
        let damaged = |what: String| {
            let hint = "remove the file: only what was to be pruned is forgotten with it";
            Error::usage(what, self.path.display().to_string(), hint)
        };
        let formers = Formers::parse(&text).map_err(|error| damaged(error.to_string()))?;
        if formers.repository == self.repository {
            Ok(formers)
        } else {
            Err(damaged(format!("it is of {}", formers.repository)))
        }
    }

    /// Remembers this instead of what was; returns when it would survive a crash. Nothing to remember leaves no file.
    pub(super) fn write(&self, formers: &Formers) -> Result<()> {
        if formers.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    Err(Error::io("forget what is pruned", &self.path, &e))
                }
                _ => Ok(()),
            };
        }
        // Texts and numbers, which JSON always can say.
        let text = serde_json::to_vec(formers).unwrap_or_default();
        whole::write(&self.path, &text, 0o600)
            .map_err(|e| Error::io("remember what is published", &self.path, &e))
    }
}
