//! Decides what a report shows of each image: digest, tags, how to pull it, and its layers by platform.
//! Must never show a digest that cannot be copied whole.

use super::{
    Outcome, Page,
    parts::{bar, count, digest, folded, left_out, short, text, wide},
};
use crate::{
    model::{
        plan::ImageDocument,
        record::Record,
        report::{LayerReport, PlatformReport, Published},
    },
    ui::size,
};
use maud::{Markup, html};

/// How a directory store's repositories are written; docker cannot pull from one.
const STORE: &str = "oci:";

/// Every image; none where none is known.
pub(super) fn images(page: &Page<'_>) -> Option<Markup> {
    if let Outcome::Pushed(records) = page.outcome {
        return Some(pushed(page, records));
    }
    let images = page.images();
    if images.is_empty() {
        let plan = page.trace.plan.as_deref()?;
        let (images, more) = page.room.take(&plan.images);
        return Some(html! {
            p.quiet { "None of them got as far as to be read back from a registry. This was planned:" }
            @for image in images {
                article {
                    h3 { (text(&image.name)) }
                    (planned(image))
                }
            }
            (left_out(more, "images"))
        });
    }
    Some(html! {
        @for image in images {
            article {
                h3 { (text(&image.name)) }
                (image_of(page, image))
            }
        }
    })
}

fn planned(image: &ImageDocument) -> Markup {
    let platforms = image.platforms.iter().map(|one| one.platform.clone());
    html! {
        dl.facts {
            div { dt { "Platforms" } dd { (chips(&platforms.collect::<Vec<_>>())) } }
            div { dt { "Tags" } dd { (chips(&image.tags)) } }
            div { dt { "Repositories" } dd { (chips(&image.repositories)) } }
        }
    }
}

fn chips(words: &[String]) -> Markup {
    html! {
        ul.chips {
            @for word in words.iter().take(100) { li { code { (text(word)) } } }
        }
    }
}

fn image_of(page: &Page<'_>, image: &Published) -> Markup {
    let labels = page.planned(&image.name).map(|planned| &planned.labels);
    let visible = matches!(page.outcome, Outcome::Released(_));
    html! {
        dl.facts {
            div.whole { dt { "Digest of the list" } dd { (digest(image.digest)) } }
            div.whole {
                dt { @if visible { "Tags" } @else { "Tags that were planned" } }
                dd {
                    @if image.tags.is_empty() { "none: newer ones stay where they are" } @else { (chips(&image.tags)) }
                }
            }
        }
        h4 { "How to pull it" }
        (pull(page, image, visible))
        @for platform in &image.platforms { (platform_of(page, platform)) }
        @if let Some(labels) = labels.filter(|labels| !labels.is_empty()) {
            details {
                summary { "Labels (" (labels.len()) ")" }
                dl.told {
                    @for (key, value) in labels.iter().take(200) {
                        div { dt { code { (text(key)) } } dd { (text(value)) } }
                    }
                }
            }
        }
    }
}

/// The command lines that pull an image: by its first tag, and where no tag names it by digest.
fn pull(page: &Page<'_>, image: &Published, visible: bool) -> Markup {
    let (places, _) = page.room.take(&image.repositories);
    let references = places.iter().map(|place| {
        let tag = image.tags.first().filter(|_| visible);
        let reference = tag.map_or_else(
            || format!("{place}@{}", image.digest),
            |tag| format!("{place}:{tag}"),
        );
        format!("{} {reference}", image.pull_from(place))
    });
    html! {
        ul.pull {
            @for reference in references {
                li { code.digest { (text(&reference)) } }
            }
        }
        @if places.iter().any(|place| !place.starts_with(STORE)) {
            p.quiet { "Or " code { "docker pull" } ", from a registry." }
        }
    }
}

fn platform_of(page: &Page<'_>, platform: &PlatformReport) -> Markup {
    let layers = &platform.layers;
    let summary = count(layers.len(), "layer");
    let name = platform.platform.to_string();
    html! {
        section.platform {
            h4 { (name) " " span.quiet { (size(platform.size)) " to pull" } }
            p { "Manifest " (digest(platform.digest)) }
            @if layers.is_empty() {
                p.quiet { "It has no layers." }
            } @else {
                (folded(&summary, layers.len(), &layers_of(page, &name, layers)))
            }
        }
    }
}

fn layers_of(page: &Page<'_>, platform: &str, layers: &[LayerReport]) -> Markup {
    let largest = layers.iter().map(|layer| layer.size).max().unwrap_or(0);
    let (shown, more) = page.room.take(layers);
    let table = html! {
        table.layers {
            caption.unseen { "Layers of " (text(platform)) ", base first" }
            thead {
                tr {
                    th scope="col" { "Made by" }
                    th scope="col" { "Digest" }
                    th.number scope="col" { "Compressed" }
                    th.share scope="col" { "Compared" }
                }
            }
            tbody {
                @for (layer, index) in shown.iter().zip(1..) {
                    tr {
                        th scope="row" {
                            span.index { (index) }
                            @match &layer.created_by {
                                Some(step) => { code { (text(step)) } }
                                None => { span.quiet { "not said" } }
                            }
                        }
                        td { (short(layer.digest)) }
                        td.number { (size(layer.size)) }
                        td.share { span.track { span.bar style=(bar(0, layer.size, largest)) {} } }
                    }
                }
            }
        }
    };
    html! { (wide(&format!("Layers of {platform}"), &table)) (left_out(more, "layers")) }
}

/// What `rpub push` brought to the registries, without a tag.
fn pushed(page: &Page<'_>, records: &[Record]) -> Markup {
    let (shown, more) = page.room.take(records);
    html! {
        p { "Pushed by digest, without a tag: " code { "rpub assemble" } " makes lists of them and tags those." }
        @for record in shown {
            article {
                h3 { (text(&record.image)) " " span.quiet { (record.platform) } }
                dl.facts {
                    div.whole { dt { "Manifest" } dd { (digest(record.digest)) } }
                    div { dt { "Repositories" } dd { (chips(&record.repositories)) } }
                }
            }
        }
        (left_out(more, "images"))
    }
}
