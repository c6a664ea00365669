//! Decides what a release says of tags that it cannot take back, or must not; and that nothing else begins before that is mended.
//! Must never break the roll-back by chance: what keeps a tag is a rule of its place.

use super::{
    back::{failing, is_new, kind},
    machine::Machine,
    places::Places,
    world::Images,
};
use crate::support::faults::{Fault, Hold, Rule};
use rpub::{
    error::Kind,
    model::retention::{EMPTY, ThrowAway},
    target::Target as _,
};
use std::{collections::BTreeMap, sync::Arc};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_a_registry_that_deletes_nothing_ends_with_the_tag_that_is_left() {
    let places = Places::new(true).await;
    let (namespace, mut machine) = places.case();
    let under_way = Arc::default();
    failing(&places, &under_way);
    let error = machine.release(&places.new).await.unwrap_err();
    assert_eq!(error.kind, Kind::RollbackIncomplete, "{error}");
    let left = format!("{}:1.2.3", places.stubborn(&namespace));
    assert_eq!(error.place, format!("remove {left}"));
    for words in [
        "REGISTRY_STORAGE_DELETE_ENABLED",
        "rpub release refs/tags/v1.2.3",
    ] {
        assert!(error.hint.contains(words), "{}", error.hint);
    }
    let only_that_is_left = |machine: &Machine| {
        for place in places.look(&namespace) {
            let stubborn = left.starts_with(&place.repository);
            let new = place.tags.get("1.2.3");
            let list = places.new.list.digest();
            assert_eq!(new, stubborn.then_some(&list), "{}", place.repository);
            let latest = place.tags["latest"];
            assert_eq!(latest, places.old.list.digest(), "{}", place.repository);
        }
        assert!(places.junk(&namespace).is_empty());
        assert!(machine.is_unfinished());
    };
    only_that_is_left(&machine);
    places.heal();

    // Another release makes nothing before that is mended, and says why.
    let next = Images::of("1.2.4");
    machine.turn_to("refs/tags/v1.2.4");
    let error = machine.release(&next).await.unwrap_err();
    assert_eq!(error.kind, Kind::RollbackIncomplete, "{error}");
    assert_eq!(error.place, format!("remove {left}"));
    assert!(
        error.what.contains("refs/tags/v1.2.3 did not end"),
        "{error}"
    );
    only_that_is_left(&machine);

    // The same one is finished; then the other can come.
    machine.turn_to("refs/tags/v1.2.3");
    machine.release(&places.new).await.unwrap();
    is_new(&places, &places.look(&namespace)).unwrap();
    machine.turn_to("refs/tags/v1.2.4");
    machine.release(&next).await.unwrap();
    assert!(!machine.is_unfinished());
}

/// GitHub deletes no last version with a tag: the first release of a package cannot go back there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_a_first_release_names_the_tag_that_github_keeps() {
    let places = Places::new(false).await;
    let (namespace, machine) = places.empty_case();
    failing(&places, &Arc::default());
    let error = machine.release(&places.new).await.unwrap_err();
    places.heal();
    assert_eq!(error.kind, Kind::RollbackIncomplete, "{error}");
    let kept = format!("{}/{namespace}/app", places.ghcr.host());
    assert_eq!(error.place, format!("remove {kept}:1.2.3"));
    assert!(error.hint.contains("delete the package"), "{}", error.hint);
    for place in places.look(&namespace) {
        let left = BTreeMap::from([("1.2.3".to_owned(), places.new.list.digest())]);
        let expected = if place.repository == kept {
            left
        } else {
            BTreeMap::new()
        };
        assert_eq!(place.tags, expected, "{}", place.repository);
    }
    assert!(places.junk(&namespace).is_empty());
    machine.release(&places.new).await.unwrap();
    assert!(!machine.is_unfinished());
}

/// A killed CI job loses its journal: what its roll-back has left under a tag is no release of that version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_a_lost_journal_takes_a_throw_away_manifest_for_nothing() {
    let places = Places::new(false).await;
    let (namespace, machine) = places.case();
    let behind = places.behind(&namespace);
    let tag = &places.new.tags[0];
    let released = places.new.list.digest();
    let throw_away = ThrowAway::of(behind.repository(), tag, released).unwrap();
    behind.put_bytes(EMPTY).await.unwrap();
    let manifest = throw_away.manifest();
    behind
        .put_manifest(&tag.clone().into(), manifest)
        .await
        .unwrap();
    machine.release(&places.new).await.unwrap();
    is_new(&places, &places.look(&namespace)).unwrap();
}

/// What something else has moved since is left alone, and not called taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_a_rival_is_left_alone_and_told() {
    let places = Places::new(false).await;
    let (namespace, machine) = places.case();
    let behind = places.behind(&namespace);
    let under_way = Arc::default();
    let hold = Hold::default();
    let fits = |method: &str, target: &str| kind(method, target) == "PUT manifests/latest";
    let latest_waits = Rule::at(fits, Fault::Held(hold.clone()));
    places.hub.proxy.break_also(latest_waits);
    failing(&places, &under_way);
    let rival = async {
        hold.has_come().await;
        for tag in &places.new.tags[..2] {
            let list = &places.old.list;
            let list = if tag.as_str() == "1.2.3" {
                list
            } else {
                &places.new.children[0].manifest
            };
            behind
                .put_manifest(&tag.clone().into(), list)
                .await
                .unwrap();
        }
        hold.let_go();
    };
    let (released, ()) = tokio::join!(machine.release(&places.new), rival);
    let error = released.unwrap_err();
    assert_eq!(error.kind, Kind::RolledBack, "{error}");
    let name = format!("{}/{namespace}/app", places.proxy.host());
    for tag in ["1.2.3", "1.2"] {
        assert!(error.what.contains(&format!("{name}:{tag}")), "{error}");
    }
    assert!(
        error.what.contains("something else has moved it since"),
        "{error}"
    );
    let found = places.look(&namespace);
    let here = found.iter().find(|place| place.repository == name).unwrap();
    assert_eq!(here.tags["1.2.3"], places.old.list.digest());
    assert_eq!(here.tags["1.2"], places.new.children[0].manifest.digest());
}
