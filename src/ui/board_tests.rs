//! Decides that live lines say what goes on, for any width, from events at given times.
//! Must never look at a clock.

use super::*;
use crate::{events::Sent, model::digest::Digest};

const STYLE: Style = Style {
    verbosity: 0,
    color: false,
};
const MIB: u64 = 1 << 20;

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn platform() -> Platform {
    "linux/amd64".parse().unwrap()
}

fn step(count: &str, instruction: &str) -> Event {
    Event::Step {
        image: "qm-nmr-calc-api".to_owned(),
        platform: platform(),
        count: count.to_owned(),
        instruction: instruction.to_owned(),
    }
}

fn blob(place: &str, name: &str, size: u64, sent: Sent) -> Event {
    Event::Blob {
        place: place.to_owned(),
        digest: Digest::of(name.as_bytes()),
        size,
        sent,
    }
}

fn expect(place: &str, name: &str, size: u64) -> Event {
    Event::Expect {
        place: place.to_owned(),
        digest: Digest::of(name.as_bytes()),
        size,
    }
}

fn progress(place: &str, name: &str, bytes: u64) -> Event {
    Event::Progress {
        place: place.to_owned(),
        digest: Some(Digest::of(name.as_bytes())),
        bytes,
    }
}

fn waiting(host: &str, seconds: u64, asked: bool) -> Event {
    Event::Waiting {
        host: host.to_owned(),
        delay: Duration::from_secs(seconds),
        asked,
        brief: "503".to_owned(),
        reason: "the registry failed: 503".to_owned(),
    }
}

fn heard(events: &[(f64, Event)]) -> Board {
    let mut board = Board::default();
    for (time, event) in events {
        assert_eq!(board.hear(event, at(*time)), None);
    }
    board
}

fn building() -> Board {
    heard(&[
        (0.0, Event::Stage(Stage::Build)),
        (
            1.0,
            Event::Building {
                image: "qm-nmr-calc-api".to_owned(),
                platform: platform(),
            },
        ),
        (
            2.0,
            step(
                "[2/5] 3/6",
                "RUN apt-get update\u{1b}[2J && apt-get install -y x",
            ),
        ),
    ])
}

const GHCR: &str = "ghcr.io/o/api";

/// Five seconds at 2 MiB/s to one registry; the other has said that it is busy.
fn pushing() -> Board {
    let mut events = vec![
        (0.0, Event::Stage(Stage::Push)),
        (
            0.0,
            Event::Pushing {
                place: GHCR.to_owned(),
                blobs: 4,
            },
        ),
        (0.0, expect(GHCR, "a", 30 * MIB)),
        (0.0, blob(GHCR, "b", MIB, Sent::Present)),
        (0.0, expect("docker.io/o/api", "a", 30 * MIB)),
    ];
    for second in 0..=5_u32 {
        events.push((second.into(), progress(GHCR, "a", 2 * MIB)));
    }
    events.push((5.0, waiting("docker.io", 3, false)));
    heard(&events)
}

#[test]
fn a_build_is_at_a_step() {
    let mut board = building();
    let line = |board: &mut Board, width| board.live(at(43.7), width, STYLE);
    assert_eq!(
        line(&mut board, 100),
        [
            "  qm-nmr-calc-api linux/amd64  build step [2/5] 3/6  42 s  RUN apt-get update[2J && apt-get install…"
        ]
    );
    assert_eq!(
        line(&mut board, 40),
        ["  [2/5] 3/6  42 s  qm-nmr-calc-api linu…"]
    );
    board.hear(
        &Event::Built {
            image: "qm-nmr-calc-api".to_owned(),
            platform: platform(),
            id: "0".repeat(64),
            size: 1,
            took: at(1.0),
        },
        at(44.0),
    );
    assert_eq!(line(&mut board, 100), ["  build  43.7 s"]);
}

#[test]
fn registries_say_how_far_they_are_and_what_they_wait_for() {
    let mut board = pushing();
    let lines = |width| pushing().live(at(5.2), width, STYLE).join("\n");
    let all: Vec<String> = [120, 79, 50, 39, 19].map(lines).to_vec();
    insta::assert_snapshot!(all.join("\n\n"));
    // The wait is over, and nothing more is heard.
    let later = board.live(at(9.0), 120, STYLE).join("\n");
    assert!(!later.contains("503"), "{later}");
}

#[test]
fn a_registry_may_ask_for_a_wait_before_anything_is_sent() {
    let mut board = heard(&[(0.0, waiting("ghcr.io", 12, true))]);
    let line = board.live(at(0.5), 80, STYLE);
    assert_eq!(line, ["  ghcr.io  asked to wait 12 s"]);
    assert_eq!(board.live(at(12.0), 80, STYLE), Vec::<String>::new());
}

#[test]
fn what_is_pushed_is_summed_up_once() {
    let mut board = pushing();
    board.hear(&blob(GHCR, "a", 30 * MIB, Sent::Uploaded), at(6.0));
    board.hear(&blob(GHCR, "c", 3 * MIB, Sent::Mounted), at(6.0));
    // Found again by a later question: it was uploaded all the same.
    board.hear(&blob(GHCR, "a", 30 * MIB, Sent::Present), at(6.0));
    board.hear(&waiting("ghcr.io", 1, false), at(6.0));
    let end = Event::Pushed {
        place: GHCR.to_owned(),
    };
    assert_eq!(
        board.hear(&end, at(8.0)).unwrap(),
        "pushed ghcr.io/o/api: 1 uploaded (30.0 MiB), 1 mounted (3.0 MiB), 1 there already (1.0 MiB) in 8.0 s, 1 request tried again"
    );
    let left = board.live(at(9.0), 80, STYLE);
    assert!(
        left.iter().all(|line| !line.contains("ghcr.io")),
        "{left:?}"
    );
}

#[test]
fn a_blob_that_is_begun_once_more_counts_once() {
    let mut board = pushing();
    board.hear(&expect(GHCR, "a", 30 * MIB), at(6.0));
    board.hear(&progress(GHCR, "a", 15 * MIB), at(7.0));
    let line = board.live(at(7.0), 120, STYLE).join("\n");
    assert!(line.contains(" 15.0 MiB of 30.0+ MiB  "), "{line}");
}

#[test]
fn no_line_is_wider_than_asked_whatever_is_in_it() {
    let wide = "デ".repeat(200);
    let mut board = pushing();
    board.hear(
        &Event::Building {
            image: "qm-nmr-calc-api".to_owned(),
            platform: platform(),
        },
        at(0.0),
    );
    board.hear(&step("1/1", &wide), at(1.0));
    let color = Style {
        color: true,
        ..STYLE
    };
    for width in 1..220 {
        let lines = board.live(at(5.2), width, color);
        assert_eq!(lines.len(), 3);
        for line in lines {
            let columns = console::measure_text_width(&line);
            assert!(columns <= width, "{columns} of {width}: {line}");
        }
    }
}

#[test]
fn a_log_is_told_at_a_measured_pace() {
    let mut board = pushing();
    assert_eq!(
        board.due(at(5.0)),
        Vec::<String>::new(),
        "it has only begun"
    );
    let lines: Vec<String> = (6..30).flat_map(|now| board.due(at(now.into()))).collect();
    assert_eq!(
        lines.len(),
        8,
        "two registries, every five seconds: {lines:?}"
    );
    assert!(
        lines[1].starts_with("  ghcr.io: 12.0 MiB of 30.0+ MiB, "),
        "{lines:?}"
    );
    for place in [GHCR, "docker.io/o/api"] {
        let place = place.to_owned();
        board.hear(&Event::Pushed { place }, at(30.0));
    }
    assert_eq!(board.due(at(60.0)), Vec::<String>::new());
}

#[test]
fn what_went_while_later_steps_were_built_is_part_of_the_push() {
    let mut board = building();
    let live = |board: &mut Board| board.live(at(5.0), 50, STYLE).join("\n");
    board.hear(&expect(GHCR, "a", 30 * MIB), at(3.0));
    board.hear(&progress(GHCR, "a", 15 * MIB), at(4.0));
    assert!(live(&mut board).contains("ghcr.io"));
    board.hear(&blob(GHCR, "a", 30 * MIB, Sent::Uploaded), at(5.0));
    // Nothing goes there until the next step.
    assert!(!live(&mut board).contains("ghcr.io"));
    assert_eq!(board.due(at(30.0)), Vec::<String>::new());
    let (place, blobs) = (GHCR.to_owned(), 2);
    board.hear(&Event::Stage(Stage::Push), at(31.0));
    board.hear(&Event::Pushing { place, blobs }, at(31.0));
    let shown = live(&mut board);
    assert!(shown.contains("1/2 layers"), "{shown}");
    board.hear(&blob(GHCR, "b", MIB, Sent::Uploaded), at(33.0));
    let place = GHCR.to_owned();
    assert_eq!(
        board.hear(&Event::Pushed { place }, at(33.0)).unwrap(),
        "pushed ghcr.io/o/api: 2 uploaded (31.0 MiB) in 30.0 s"
    );
}
