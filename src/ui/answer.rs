//! Decides how each command's result reads, for people and for programs.
//! Must never leave anything out of the JSON that the text says.

use crate::error::Error;
use crate::model::{
    doctor::Diagnosis,
    journal::UnfinishedDocument,
    matrix::Matrix,
    plan::PlanDocument,
    pruned::PruneDocument,
    record::Record,
    report::{BuiltDocument, Report, ServingDocument},
    starter::{FileDocument, InitDocument},
};
use serde::Serialize;
use std::fmt::Write as _;

/// What a command answers.
#[derive(Debug)]
pub enum Answer {
    /// `rpub plan`.
    Plan(PlanDocument),
    /// `rpub plan --format github-matrix`.
    Matrix(Matrix),
    /// `rpub build`.
    Built(Vec<BuiltDocument>),
    /// `rpub push`.
    Pushed(Vec<Record>),
    /// `rpub release`, `assemble`.
    Released(Report),
    /// `rpub verify`.
    Verified(Report),
    /// `rpub prune`.
    Pruned(PruneDocument),
    /// `rpub status`.
    Unfinished(Vec<UnfinishedDocument>),
    /// `rpub doctor`.
    Diagnosed(Diagnosis),
    /// `rpub init`.
    Started(InitDocument),
    /// `rpub serve`, while it serves.
    Serving(ServingDocument),
    /// A text that has one form alone: a script, a page, a schema.
    Text(String),
    /// Nothing to say.
    Nothing,
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    schema: u32,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Serialize)]
struct Images<'a, T> {
    images: &'a [T],
}

#[derive(Serialize)]
struct Releases<'a> {
    releases: &'a [UnfinishedDocument],
}

#[derive(Serialize)]
struct Records<'a> {
    records: &'a [Record],
}

impl Answer {
    /// What is wrong although there is a result: a prune that left something to do, a machine that is broken.
    pub fn incomplete(&self) -> Option<Error> {
        match self {
            Answer::Released(report) => super::pruned::incomplete(&report.pruned),
            Answer::Pruned(document) => super::pruned::incomplete(&document.repositories),
            Answer::Diagnosed(diagnosis) => super::doctor::broken(diagnosis),
            _ => None,
        }
    }

    /// One JSON document and a newline; of [`Answer::Text`] the text, and of [`Answer::Nothing`] nothing.
    pub(super) fn json(&self) -> String {
        match self {
            Answer::Plan(plan) => document(plan),
            Answer::Matrix(matrix) => one_line(matrix),
            Answer::Built(images) => versioned(&Images { images }),
            Answer::Pushed(records) => versioned(&Records { records }),
            Answer::Released(report) | Answer::Verified(report) => document(report),
            Answer::Pruned(pruned) => document(pruned),
            Answer::Diagnosed(diagnosis) => document(diagnosis),
            Answer::Unfinished(releases) => versioned(&Releases { releases }),
            Answer::Started(init) => versioned(init),
            Answer::Serving(serving) => versioned(serving),
            Answer::Text(text) => text.clone(),
            Answer::Nothing => String::new(),
        }
    }

    /// References alone, one in a line; None where the answer is none of what was made or looked at.
    pub(super) fn references(&self) -> Option<String> {
        Some(match self {
            Answer::Built(images) => lines(images.iter().map(|image| image.reference.clone())),
            Answer::Pushed(records) => lines(records.iter().flat_map(by_digest)),
            Answer::Released(report) | Answer::Verified(report) => {
                let images = report.images.iter();
                lines(images.flat_map(|image| image.references.iter().cloned()))
            }
            _ => return None,
        })
    }

    /// A few lines, each ended, for a screen of so many columns; whole where there is none.
    pub(super) fn human(&self, columns: Option<usize>) -> String {
        match self {
            Answer::Plan(plan) => planned(plan),
            Answer::Matrix(matrix) => one_line(matrix),
            Answer::Built(images) => lines(
                images
                    .iter()
                    .map(|image| format!("{} {}  {}", image.name, image.platform, image.reference)),
            ),
            Answer::Pushed(records) => lines(records.iter().flat_map(|record| {
                by_digest(record).map(|reference| format!("{}  {reference}", record.platform))
            })),
            Answer::Released(report) => super::released::text("released", report, columns),
            Answer::Verified(report) => super::released::text("verified", report, columns),
            Answer::Pruned(document) => super::pruned::text(&document.repositories),
            Answer::Diagnosed(diagnosis) => super::doctor::text(diagnosis),
            Answer::Unfinished(releases) => unfinished(releases),
            Answer::Started(init) => started(init),
            Answer::Serving(serving) => {
                let head = format!("serving http://{} (Ctrl-C ends it)", serving.address);
                let pulls = serving
                    .references
                    .iter()
                    .map(|r| format!("  podman pull --tls-verify=false {r}"));
                lines(std::iter::once(head).chain(pulls))
            }
            Answer::Text(text) => text.clone(),
            Answer::Nothing => String::new(),
        }
    }
}

fn document<T: Serialize>(value: &T) -> String {
    // Texts, numbers and lists of them, which JSON always can say.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// For `$GITHUB_OUTPUT`, where a value is a line.
fn one_line<T: Serialize>(value: &T) -> String {
    // As in `document`.
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}

fn versioned<T: Serialize>(body: &T) -> String {
    document(&Versioned { schema: 1, body })
}

/// The word for it in JSON.
fn word<T: Serialize>(value: T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |mut out, line| {
        out.push_str(&line);
        out.push('\n');
        out
    })
}

/// Where the image of a record is.
fn by_digest(record: &Record) -> impl Iterator<Item = String> {
    let places = record.repositories.iter();
    places.map(|place| format!("{place}@{}", record.digest))
}

fn planned(plan: &PlanDocument) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} at {}",
        plan.git_ref,
        plan.revision.as_deref().unwrap_or("no commit")
    );
    for image in &plan.images {
        let _ = writeln!(out, "{}", image.name);
        for platform in &image.platforms {
            let _ = writeln!(
                out,
                "  {:<14} {}",
                platform.platform, platform.containerfile
            );
        }
        for repository in &image.repositories {
            let _ = writeln!(out, "  {repository}: {}", image.tags.join(", "));
        }
    }
    out
}

fn unfinished(releases: &[UnfinishedDocument]) -> String {
    if releases.is_empty() {
        return "every release has ended\n".to_owned();
    }
    let mut out = String::new();
    // Writing to a String cannot fail.
    for release in releases {
        let _ = writeln!(
            out,
            "{} did not end: run it again to finish it",
            release.git_ref
        );
        for step in &release.moves {
            let from = step
                .from
                .map_or_else(|| "nothing".to_owned(), |digest| digest.short());
            let progress = word(step.progress);
            let _ = writeln!(
                out,
                "  {progress:<8} {}: {from} -> {}",
                step.reference,
                step.to.short()
            );
        }
        let _ = writeln!(out, "  {}", release.journal);
    }
    out
}

fn started(init: &InitDocument) -> String {
    let file = |file: &FileDocument| {
        let done = word(file.done);
        format!("{done:<9} {}: {}", file.path, file.purpose)
    };
    let podman = init.podman.as_deref().map_or_else(
        || "podman is not on this machine: builds need it".to_owned(),
        |version| format!("podman {version} is on this machine"),
    );
    let images = format!("images: {}", init.images.join(", "));
    let next = init.next.iter().map(|step| format!("  {step}"));
    lines(
        (init.files.iter().map(file))
            .chain([images, podman, "next:".to_owned()])
            .chain(next),
    )
}
