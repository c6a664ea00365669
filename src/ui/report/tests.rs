//! Decides that a report is well-formed and bounded, and that nothing in it is anybody's markup but its own.
//! Must never need a browser: that is `scripts/capture-report`'s.

use super::*;
use crate::{
    error::Kind,
    events::{Event, Events, Stage},
    model::{
        digest::Digest,
        journal::Progress,
        plan::{ImageDocument, PlanDocument, PlatformDocument},
        report::{LayerReport, PlatformReport},
        trace::{Fact, How},
    },
};
use std::collections::{BTreeMap, BTreeSet};

const EVIL: &str = "</style><script>alert('x')</script><img src=\"https://evil.example/x\" onerror=alert(1)>&\u{1b}[2J";

/// Elements that have no end.
const VOID: [&str; 3] = ["meta", "link", "br"];

/// Reads a page as strictly as XML is read: every element ended in its place, every attribute quoted, ids each once.
/// Answers the names of its elements, and its text.
fn read(html: &str) -> (BTreeSet<String>, String) {
    let (mut open, mut names, mut ids) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut text = String::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some((before, tag)) = rest.split_once('<') {
        assert!(
            !before.contains('>') || open.last() == Some(&"style"),
            "{before}"
        );
        if open.last() != Some(&"style") {
            text.push_str(before);
        }
        let (tag, after) = tag.split_once('>').unwrap();
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes = attributes.split('"');
        while let Some(head) = attributes.next().filter(|head| !head.is_empty()) {
            let key = head.trim_start().trim_end_matches('=');
            let plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(key.chars().all(plain), "{key:?} in <{tag}>");
            assert!(!key.starts_with("on"), "<{tag}>");
            let value = attributes.next();
            match key {
                "id" => assert!(ids.insert(value.unwrap()), "{value:?} twice"),
                "href" => assert!(
                    ["#", "data:,", "https://", "http://"]
                        .iter()
                        .any(|s| value.unwrap().starts_with(s)),
                    "{value:?}"
                ),
                _ => {}
            }
        }
        names.insert(name.to_owned());
        if !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.is_empty(), "{open:?} {rest}");
    (names, text)
}

fn layer(number: usize, step: &str) -> LayerReport {
    LayerReport {
        digest: Digest::of(format!("layer {number}").as_bytes()),
        size: 1000 * number as u64,
        created_by: Some(step.to_owned()),
    }
}

/// A release of one image with so many layers to two repositories; `word` stands wherever somebody else may write.
fn scene(word: &str, layers: usize) -> (Trace, Report) {
    let places = ["ghcr.io/o/app", "docker.io/o/app"].map(ToOwned::to_owned);
    let platform = PlatformReport {
        platform: "linux/amd64".parse().unwrap(),
        digest: Digest::of(b"manifest"),
        size: 5000,
        config: Digest::of(b"config"),
        layers: (1..=layers).map(|number| layer(number, word)).collect(),
    };
    let image = Published {
        name: "app".to_owned(),
        digest: Digest::of(b"list"),
        tags: vec!["1.2.3".to_owned()],
        repositories: places.to_vec(),
        plain_http: Vec::new(),
        references: Vec::new(),
        platforms: vec![platform.clone()],
    };
    let moves: Vec<TagMove> = (places.iter())
        .map(|place| TagMove {
            image: "app".to_owned(),
            repository: place.clone(),
            tag: "1.2.3".to_owned(),
            from: Some(Digest::of(b"before")),
            to: image.digest,
            progress: Progress::Done,
        })
        .collect();
    let mut trace = Trace::default();
    let plan = PlanDocument {
        schema: 1,
        git_ref: "refs/tags/v1.2.3".to_owned(),
        version: Some("1.2.3".to_owned()),
        revision: Some(word.to_owned()),
        images: vec![ImageDocument {
            name: "app".to_owned(),
            platforms: vec![PlatformDocument {
                platform: "linux/amd64".to_owned(),
                containerfile: "Containerfile".to_owned(),
            }],
            tags: image.tags.clone(),
            repositories: places.to_vec(),
            labels: BTreeMap::from([(word.to_owned(), word.to_owned())]),
        }],
    };
    let planned = Fact::Planned {
        plan: Box::new(plan),
        run: Some(word.to_owned()),
    };
    trace.fact(0, planned);
    trace.stage(1, "push");
    for layer in &platform.layers {
        for place in &places {
            trace.sent(5, (place, layer.digest, layer.size), How::Uploaded);
        }
    }
    trace.wait(6, "ghcr.io", word, 40);
    trace.note(7, true, word);
    trace.fact(8, Fact::Podman(word.to_owned()));
    trace.end(100);
    let report = Report {
        schema: 1,
        git_ref: "refs/tags/v1.2.3".to_owned(),
        version: Some("1.2.3".to_owned()),
        revision: None,
        podman: None,
        run: None,
        images: vec![image],
        moves,
        pruned: Vec::new(),
        stages: Vec::new(),
    };
    (trace, report)
}

#[test]
fn a_report_of_a_release_says_all_of_it() {
    let (trace, report) = scene("RUN make", 2);
    let image = report.images[0].clone();
    let (names, text) = read(&page(&trace, Ok(&Answer::Released(report))));
    for part in [
        "1.2.3",
        "✓ released",
        &image.digest.to_string(),
        &image.platforms[0].digest.to_string(),
        &Digest::of(b"before").to_string(),
        "podman pull ghcr.io/o/app:1.2.3",
        "RUN make",
        "2 blobs, 2.9 KiB",
        "waited: RUN make",
        "latest did not move",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for name in ["main", "nav", "caption", "figcaption", "h2"] {
        assert!(names.contains(name), "{name}");
    }
    assert!(!names.contains("script") && !names.contains("img"));
}

#[test]
fn what_others_wrote_is_text_wherever_it_stands() {
    let (trace, report) = scene(EVIL, 3);
    let error = Error::new(Kind::Build, EVIL, EVIL, EVIL).with_tail(vec![EVIL.to_owned()]);
    let answer = Answer::Released(report);
    for result in [Ok(&answer), Err(&error)] {
        let html = page(&trace, result);
        let (names, text) = read(&html);
        assert!(text.contains("&lt;script&gt;alert"), "{text}");
        for name in ["script", "img"] {
            assert!(!names.contains(name), "<{name}>");
        }
        assert!(!html.contains("href=\"https://evil"), "{html}");
        assert!(!html.contains('\u{1b}'));
    }
}

#[test]
fn a_report_is_bounded_whatever_it_tells_of() {
    let (trace, mut report) = scene(&EVIL.repeat(100), 3000);
    let mut images: Vec<Published> = Vec::new();
    for number in 0..20 {
        let mut image = report.images[0].clone();
        image.name = format!("app{number}");
        images.push(image);
    }
    report.images.extend(images);
    let html = page(&trace, Ok(&Answer::Released(report)));
    read(&html);
    assert!(html.len() < 10_000_000, "{}", html.len());
    assert!(html.contains("there is no room for them here"));

    let (trace, report) = scene("COPY a /a", 1000);
    let html = page(&trace, Ok(&Answer::Released(report)));
    assert!(html.len() < 1_000_000, "{}", html.len());
    assert!(html.contains("<details><summary>1000 layers"), "folded");
}

#[test]
fn a_failure_says_what_is_visible() {
    let (mut trace, report) = scene("x", 1);
    let error = Error::new(Kind::RolledBack, "rolled back", "ghcr.io", "run it again");
    let told = |trace: &Trace| read(&page(trace, Err(&error))).1;
    assert!(told(&trace).contains("No tag has moved"));
    assert!(told(&trace).contains("None of them got as far"));
    for (progress, words) in [
        (Progress::Planned, "No tag has moved"),
        (Progress::Undone, "were taken back"),
        (Progress::Begun, "Tags may disagree"),
    ] {
        let mut moves = report.moves.clone();
        moves[0].progress = progress;
        moves[1].progress = Progress::Planned;
        trace.fact(50, Fact::Moves(moves));
        assert!(told(&trace).contains(words), "{words} in {}", told(&trace));
    }
}

/// What is told to `ui` ends in the page.
#[tokio::test]
async fn what_is_heard_is_shown() {
    let (events, receiver) = Events::channel();
    let (recorder, shown) = crate::ui::Recorder::between(receiver);
    drop(shown);
    events.send(Event::Stage(Stage::Build));
    events.send(Event::Warning("the moon is full".to_owned()));
    drop(events);
    let trace = recorder.finish().await;
    let (_, text) = read(&page(&trace, Ok(&Answer::Nothing)));
    assert!(
        text.contains("Warning: ") && text.contains("the moon is full"),
        "{text}"
    );
}
