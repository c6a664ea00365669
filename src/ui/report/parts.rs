//! Decides how the small things of a report look: digests, times, links; and how much of everything there is room for.
//! Must never link to what is no web page, nor cut a digest without saying so.

use crate::model::{digest::Digest, trace::Span};
use crate::ui::plain::hides;
use maud::{Markup, html};
use std::cell::Cell;

/// No list of a report is longer.
const LIST: usize = 400;
/// All lists of a report together are not longer: some megabytes.
const PAGE: usize = 4_000;
/// No text that somebody else wrote is longer, in characters.
const TEXT: usize = 1_000;
/// So many rows are shown at once; more are folded.
pub(super) const UNFOLDED: usize = 12;

/// How many rows a report has room for.
pub(super) struct Room(Cell<usize>);

impl Room {
    pub(super) fn new() -> Self {
        Room(Cell::new(PAGE))
    }

    /// As many of `rows` as there is room for, and how many those leave out.
    pub(super) fn take<'a, T>(&self, rows: &'a [T]) -> (&'a [T], usize) {
        let fits = rows.len().min(LIST).min(self.0.get());
        self.0.set(self.0.get() - fits);
        (rows.get(..fits).unwrap_or(rows), rows.len() - fits)
    }
}

/// What stands under a list that is not whole.
pub(super) fn left_out(count: usize, what: &str) -> Markup {
    html! {
        @if count > 0 {
            p.quiet { "And " (count) " more " (what) ": there is no room for them here." }
        }
    }
}

/// Bounded, and without what would move a cursor.
pub(super) fn text(text: &str) -> String {
    let printable = |c: &char| !hides(*c) || *c == '\n';
    let mut out: String = text.chars().filter(printable).take(TEXT).collect();
    if text.chars().filter(printable).nth(TEXT).is_some() {
        out.push('…');
    }
    out
}

/// A whole digest: one click marks all of it.
pub(super) fn digest(digest: Digest) -> Markup {
    html! { code.digest { (digest) } }
}

/// The beginning of one.
pub(super) fn short(digest: Digest) -> Markup {
    html! { code { (digest.short()) "…" } }
}

/// A link, where it leads to the web; else the words alone.
pub(super) fn link(address: &str, words: &str) -> Markup {
    let web = ["https://", "http://"]
        .iter()
        .any(|scheme| address.starts_with(scheme));
    html! {
        @if web {
            a href=(address) rel="noreferrer" { (text(words)) }
        } @else {
            (text(words))
        }
    }
}

/// Milliseconds for people: `340 ms`, `1.2 s`, `2 min 5 s`.
pub(super) fn time(milliseconds: u64) -> String {
    if milliseconds < 1000 {
        return format!("{milliseconds} ms");
    }
    // Precision is lost far above what anybody waits for.
    #[allow(clippy::cast_precision_loss)]
    let seconds = milliseconds as f64 / 1000.0;
    super::super::seconds(seconds)
}

/// `1.2 s`, or that it did not end.
pub(super) fn length(span: Span) -> String {
    span.length().map_or_else(|| "did not end".to_owned(), time)
}

/// `1 layer`, `2 layers`.
pub(super) fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// Where a bar lies in a whole: its left end and its width in percent.
pub(super) fn bar(begin: u64, end: u64, whole: u64) -> String {
    // Percents of one decimal.
    #[allow(clippy::cast_precision_loss)]
    let percent = |part: u64| (part.min(whole) as f64) * 100.0 / (whole.max(1) as f64);
    let (left, right) = (percent(begin), percent(end.max(begin)));
    format!("left:{left:.1}%;width:{:.1}%", right - left)
}

/// A table that scrolls by itself where it is too wide, so that the page need not.
pub(super) fn wide(label: &str, table: &Markup) -> Markup {
    html! { div.wide role="region" aria-label=(text(label)) tabindex="0" { (table) } }
}

/// Rows that fold where they are many.
pub(super) fn folded(summary: &str, rows: usize, inside: &Markup) -> Markup {
    html! {
        details open[rows <= UNFOLDED] {
            summary { (text(summary)) }
            (inside)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_in_their_track() {
        assert_eq!(bar(0, 50, 100), "left:0.0%;width:50.0%");
        assert_eq!(bar(90, 500, 100), "left:90.0%;width:10.0%");
        assert_eq!(bar(5, 1, 0), "left:0.0%;width:0.0%");
    }

    #[test]
    fn only_web_addresses_are_links() {
        assert!(link("https://example.org", "x").0.starts_with("<a href"));
        for address in ["javascript:alert(1)", "data:text/html,x", "git@host:x"] {
            assert_eq!(link(address, "x").0, "x");
        }
    }

    #[test]
    fn there_is_room_for_so_much() {
        let room = Room::new();
        let many = vec![0; LIST + 7];
        assert_eq!(room.take(&many).1, 7);
        for _ in 0..PAGE / LIST {
            room.take(&many);
        }
        assert_eq!(room.take(&many).0.len(), 0);
        assert_eq!(text(&"x".repeat(TEXT + 1)).chars().count(), TEXT + 1);
    }
}
