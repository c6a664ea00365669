//! Decides what a report says of the blobs: which were uploaded, mounted or there already, on each repository.
//! Must never call a blob there that no registry confirmed.

use super::{
    Page,
    parts::{count as counted, folded, left_out, length, short, text, wide},
};
use crate::{
    model::{
        digest::Digest,
        report::{PlatformReport, Published},
        trace::{How, Transfer},
    },
    ui::size,
};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// A blob of an image.
struct Blob {
    digest: Digest,
    size: Option<u64>,
    name: String,
}

/// What became of a blob on a repository.
#[derive(Clone, Copy)]
enum Cell<'a> {
    /// It was brought there, or not to the end.
    Sent(&'a Transfer),
    /// It was read back, and nothing was sent.
    There,
    /// Nobody asked.
    Unknown,
}

/// The last transfer of each blob to each repository; one that brought it there counts more than one that found it.
type Known<'a> = BTreeMap<(&'a str, Digest), &'a Transfer>;

fn known<'a>(page: &Page<'a>) -> Known<'a> {
    let mut known = Known::new();
    for one in &page.trace.transfers {
        let before = known.get(&(&*one.place, one.digest));
        let moved = |one: &Transfer| matches!(one.how, Some(How::Uploaded | How::Mounted));
        if before.is_none_or(|before| moved(one) || !moved(before)) {
            known.insert((&*one.place, one.digest), one);
        }
    }
    known
}

/// Every image's blobs on every repository; none where nothing is known of any.
pub(super) fn transfers(page: &Page<'_>) -> Option<Markup> {
    let known = known(page);
    let plan = page.trace.plan.as_deref()?;
    let all: Vec<(&str, Vec<Blob>, &[String], bool)> = (plan.images.iter())
        .map(|image| {
            let read = page.images().iter().find(|one| one.name == image.name);
            let blobs = blobs(page, read, &image.repositories);
            (&*image.name, blobs, &*image.repositories, read.is_some())
        })
        .filter(|(_, blobs, ..)| !blobs.is_empty())
        .collect();
    if all.is_empty() {
        return None;
    }
    Some(html! {
        @for (name, blobs, places, read) in &all {
            @let cell = |place: &str, digest| match known.get(&(place, digest)) {
                Some(one) => Cell::Sent(one),
                None if *read => Cell::There,
                None => Cell::Unknown,
            };
            article {
                h3 { (text(name)) }
                (sums(blobs, places, &cell))
                @let summary = format!("Each of its {} blobs", blobs.len());
                (folded(&summary, blobs.len(), &each(page, name, blobs, places, &cell)))
            }
        }
    })
}

/// The blobs of an image that was read back, and those that were sent; each once.
fn blobs(page: &Page<'_>, read: Option<&Published>, places: &[String]) -> Vec<Blob> {
    let mut out = Vec::new();
    let mut seen = BTreeSet::new();
    let platforms = read.map_or(&[][..], |image| &image.platforms);
    for platform in platforms {
        out.extend(of_platform(platform).filter(|blob| seen.insert(blob.digest)));
    }
    let here = |one: &&Transfer| places.contains(&one.place);
    let sent = page.trace.transfers.iter().filter(here);
    let new = sent.filter(|one| seen.insert(one.digest));
    out.extend(new.map(|one| Blob {
        digest: one.digest,
        size: Some(one.size),
        name: "not said".to_owned(),
    }));
    for blob in &mut out {
        if blob.size.is_none() {
            let sent = page
                .trace
                .transfers
                .iter()
                .find(|one| one.digest == blob.digest);
            blob.size = sent.map(|one| one.size);
        }
    }
    out
}

fn of_platform(platform: &PlatformReport) -> impl Iterator<Item = Blob> {
    let layers: u64 = platform.layers.iter().map(|layer| layer.size).sum();
    let config = Blob {
        digest: platform.config,
        size: platform.size.checked_sub(layers),
        name: format!("config of {}", platform.platform),
    };
    let layers = platform.layers.iter().map(|layer| Blob {
        digest: layer.digest,
        size: Some(layer.size),
        name: (layer.created_by.clone()).unwrap_or_else(|| "not said".to_owned()),
    });
    layers.chain([config])
}

/// Counts and bytes for each repository.
fn sums<'a>(blobs: &[Blob], places: &[String], cell: &dyn Fn(&str, Digest) -> Cell<'a>) -> Markup {
    let sum = |place: &str, kind: &str| {
        let of = blobs
            .iter()
            .filter(|blob| class(cell(place, blob.digest)) == kind);
        let (number, bytes) = of.fold((0, 0), |(number, bytes), blob| {
            (number + 1, bytes + blob.size.unwrap_or(0))
        });
        html! {
            @if number == 0 { span.quiet { "none" } } @else { (counted(number, "blob")) ", " (size(bytes)) }
        }
    };
    let kinds = [
        ("uploaded", "Uploaded"),
        ("mounted", "Mounted"),
        ("there", "Already there"),
    ];
    let failed = |place: &&String| {
        let is = |blob: &Blob| class(cell(place, blob.digest)) == "missing";
        blobs.iter().any(is)
    };
    let any_failed = places.iter().any(|place| failed(&place));
    html! {
        table.stacked {
            caption { "Blobs and bytes, by repository" }
            thead {
                tr {
                    th scope="col" { "Repository" }
                    @for (_, title) in kinds { th scope="col" { (title) } }
                    @if any_failed { th scope="col" { "Not confirmed" } }
                }
            }
            tbody {
                @for place in places.iter().take(100) {
                    tr {
                        th scope="row" { code { (text(place)) } }
                        @for (kind, title) in kinds {
                            td data-label=(title) { (sum(place, kind)) }
                        }
                        @if any_failed { td data-label="Not confirmed" { (sum(place, "missing")) } }
                    }
                }
            }
        }
    }
}

fn class(cell: Cell<'_>) -> &'static str {
    match cell {
        Cell::Sent(one) => match one.how {
            Some(How::Uploaded) => "uploaded",
            Some(How::Mounted) => "mounted",
            Some(How::Present) => "there",
            None => "missing",
        },
        Cell::There => "there",
        Cell::Unknown => "missing",
    }
}

fn words(cell: Cell<'_>) -> Markup {
    let class = class(cell);
    html! {
        span class={ "how " (class) } {
            @match cell {
                Cell::Sent(one) => {
                    @match one.how {
                        Some(How::Uploaded) => { "uploaded in " (length(one.span)) }
                        Some(How::Mounted) => { "mounted" }
                        Some(How::Present) => { "there" }
                        None => { "did not arrive" }
                    }
                }
                Cell::There => { "there" }
                Cell::Unknown => { "not sent" }
            }
        }
    }
}

/// Every blob by every repository.
fn each<'a>(
    page: &Page<'_>,
    image: &str,
    blobs: &[Blob],
    places: &[String],
    cell: &dyn Fn(&str, Digest) -> Cell<'a>,
) -> Markup {
    let (shown, more) = page.room.take(blobs);
    let table = html! {
        table.stacked.matrix {
            caption.unseen { "Blobs of " (text(image)) " by repository" }
            thead {
                tr {
                    th scope="col" { "Blob" }
                    th.number scope="col" { "Size" }
                    @for place in places.iter().take(20) {
                        th scope="col" { (text(place)) }
                    }
                }
            }
            tbody {
                @for blob in shown {
                    tr {
                        th scope="row" { (short(blob.digest)) " " span.quiet { (text(&blob.name)) } }
                        td.number data-label="Size" { (blob.size.map(size).unwrap_or_default()) }
                        @for place in places.iter().take(20) {
                            td data-label=(text(place)) { (words(cell(place, blob.digest))) }
                        }
                    }
                }
            }
        }
    };
    html! { (wide(&format!("Blobs of {image}"), &table)) (left_out(more, "blobs")) }
}
