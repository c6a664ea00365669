//! Decides which tags a push, a version, a pre-release and a dispatch give, when the workflow itself runs.
//! Must never take a job's word for it: the registries are asked.

use crate::runner::Outcome::{Skipped, Success};
use crate::world::{MAIN, State, World, ended, well};
use serde_json::json;
use std::collections::BTreeMap;

/// The tags of an image, sorted.
fn tags<'a>(state: &'a State, image: &str) -> Vec<&'a str> {
    let tags = state.get(image).into_iter().flat_map(BTreeMap::keys);
    tags.map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflow_publishes_main_as_latest_and_versions_for_good_fr_001_to_009() {
    let world = World::new(&["app", "tool"]).await;
    let main = world.main_pushed();
    well(&main);
    let names = [
        "app linux/amd64",
        "app linux/arm64",
        "tool linux/amd64",
        "tool linux/arm64",
    ];
    let legs = names.map(|name| format!("build {name}"));
    assert_eq!(
        main.legs("build"),
        legs.each_ref().map(|leg| (leg.as_str(), Success))
    );
    assert_eq!(main.artifacts.len(), 4);
    let first = world.state().await;
    for image in ["app", "tool"] {
        assert_eq!(tags(&first, image), ["latest"], "FR-007");
    }

    let sha = world.commit("two");
    well(&world.tag_pushed("v1.2.0"));
    let second = world.state().await;
    for image in ["app", "tool"] {
        assert_eq!(tags(&second, image), ["1.2", "1.2.0", "latest"], "FR-008");
        let all = &second[image];
        assert!(
            all.values().all(|digest| *digest == all["latest"]),
            "one digest"
        );
        assert_ne!(all["latest"], first[image]["latest"]);
        assert_eq!(world.revision(image, "1.2.0").await, sha);
    }

    well(&world.release("v1.3.0-rc.1"));
    let third = world.state().await;
    for image in ["app", "tool"] {
        assert_eq!(
            tags(&third, image),
            ["1.2", "1.2.0", "1.3.0-rc.1", "latest"],
            "FR-021"
        );
        for old in ["1.2", "1.2.0", "latest"] {
            assert_eq!(third[image][old], second[image][old], "{old} has not moved");
        }
        assert_ne!(third[image]["1.3.0-rc.1"], third[image]["latest"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflow_dispatched_publishes_what_was_asked_for_fr_016() {
    let world = World::new(&["app"]).await;
    let built = world
        .hub
        .dispatched(MAIN, &json!({ "skip_push": true }))
        .wait();
    ended(&built, Success, Success, Skipped);
    assert_eq!(built.artifacts, Vec::<String>::new());
    let steps = ["Push by digest", "Hand the digest over"];
    for title in steps {
        assert_eq!(
            built.step("build app linux/amd64", title).0,
            None,
            "it is skipped"
        );
    }
    for proxy in &world.proxies {
        for method in ["POST", "PATCH", "PUT"] {
            assert_eq!(proxy.count(method, ""), 0, "nothing is sent to a registry");
        }
    }
    assert_eq!(world.state().await, State::new());

    well(&world.main_pushed());
    let before = world.state().await;
    let sha = world.commit("two");
    well(&world.hub.dispatched(MAIN, &json!({})).wait());
    let manual = format!("manual-{}", &sha[..7]);
    let by_hand = world.state().await;
    assert_eq!(tags(&by_hand, "app"), ["latest", &manual]);
    assert_eq!(
        by_hand["app"]["latest"], before["app"]["latest"],
        "it has not moved"
    );

    world.commit("three");
    well(
        &world
            .hub
            .dispatched(MAIN, &json!({ "tag_name": "for-qa" }))
            .wait(),
    );
    let named = world.state().await;
    assert_eq!(tags(&named, "app"), ["for-qa", "latest", &manual]);
    for old in ["latest", &manual] {
        assert_eq!(
            named["app"][old], by_hand["app"][old],
            "{old} has not moved"
        );
    }
}
