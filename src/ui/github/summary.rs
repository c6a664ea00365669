//! Decides what the job summary says of a result or a failure, and in which order.
//! Must never be cut in the middle of a section: GitHub drops a summary whole that is too long.

use super::super::{Answer, size};
use super::commands;
use super::markdown::{code, fence, list, table, text, word};
use super::timeline::timeline;
use crate::{
    error::Error,
    model::{
        plan::PlanDocument,
        pruned::{Outcome, Pruned},
        record::Record,
        report::{BuiltDocument, Published, Report},
    },
};

/// How a directory store's repositories are written; docker cannot pull from one.
const STORE: &str = "oci:";

/// The sections for a result; none for what is no step of a release. `notes` is what was said on the way.
pub(super) fn of_result(answer: &Answer, notes: &[String]) -> Vec<String> {
    let mut sections = match answer {
        Answer::Released(report) => released("released", report),
        Answer::Verified(report) => released("verified", report),
        Answer::Plan(plan) => planned(plan),
        Answer::Built(images) => vec![built(images)],
        Answer::Pushed(records) => vec![pushed(records)],
        Answer::Pruned(document) => pruned(&document.repositories),
        Answer::Matrix(_)
        | Answer::Diagnosed(_)
        | Answer::Started(_)
        | Answer::Unfinished(_)
        | Answer::Serving(_)
        | Answer::Text(_)
        | Answer::Nothing => {
            return Vec::new();
        }
    };
    sections.extend(noted(notes));
    sections
}

/// The sections for a failure: what, where, next; the lines of what failed; what was said on the way.
pub(super) fn of_failure(error: &Error, notes: &[String]) -> Vec<String> {
    let mut rows = vec![vec!["**what**".to_owned(), text(&error.what)]];
    for (head, part) in [("**where**", &error.place), ("**next**", &error.hint)] {
        if !part.is_empty() {
            rows.push(vec![head.to_owned(), text(part)]);
        }
    }
    let mut sections = vec![section(
        commands::title(error.kind),
        &table(&["", ""], &rows),
    )];
    if !error.tail.is_empty() {
        sections.push(fence("text", &error.tail));
    }
    sections.extend(noted(notes));
    sections
}

/// As many of the sections, from the first, as fit into `room` bytes.
pub(super) fn bounded(sections: &[String], room: usize) -> String {
    let left_out = "_There is more in the log: no more has room here._\n";
    let mut out = String::new();
    for (index, section) in sections.iter().enumerate() {
        let after = if index + 1 < sections.len() {
            left_out.len()
        } else {
            0
        };
        if out.len() + section.len() + 1 + after > room {
            if out.len() + left_out.len() <= room {
                out.push_str(left_out);
            }
            break;
        }
        out.push_str(section);
        out.push('\n');
    }
    out
}

/// A heading, and what stands under it.
fn section(heading: &str, body: &str) -> String {
    format!("### {heading}\n\n{body}")
}

fn noted(notes: &[String]) -> Option<String> {
    let items = notes.iter().map(|note| text(note));
    (!notes.is_empty()).then(|| section("Notes", &list(items)))
}

/// What a step of a release says first: `rpub released 1.2.3`, the commit.
fn head(verb: &str, git_ref: &str, version: Option<&str>, revision: Option<&str>) -> String {
    let of = version.unwrap_or(git_ref);
    let from = revision.map(|revision| format!("{} at {}\n\n", text(git_ref), code(revision)));
    section(
        &format!("rpub {verb} {}", text(of)),
        &from.unwrap_or_default(),
    )
}

/// What there is now, how to get it, what went, how long it took.
fn released(verb: &str, report: &Report) -> Vec<String> {
    let revision = report.revision.as_deref();
    let head = head(verb, &report.git_ref, report.version.as_deref(), revision);
    let rows: Vec<Vec<String>> = report
        .images
        .iter()
        .map(|image| {
            let platforms = image.platforms.iter().map(|platform| {
                let name = platform.platform.to_string();
                let (digest, bytes) = (platform.digest.short(), size(platform.size));
                format!("{} {} {}", code(&name), text(&bytes), code(&digest))
            });
            vec![
                code(&image.name),
                codes(&image.tags),
                code(&image.digest.to_string()),
                platforms.collect::<Vec<_>>().join("<br>"),
            ]
        })
        .collect();
    let images = table(&["Image", "Tags", "Digest", "Platforms, compressed"], &rows);
    let mut sections = vec![head + &images];
    sections.push(section(
        "How to pull",
        &fence("sh", report.images.iter().flat_map(pulls)),
    ));
    let references = report.images.iter().flat_map(|image| &image.references);
    let references = list(references.map(|reference| code(reference)));
    if !references.is_empty() {
        sections.push(section("References", &references));
    }
    sections.extend(pruned(&report.pruned));
    let stages = timeline(&report.stages);
    if !stages.is_empty() {
        sections.push(section("Stages", &stages));
    }
    sections
}

/// What was superseded: what of it went, and what stays; none where nothing was looked at.
fn pruned(repositories: &[Pruned]) -> Vec<String> {
    let rows: Vec<Vec<String>> = repositories.iter().flat_map(pruned_rows).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let head = ["Repository", "Manifest", "What", "Why"];
    vec![section("Superseded", &table(&head, &rows))]
}

fn pruned_rows(one: &Pruned) -> Vec<Vec<String>> {
    let row = |digest: String, what: &str, why: &str| {
        vec![code(&one.repository), digest, what.to_owned(), text(why)]
    };
    let deletions = one.deletions.iter().map(|deletion| {
        let what = match deletion.outcome {
            Outcome::Planned => "would go",
            Outcome::Deleted => "deleted",
            Outcome::Unsupported | Outcome::Refused => "stays",
        };
        let why = deletion.why.as_ref().unwrap_or(&deletion.reason);
        row(code(&deletion.digest.short()), what, why)
    });
    let kept = one.kept.iter();
    let kept = kept.map(|kept| row(code(&kept.digest.short()), "kept", &kept.why));
    let ended = one.ended.iter();
    let ended = ended.map(|ended| row(String::new(), "stopped", &ended.why));
    deletions.chain(kept).chain(ended).collect()
}

/// The command lines that pull an image from each of its repositories: by its first tag, and where it has none by digest.
fn pulls(image: &Published) -> Vec<String> {
    let mut lines = Vec::new();
    for place in &image.repositories {
        let reference = match image.tags.first() {
            Some(tag) => format!("{place}:{tag}"),
            None => format!("{place}@{}", image.digest),
        };
        let reference = word(&reference);
        lines.push(format!("podman pull {reference}"));
        if !place.starts_with(STORE) {
            lines.push(format!("docker pull {reference}"));
        }
    }
    lines
}

fn planned(plan: &PlanDocument) -> Vec<String> {
    let revision = plan.revision.as_deref();
    let head = head("plans", &plan.git_ref, plan.version.as_deref(), revision);
    let rows: Vec<Vec<String>> = plan
        .images
        .iter()
        .map(|image| {
            let platforms: Vec<String> = image
                .platforms
                .iter()
                .map(|platform| platform.platform.clone())
                .collect();
            vec![
                code(&image.name),
                codes(&image.tags),
                codes(&platforms),
                codes(&image.repositories),
            ]
        })
        .collect();
    vec![head + &table(&["Image", "Tags", "Platforms", "Repositories"], &rows)]
}

fn built(images: &[BuiltDocument]) -> String {
    let rows: Vec<Vec<String>> = images
        .iter()
        .map(|image| {
            vec![
                code(&image.name),
                code(&image.platform),
                code(&image.reference),
            ]
        })
        .collect();
    section(
        "rpub built",
        &table(&["Image", "Platform", "In podman's storage"], &rows),
    )
}

fn pushed(records: &[Record]) -> String {
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            vec![
                code(&record.image),
                code(&record.platform.to_string()),
                code(&record.digest.to_string()),
                codes(&record.repositories),
            ]
        })
        .collect();
    section(
        "rpub pushed, by digest",
        &table(&["Image", "Platform", "Digest", "Repositories"], &rows),
    )
}

/// One under the other, in one cell.
fn codes(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| code(word)).collect();
    words.join("<br>")
}
