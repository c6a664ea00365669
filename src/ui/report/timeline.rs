//! Decides how a report draws time: stages, builds, every blob's way to each repository, and what was waited for.
//! Must never tell anything by a bar alone: beginning and length stand beside it.

use super::{
    Page,
    parts::{UNFOLDED, bar, left_out, length, text, time},
};
use crate::{
    model::trace::{How, Span, Transfer},
    ui::size,
};
use maud::{Markup, html};

/// One line of the drawing.
struct Row {
    name: Markup,
    what: String,
    class: &'static str,
    span: Span,
}

/// The drawing; none of a run in which nothing began.
pub(super) fn timeline(page: &Page<'_>) -> Option<Markup> {
    let trace = page.trace;
    if trace.stages.is_empty() {
        return None;
    }
    let stages = trace.stages.iter().map(|(name, span)| Row {
        name: html! { (text(name)) },
        what: String::new(),
        class: "stage",
        span: *span,
    });
    let builds = trace.builds.iter().map(|build| Row {
        name: html! { (text(&build.image)) " " (build.platform) },
        what: String::new(),
        class: "build",
        span: build.span,
    });
    let waits = trace.waits.iter().map(|wait| Row {
        name: html! { (text(&wait.host)) },
        what: format!("waited: {}", text(&wait.reason)),
        class: "wait",
        span: wait.span,
    });
    let mut groups: Vec<(String, Vec<Row>)> = vec![
        ("Stages".to_owned(), stages.collect()),
        ("Builds".to_owned(), builds.collect()),
    ];
    let mut places: Vec<&str> = Vec::new();
    for one in &trace.transfers {
        if !places.contains(&&*one.place) {
            places.push(&one.place);
        }
    }
    places.sort_unstable();
    for place in places {
        let rows = trace.transfers.iter().filter(|one| one.place == place);
        groups.push((place.to_owned(), rows.map(row).collect()));
    }
    groups.push(("Waits and next tries".to_owned(), waits.collect()));
    groups.retain(|(_, rows)| !rows.is_empty());
    let tries = match trace.waits.len() {
        0 => "no request had to be tried again".to_owned(),
        1 => "1 request was tried again".to_owned(),
        many => format!("{many} times a request was tried again"),
    };
    let drawn = groups.iter().map(|(name, rows)| group(page, name, rows));
    Some(html! {
        figure.timeline {
            figcaption { "From the beginning to the end, " (time(trace.length)) "; " (tries) "." }
            div.axis aria-hidden="true" {
                @for quarter in 0..=4_u64 {
                    span { @if quarter == 0 { "0" } @else { (time(trace.length / 4 * quarter)) } }
                }
            }
            @for group in drawn { (group) }
        }
        (left_out(trace.left_out, "events"))
    })
}

fn row(one: &Transfer) -> Row {
    let (class, how) = match one.how {
        Some(How::Uploaded) => ("uploaded", "uploaded"),
        Some(How::Mounted) => ("mounted", "mounted"),
        Some(How::Present) => ("there", "was there"),
        None => ("missing", "did not arrive"),
    };
    Row {
        name: html! { code { (one.digest.short()) "…" } },
        what: format!("{how}, {}", size(one.size)),
        class,
        span: one.span,
    }
}

/// Some lines under a name, which fold where they are many.
fn group(page: &Page<'_>, name: &str, rows: &[Row]) -> Markup {
    let (shown, more) = page.room.take(rows);
    let whole = page.trace.length;
    let lines = html! {
        ol {
            @for row in shown {
                @let end = row.span.end.unwrap_or(whole);
                li {
                    span.name { (row.name) @if !row.what.is_empty() { " " span.quiet { (row.what) } } }
                    span.when {
                        span.quiet { "at " (time(row.span.begin)) @if row.span.end.is_some() { " for " } @else { ", " } }
                        (length(row.span))
                    }
                    span.track aria-hidden="true" {
                        span class={ "bar " (row.class) } style=(bar(row.span.begin, end, whole)) {}
                    }
                }
            }
        }
        (left_out(more, "lines"))
    };
    html! {
        @if rows.len() <= UNFOLDED {
            h3 { (text(name)) }
            (lines)
        } @else {
            details {
                summary { h3 { (text(name)) } " " span.quiet { (rows.len()) " lines" } }
                (lines)
            }
        }
    }
}
