//! Decides that a release which is killed at any request, with SIGKILL, is told, and is finished or taken back next.
//! Must never build at every point: what is published is built once, and copied.

/// One place to release to, copied from what was built once.
mod bench;
/// How it is killed there, and what must be true after that.
mod place;
/// The requests at which it is killed.
mod point;

use bench::Bench;
use point::{Ending, Point, points};

/// Says where a test is: shown only where it fails.
#[allow(clippy::print_stderr)]
fn at(text: &str) {
    eprintln!("{text}");
}

/// A spread in which each registry, image, tag and request comes with both endings, and what only reads is killed before it
/// is done; with `RPUB_KILLED=all` every point with both.
async fn at_each_point(ending: Ending) {
    let all = std::env::var("RPUB_KILLED").is_ok_and(|value| value == "all");
    let chosen: Vec<Point> = points()
        .into_iter()
        .filter(|(point, usual)| all || *usual == ending && (point.writes() || !point.done))
        .map(|(point, _)| point)
        .collect();
    assert!(chosen.len() >= 30, "{}", chosen.len());
    let bench = Bench::new().await;
    for (number, point) in chosen.iter().enumerate() {
        at(&format!("{number}: {point:?}, {ending:?}"));
        let place = bench.place(&format!("p{number}"));
        place.killed_at("v1.2.3", *point).await;
        place
            .ends(point.journaled().then_some("v1.2.3"), ending)
            .await;
    }
}

#[tokio::test]
async fn killed_at_each_request_and_run_again() {
    at_each_point(Ending::Same).await;
}

#[tokio::test]
async fn killed_at_each_request_before_another_release() {
    at_each_point(Ending::Other).await;
}

#[tokio::test]
async fn killed_again_while_it_recovers() {
    let bench = Bench::new().await;
    let put = |registry, image, tag, done| Point {
        registry,
        image,
        tag,
        method: "PUT",
        nth: 1,
        done,
    };
    let unfinished = Some("v1.2.3");

    at("while the same release goes on, twice");
    let place = bench.place("again");
    place.killed_at("v1.2.3", put(0, 1, "1.2.3", false)).await;
    place.killed_at("v1.2.3", put(1, 0, "1.2", true)).await;
    place.killed_at("v1.2.3", put(0, 1, "latest", true)).await;
    place.ends(unfinished, Ending::Same).await;

    for (name, ending) in [("back", Ending::Other), ("forth", Ending::Same)] {
        at(&format!(
            "while another release takes it back, then {ending:?}"
        ));
        let place = bench.place(name);
        place.killed_at("v1.2.3", put(1, 1, "latest", true)).await;
        let back = Point {
            nth: 1,
            ..put(0, 0, "1.2", true)
        };
        place.killed_by("v1.2.4", "v1.2.3", back).await;
        place.ends(unfinished, ending).await;
    }

    at("in another release that took it back");
    let place = bench.place("other");
    place.killed_at("v1.2.3", put(0, 0, "latest", true)).await;
    place.killed_at("v1.2.4", put(1, 0, "1.2.4", true)).await;
    place.ends(Some("v1.2.4"), Ending::Other).await;
}
