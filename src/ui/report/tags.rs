//! Decides what a report says of tags, of what was pruned, and of what was said on the way.
//! Must never leave out why something stays.

use super::{
    Outcome, Page,
    parts::{digest, left_out, text, time},
};
use crate::model::{
    journal::Progress,
    pruned::{Outcome as Became, Pruned},
    report::TagMove,
};
use maud::{Markup, PreEscaped, html};

/// Every tag on every repository: what it named, what it names; none where no move was written down.
pub(super) fn tags(page: &Page<'_>) -> Option<Markup> {
    let moves = page.moves();
    if moves.is_empty() {
        return None;
    }
    let mut images: Vec<&str> = Vec::new();
    for one in moves {
        if !images.contains(&&*one.image) {
            images.push(&one.image);
        }
    }
    Some(html! {
        @for image in images {
            @let rows = alike(moves.iter().filter(|one| one.image == image));
            @let (shown, more) = page.room.take(&rows);
            article {
                h3 { (text(image)) }
                table.stacked.tags {
                    caption.unseen { "Tags of " (text(image)) ", in the order in which they moved" }
                    thead {
                        tr {
                            th scope="col" { "Tag" }
                            th scope="col" { "Before" }
                            th scope="col" { "After" }
                            th scope="col" { "Result" }
                            th scope="col" { "On" }
                        }
                    }
                    tbody {
                        @for moves in shown { (row(page, moves)) }
                    }
                }
                (left_out(more, "tags"))
            }
        }
    })
}

/// Those of one tag that went alike on several repositories stand in one row.
fn alike<'a>(moves: impl Iterator<Item = &'a TagMove>) -> Vec<Vec<&'a TagMove>> {
    let mut rows: Vec<Vec<&TagMove>> = Vec::new();
    for one in moves {
        let same = |other: &&TagMove| {
            let alike = other.from == one.from && other.to == one.to;
            alike && other.tag == one.tag && other.progress == one.progress
        };
        let row = rows.iter_mut().find(|row| row.first().is_some_and(same));
        match row {
            Some(row) => row.push(one),
            None => rows.push(vec![one]),
        }
    }
    rows
}

fn row(page: &Page<'_>, moves: &[&TagMove]) -> Markup {
    let Some(one) = moves.first() else {
        return html! {};
    };
    let failed = matches!(page.outcome, Outcome::Failed(_));
    let (class, result) = match one.progress {
        Progress::Done if one.from == Some(one.to) => ("there", "stays the same"),
        Progress::Done if one.from.is_none() => ("uploaded", "new"),
        Progress::Done => ("uploaded", "moved"),
        Progress::Undone => ("mounted", "taken back"),
        Progress::Planned if failed => ("there", "not begun"),
        Progress::Planned => ("there", "planned"),
        Progress::Begun => ("missing", "may be either"),
    };
    let after = match one.progress {
        Progress::Done => Some(one.to),
        Progress::Planned | Progress::Undone => one.from,
        Progress::Begun => None,
    };
    html! {
        tr {
            th scope="row" { code { (text(&one.tag)) } }
            td data-label="Before" {
                @match one.from { Some(from) => (digest(from)), None => span.quiet { "nothing" } }
            }
            td data-label="After" {
                @match after {
                    Some(after) => (digest(after)),
                    None if one.progress == Progress::Begun => { "not known; meant was " (digest(one.to)) }
                    None => span.quiet { "nothing" },
                }
            }
            td data-label="Result" { span class={ "how " (class) } { (result) } }
            td data-label="On" {
                ul.plain {
                    @for one in moves.iter().take(50) { li { code { (text(&one.repository)) } } }
                }
            }
        }
    }
}

/// What of each repository went, what stays, and why; none where it came to none of that.
pub(super) fn pruned(page: &Page<'_>) -> Option<Markup> {
    let report = page.report()?;
    if report.pruned.is_empty() {
        let moved = |one: &TagMove| one.tag == "latest" && one.from != Some(one.to);
        let first = |one: &TagMove| moved(one) && one.from.is_none();
        let why = if !report.moves.iter().any(moved) {
            "latest did not move, so nothing was superseded."
        } else if report.moves.iter().filter(|one| moved(one)).all(first) {
            "latest named nothing before, so nothing was superseded."
        } else {
            "Nothing was pruned: rpub.toml says so, or nothing is left of what latest named."
        };
        return Some(html! { p { (why) } });
    }
    // Where the same went from several repositories it is told once.
    let mut told: Vec<(Vec<&str>, String)> = Vec::new();
    for one in &report.pruned {
        let markup = repository(page, one).into_string();
        match told.iter_mut().find(|(_, known)| *known == markup) {
            Some((names, _)) => names.push(&one.repository),
            None => told.push((vec![&one.repository], markup)),
        }
    }
    Some(html! {
        @for (names, markup) in told {
            article {
                h3 {
                    @for (number, name) in names.iter().enumerate() {
                        @if number > 0 { br; }
                        code { (text(name)) }
                    }
                }
                (PreEscaped(markup))
            }
        }
    })
}

fn repository(page: &Page<'_>, one: &Pruned) -> Markup {
    let (gone, more) = page.room.take(&one.deletions);
    let (kept, more_kept) = page.room.take(&one.kept);
    html! {
        @if one.is_idle() { p { "There was nothing to prune." } }
        @if !gone.is_empty() || !kept.is_empty() {
            table.stacked {
                caption { "What went, what stays" }
                thead {
                    tr {
                        th scope="col" { "Manifest" }
                        th scope="col" { "What" }
                        th scope="col" { "Why" }
                    }
                }
                tbody {
                    @for deletion in gone {
                        @let (class, what) = match deletion.outcome {
                            Became::Planned => ("there", "would go"),
                            Became::Deleted => ("missing", "deleted"),
                            Became::Unsupported | Became::Refused => ("there", "stays"),
                        };
                        tr {
                            th scope="row" { (digest(deletion.digest)) }
                            td data-label="What" { span class={ "how " (class) } { (what) } }
                            td data-label="Why" {
                                (text(&deletion.reason))
                                @if let Some(why) = &deletion.why { "; " (text(why)) }
                                @if let Some(next) = &deletion.next { br; strong { "Next: " (text(next)) } }
                            }
                        }
                    }
                    @for kept in kept {
                        tr {
                            th scope="row" { (digest(kept.digest)) }
                            td data-label="What" { span.how.there { "stays" } }
                            td data-label="Why" { (text(&kept.why)) }
                        }
                    }
                }
            }
        }
        (left_out(more + more_kept, "manifests"))
        @if !one.restored.is_empty() {
            p { "Put back, because something needs it after all:" }
            ul.plain { @for restored in one.restored.iter().take(100) { li { (digest(*restored)) } } }
        }
        @if let Some(ended) = &one.ended {
            p {
                "It stopped: " (text(&ended.why))
                @if let Some(next) = &ended.next { br; strong { "Next: " (text(next)) } }
            }
        }
    }
}

/// Warnings and notes, as they came.
pub(super) fn notes(page: &Page<'_>) -> Option<Markup> {
    let notes = &page.trace.notes;
    if notes.is_empty() {
        return None;
    }
    let (shown, more) = page.room.take(notes);
    Some(html! {
        ul.notes {
            @for note in shown {
                li class=[note.warning.then_some("warning")] {
                    span.quiet { "at " (time(note.at)) ": " }
                    @if note.warning { strong { "Warning: " } }
                    (text(&note.text))
                }
            }
        }
        (left_out(more, "of them"))
    })
}
