//! Decides what GitHub Actions is shown beside the log: groups, annotations, outputs, the job summary; nothing elsewhere.
//! Must never write to stdout, fail a run, or write a secret, not even to have it masked.

mod commands;
mod markdown;
mod outputs;
mod summary;
mod timeline;

pub(super) use commands::harmless;

use super::Answer;
use crate::{
    error::{Error, Result},
    events::{Event, Stage},
};
use std::{
    fs::OpenOptions,
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// GitHub drops a step's summary whole where it is longer, with all that others wrote to it.
const SUMMARY: u64 = 1024 * 1024;
/// So many notes of one run stand in the summary.
const NOTES: usize = 50;

/// A run inside of GitHub Actions.
///
/// `::add-mask::SECRET` would put a secret on stderr for the runner to swallow; but whatever else keeps that stream (`tee`,
/// a container's log, another runner) would have it. rpub never writes a secret anywhere, so there is nothing to mask:
/// secrets that GitHub knows are masked by GitHub, in the log and in the summary.
#[derive(Debug)]
pub struct GitHub {
    output: Option<PathBuf>,
    summary: Option<PathBuf>,
    heard: Mutex<Heard>,
}

/// What was told so far.
#[derive(Debug, Default)]
struct Heard {
    stage: Option<Stage>,
    /// Whether a group is open.
    open: bool,
    notes: Vec<String>,
}

impl GitHub {
    /// From the environment; none outside of GitHub Actions.
    pub fn of(env: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let get = |name: &str| env(name).filter(|value| !value.is_empty());
        let path = |name: &str| get(name).map(PathBuf::from);
        (get("GITHUB_ACTIONS").as_deref() == Some("true")).then(|| GitHub {
            output: path("GITHUB_OUTPUT"),
            summary: path("GITHUB_STEP_SUMMARY"),
            heard: Mutex::default(),
        })
    }

    /// How the runner is told an event; `line` is how it looks elsewhere, where it is told at all.
    pub(super) fn line(&self, event: &Event, line: Option<String>) -> Option<String> {
        let mut heard = self.heard();
        match event {
            Event::Stage(stage) => {
                heard.stage = Some(*stage);
                // Where stages are not told, they are no groups either.
                line.as_ref()?;
                let group = commands::group(stage.name());
                Some(if std::mem::replace(&mut heard.open, true) {
                    format!("{}\n{group}", commands::END_GROUP)
                } else {
                    group
                })
            }
            Event::Warning(text) => {
                heard.note(text);
                let stage = heard.stage.map_or("", Stage::name);
                let title = format!("rpub {stage}");
                Some(commands::warning(title.trim_end(), text))
            }
            Event::Note(text) => {
                heard.note(text);
                line.map(|line| harmless(&line))
            }
            _ => line.map(|line| harmless(&line)),
        }
    }

    /// What ends the stages: no group stays open for what comes after.
    pub(super) fn end(&self) -> Option<&'static str> {
        std::mem::take(&mut self.heard().open).then_some(commands::END_GROUP)
    }

    /// Writes outputs and summary of a result; answers what could not be written, as warnings for stderr.
    pub(super) fn result(&self, answer: &Answer) -> Vec<String> {
        let (values, mut trouble) = outputs::outputs(answer);
        if let Some(path) = self.output.as_deref().filter(|_| !values.is_empty()) {
            let write = || {
                let text = outputs::file(&values, &delimiter()?);
                append(path, "write the step's outputs", |_| text)
            };
            trouble.extend(write().err().map(|error| error.to_string()));
        }
        let sections = summary::of_result(answer, &self.heard().notes);
        trouble.extend(self.summarize(&sections));
        warnings(&trouble)
    }

    /// Writes the summary of a failure; answers its annotation, and what could not be written.
    pub(super) fn failure(&self, error: &Error) -> Vec<String> {
        let sections = summary::of_failure(error, &self.heard().notes);
        let mut lines = vec![commands::error(error)];
        let trouble: Vec<String> = self.summarize(&sections).into_iter().collect();
        lines.extend(warnings(&trouble));
        lines
    }

    /// What went wrong, if something did.
    fn summarize(&self, sections: &[String]) -> Option<String> {
        let path = self.summary.as_deref().filter(|_| !sections.is_empty())?;
        let written = append(path, "write the job summary", |there| {
            let room = SUMMARY.saturating_sub(there);
            summary::bounded(sections, usize::try_from(room).unwrap_or(usize::MAX))
        });
        written.err().map(|error| error.to_string())
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    fn note(&mut self, text: &str) {
        if self.notes.len() < NOTES {
            self.notes.push(text.to_owned());
        }
    }
}

fn warnings(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| warning(text)).collect()
}

/// The annotation of what went wrong beside a run.
pub(super) fn warning(text: &str) -> String {
    commands::warning("rpub", text)
}

/// Appends to a file that the runner has made what `text` gives for the bytes that are there.
fn append(path: &Path, action: &str, text: impl FnOnce(u64) -> String) -> Result<()> {
    let write = || {
        let mut file = OpenOptions::new().append(true).open(path)?;
        let there = file.seek(SeekFrom::End(0))?;
        file.write_all(text(there).as_bytes())
    };
    write().map_err(|error| Error::io(action, path, &error))
}

/// A word that no value holds: nobody can know it before.
fn delimiter() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        let path = Path::new("/dev/urandom");
        Error::io("read", path, &std::io::Error::other(error))
    })?;
    let hex = bytes.iter().map(|byte| format!("{byte:02x}"));
    Ok(format!("rpub-{}", hex.collect::<String>()))
}

#[cfg(test)]
mod tests;
