//! Decides what a report says first: what was released, how that ended, and after a failure what to do.
//! Must never say that nothing is visible where a tag may have moved.

use super::{
    Outcome, Page,
    parts::{count, digest, link, text, time},
};
use crate::{
    error::{Error, Kind},
    model::{journal::Progress, plan::PlanDocument, pruned::Pruned},
};
use maud::{Markup, html};
use std::collections::BTreeSet;

const SOURCE: &str = "org.opencontainers.image.source";

/// How it ended, in one word or two.
struct Verdict {
    /// A class of the style: `good`, `fair` or `bad`.
    class: &'static str,
    mark: &'static str,
    words: &'static str,
}

fn verdict(page: &Page<'_>) -> Verdict {
    let verdict = |class, mark, words| Verdict { class, mark, words };
    match page.outcome {
        Outcome::Released(report) if report.pruned.iter().any(|one| !one.to_do().is_empty()) => {
            verdict("fair", "!", "released, not all pruned")
        }
        Outcome::Released(_) => verdict("good", "✓", "released"),
        Outcome::Pushed(_) => verdict("good", "✓", "pushed by digest"),
        Outcome::Done => verdict("good", "✓", "done"),
        Outcome::Failed(error) => match error.kind {
            Kind::Failed | Kind::Usage | Kind::PruneIncomplete => verdict("bad", "✗", "failed"),
            Kind::Build => verdict("bad", "✗", "a build failed"),
            Kind::Registry => verdict("bad", "✗", "a registry failed"),
            Kind::Interrupted => verdict("fair", "!", "interrupted"),
            Kind::Engine => verdict("bad", "✗", "podman not usable"),
            Kind::Permission => verdict("bad", "✗", "not permitted"),
            Kind::RolledBack => verdict("fair", "↺", "rolled back"),
            Kind::RollbackIncomplete => verdict("bad", "✗", "roll-back incomplete"),
        },
    }
}

/// What is released: the version, else the ref.
fn subject(page: &Page<'_>) -> String {
    let plan = page.trace.plan.as_deref();
    let of = |plan: &PlanDocument| plan.version.clone().unwrap_or(plan.git_ref.clone());
    plan.map_or_else(|| "rpub".to_owned(), of)
}

/// The page's title.
pub(super) fn title(page: &Page<'_>) -> String {
    text(&format!("{}: {}", subject(page), verdict(page).words))
}

/// The head of the page.
pub(super) fn head(page: &Page<'_>) -> Markup {
    let trace = page.trace;
    let Verdict { class, mark, words } = verdict(page);
    let podman = page.report().and_then(|report| report.podman.as_ref());
    let podman = podman.or(trace.podman.as_ref());
    html! {
        header {
            p.eyebrow { "Report of a release" }
            h1 { (text(&subject(page))) }
            p.verdict {
                span class={ "badge " (class) } { span aria-hidden="true" { (mark) } " " (words) }
                span { (scope(page)) }
            }
            dl.facts {
                @if let Some(plan) = trace.plan.as_deref() {
                    div { dt { "Ref" } dd { code { (text(&plan.git_ref)) } } }
                    @if let Some(revision) = &plan.revision {
                        div.two { dt { "Commit" } dd { (commit(plan, revision)) } }
                    }
                    @if let Some(source) = source(plan) {
                        div.two { dt { "Source" } dd { (link(source, source)) } }
                    }
                }
                @if let Some(run) = trace.run.as_deref().filter(|run| !run.is_empty()) {
                    div.two { dt { "CI run" } dd { (link(run, run)) } }
                }
                @if !trace.began.is_empty() {
                    div { dt { "Began" } dd { time datetime=(trace.began) { (trace.began.replace('T', " ").replace('Z', " UTC")) } } }
                }
                div { dt { "Took" } dd { (time(trace.length)) } }
                @if let Some(version) = podman {
                    div { dt { "podman" } dd { (text(version)) } }
                }
            }
        }
    }
}

/// How much of what was planned: `2 images on 2 registries`.
fn scope(page: &Page<'_>) -> String {
    let Some(plan) = page.trace.plan.as_deref() else {
        return String::new();
    };
    let repositories: BTreeSet<&String> = plan
        .images
        .iter()
        .flat_map(|image| &image.repositories)
        .collect();
    let repositories = match repositories.len() {
        1 => "1 repository".to_owned(),
        many => format!("{many} repositories"),
    };
    format!("{}, {repositories}", count(plan.images.len(), "image"))
}

fn source(plan: &PlanDocument) -> Option<&str> {
    let labels = plan
        .images
        .iter()
        .find_map(|image| image.labels.get(SOURCE));
    labels.map(String::as_str)
}

/// The commit, with a link to it on the hosts whose addresses are known.
fn commit(plan: &PlanDocument, revision: &str) -> Markup {
    let hosts = ["github.com", "gitlab.com", "codeberg.org"];
    let known = source(plan).filter(|source| {
        let rest = source.strip_prefix("https://").unwrap_or_default();
        hosts.iter().any(|host| {
            rest.strip_prefix(host)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    });
    html! {
        @match known {
            Some(source) => {
                a href={ (source.trim_end_matches(".git")) "/commit/" (revision) } rel="noreferrer" { code.digest { (text(revision)) } }
            }
            None => { code.digest { (text(revision)) } }
        }
    }
}

/// After a failure: what, where, next; and what of it is visible.
pub(super) fn failure(page: &Page<'_>) -> Markup {
    let left: Vec<(String, String)> = page.pruned().iter().flat_map(Pruned::to_do).collect();
    html! {
        @if let Outcome::Failed(error) = page.outcome {
            section.failure aria-labelledby="failure" {
                h2 id="failure" { "What happened" }
                (told(error))
                @if !error.tail.is_empty() {
                    h3 { "Its last lines" }
                    pre { code { (text(&error.tail.join("\n"))) } }
                }
                p { strong { (visible(page)) } }
                (there_by_digest(page))
            }
        }
        @if !left.is_empty() {
            section.failure aria-labelledby="left" {
                h2 id="left" { "What is left to do" }
                dl.told {
                    @for (what, next) in page.room.take(&left).0 {
                        div { dt { (text(what)) } dd { (text(next)) } }
                    }
                }
            }
        }
    }
}

fn told(error: &Error) -> Markup {
    html! {
        dl.told {
            div { dt { "What" } dd { (text(&error.what)) } }
            @if !error.place.is_empty() {
                div { dt { "Where" } dd { (text(&error.place)) } }
            }
            @if !error.hint.is_empty() {
                div { dt { "Next" } dd { (text(&error.hint)) } }
            }
        }
    }
}

/// What users see of a release that failed.
fn visible(page: &Page<'_>) -> &'static str {
    let moves = page.moves();
    let is = |wanted: Progress| moves.iter().any(|one| one.progress == wanted);
    if is(Progress::Begun) {
        "Tags may disagree: see each of them below."
    } else if is(Progress::Undone) {
        "Tags had begun to move, and were taken back: users see what they saw before."
    } else if is(Progress::Done) {
        "Tags have moved."
    } else {
        "No tag has moved: users see nothing of it."
    }
}

/// What is on registries by digest alone, where nothing was read back yet.
fn there_by_digest(page: &Page<'_>) -> Markup {
    let manifests = &page.trace.manifests;
    html! {
        @if page.images().is_empty() && !manifests.is_empty() {
            h3 { "There by digest, without a tag" }
            ul.plain {
                @for (place, of) in page.room.take(manifests).0 {
                    li { code { (text(place)) } " " (digest(*of)) }
                }
            }
        }
    }
}
