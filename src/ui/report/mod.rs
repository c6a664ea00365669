//! Decides what the HTML report of a release shows, and in which order; one page that loads nothing and runs nothing.
//! Must never fail a release, show markup that is not its own, or lie half-written under its name.

mod file;
mod head;
mod images;
mod parts;
mod tags;
mod timeline;
mod transfers;

pub use file::ReportFile;

use super::Answer;
use crate::{
    error::Error,
    model::{
        plan::ImageDocument,
        pruned::Pruned,
        record::Record,
        report::{Published, Report, TagMove},
        trace::Trace,
    },
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use parts::Room;

/// Nothing is loaded and nothing runs, whatever got into the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// What a page is made of.
struct Page<'a> {
    trace: &'a Trace,
    outcome: Outcome<'a>,
    room: Room,
}

/// How it ended.
#[derive(Clone, Copy)]
enum Outcome<'a> {
    Released(&'a Report),
    Pushed(&'a [Record]),
    Done,
    Failed(&'a Error),
}

impl<'a> Page<'a> {
    fn new(trace: &'a Trace, result: Result<&'a Answer, &'a Error>) -> Self {
        let outcome = match result {
            Ok(Answer::Released(report)) => Outcome::Released(report),
            Ok(Answer::Pushed(records)) => Outcome::Pushed(records),
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Failed(error),
        };
        Page {
            trace,
            outcome,
            room: Room::new(),
        }
    }

    fn report(&self) -> Option<&'a Report> {
        match self.outcome {
            Outcome::Released(report) => Some(report),
            _ => None,
        }
    }

    /// What was read back from every target.
    fn images(&self) -> &'a [Published] {
        let report = self.report().map(|report| &*report.images);
        report.unwrap_or(&self.trace.images)
    }

    fn moves(&self) -> &'a [TagMove] {
        let report = self.report().map(|report| &*report.moves);
        report.unwrap_or(&self.trace.moves)
    }

    fn pruned(&self) -> &'a [Pruned] {
        self.report().map_or(&[], |report| &*report.pruned)
    }

    /// What was to be done with an image.
    fn planned(&self, name: &str) -> Option<&'a ImageDocument> {
        let plan = self.trace.plan.as_deref()?;
        plan.images.iter().find(|image| image.name == name)
    }
}

/// The whole page.
fn page(trace: &Trace, result: Result<&Answer, &Error>) -> String {
    let page = Page::new(trace, result);
    let sections: Vec<(&str, &str, Markup)> = [
        ("images", "Images", images::images(&page)),
        ("tags", "Tags, before and after", tags::tags(&page)),
        ("transfers", "What went where", transfers::transfers(&page)),
        ("timeline", "Timeline", timeline::timeline(&page)),
        ("superseded", "What was superseded", tags::pruned(&page)),
        ("said", "What was said", tags::notes(&page)),
    ]
    .into_iter()
    .filter_map(|(id, title, body)| Some((id, title, body?)))
    .collect();
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (head::title(&page)) }
                // Else a browser asks the server for one.
                link rel="icon" href="data:,";
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                (head::head(&page))
                nav aria-label="Sections" {
                    ul {
                        @for (id, title, _) in &sections {
                            li { a href={ "#" (id) } { (title) } }
                        }
                    }
                }
                main {
                    (head::failure(&page))
                    @for (id, title, body) in &sections {
                        section id=(id) aria-labelledby={ (id) "-title" } {
                            h2 id={ (id) "-title" } { (title) }
                            (body)
                        }
                    }
                }
                footer {
                    p { "Made by rpub " (env!("CARGO_PKG_VERSION")) ". This page loads nothing and runs nothing." }
                }
            }
        }
    };
    markup.into_string()
}

#[cfg(test)]
mod tests;
