//! Decides for each rule, on the smallest repository that shows it, that what the rule is for is not lost.
//! Must never need more than one rule at a time: each name says what would be lost without it.

use super::scene::{Scene, about, digest};
use rpub::model::retention::{Doubt, Root};

/// An old list of two platforms, and a new one that shares one of them.
fn rebuilt() -> Scene {
    Scene::new()
        .list("old", &["amd64", "arm64"])
        .list("new", &["amd64", "arm64 of today"])
        .image("amd64")
        .image("arm64")
        .image("arm64 of today")
        .tag("latest", "new")
        .superseded(&["old"])
}

#[test]
fn retention_keeps_a_platform_that_the_new_list_shares() {
    assert_eq!(rebuilt().goes(), ["old", "arm64"]);
    let kept = rebuilt().kept("amd64");
    assert_eq!(kept.to_string(), "a part of what latest points at: kept");
}

#[test]
fn retention_keeps_a_release_that_was_latest() {
    let released = rebuilt().tag("1.2.3", "old");
    assert!(released.goes().is_empty());
    let kept = released.kept("old").to_string();
    assert_eq!(kept, "1.2.3 still points at it: kept");
}

/// People look for the tag that names it, not for one that comes first in the alphabet.
#[test]
fn retention_tells_the_tag_that_names_what_stays_itself() {
    let bundled = rebuilt().list("bundle", &["old"]).tag("all", "bundle");
    let kept = bundled.kept("old").to_string();
    assert_eq!(kept, "a part of what all points at: kept");
    let kept = bundled.tag("1.2.3", "old").tag("z", "arm64");
    assert_eq!(
        kept.kept("old").to_string(),
        "1.2.3 still points at it: kept"
    );
    assert_eq!(kept.kept("arm64").to_string(), "z still points at it: kept");
}

#[test]
fn retention_keeps_the_parts_of_a_list_in_a_list_in_use() {
    let nested = rebuilt()
        .list("bundle", &["inner"])
        .list("inner", &["arm64"])
        .tag("bundle", "bundle");
    assert_eq!(nested.goes(), ["old"]);
}

/// The attestation came with the old list, and is about a platform that the new one has, too.
#[test]
fn retention_keeps_an_attestation_about_what_is_in_use() {
    let attested = Scene::new()
        .list("old", &["amd64", "attestation"])
        .list("new", &["amd64"])
        .image("amd64")
        .referrer("attestation", "amd64", &[])
        .tag("latest", "new")
        .superseded(&["old"]);
    assert_eq!(attested.goes(), ["old"]);
    let kept = attested.kept("attestation").to_string();
    assert_eq!(kept, "a part of what latest points at: kept");
}

#[test]
fn retention_keeps_what_a_referrer_of_something_in_use_lists() {
    let bundle = rebuilt().referrer("bundle of signatures", "new", &["arm64"]);
    assert_eq!(bundle.goes(), ["old"]);
}

/// The old list had it as a child, its tag says that it is about a platform in use.
#[test]
fn retention_keeps_a_signature_by_tag_of_what_is_in_use() {
    let signed = Scene::new()
        .list("old", &["amd64", "signature"])
        .list("new", &["amd64"])
        .image("amd64")
        .image("signature")
        .tag("latest", "new")
        .tag(&(about("amd64") + ".sig"), "signature")
        .superseded(&["old"]);
    assert_eq!(signed.goes(), ["old"]);
}

#[test]
fn retention_keeps_a_signature_by_tag_of_what_nobody_here_knows() {
    let signed = rebuilt().tag(&(about("elsewhere") + ".sig"), "arm64");
    assert_eq!(signed.goes(), ["old"]);
}

#[test]
fn retention_keeps_a_signature_that_people_gave_a_tag_of_their_own() {
    let signed = rebuilt()
        .image("signature")
        .tag(&(about("old") + ".sig"), "signature")
        .tag("signature-of-2024", "signature");
    assert_eq!(signed.goes(), ["old", "arm64"]);
}

/// Mirrors name manifests by their own digests, so that a registry does not clear them away.
#[test]
fn retention_keeps_what_a_tag_of_its_own_digest_names() {
    assert_eq!(rebuilt().tag(&about("arm64"), "arm64").goes(), ["old"]);
    assert!(rebuilt().tag(&about("old"), "old").goes().is_empty());
}

#[test]
fn retention_keeps_what_a_push_under_way_shares() {
    let pushing = rebuilt().list("pushed", &["arm64"]).young("pushed");
    assert_eq!(pushing.goes(), ["old"]);
    let kept = pushing.kept("arm64").to_string();
    assert_eq!(kept, "a part of what was pushed only lately: kept");
}

#[test]
fn retention_keeps_a_push_under_way_in_a_sweep() {
    let pushing = rebuilt().image("first").image("before").sweep();
    let pushing = pushing.young("first").old("before");
    let goes = pushing.goes();
    assert!(goes.contains(&"before") && !goes.contains(&"first"));
}

#[test]
fn retention_keeps_what_nobody_asked_to_sweep() {
    assert_eq!(rebuilt().image("lost").old("lost").goes(), ["old", "arm64"]);
}

#[test]
fn retention_keeps_what_this_run_needs() {
    let needed = rebuilt().needs("arm64");
    assert_eq!(needed.goes(), ["old"]);
    let kept = needed.kept("arm64").to_string();
    assert_eq!(kept, "this release needs it: kept");
}

#[test]
fn retention_keeps_the_former_latest_that_the_rules_keep() {
    let kept = rebuilt()
        .list("older", &["arm64", "amd64 of old"])
        .image("amd64 of old")
        .superseded(&["old", "older"])
        .keep(1);
    assert_eq!(kept.goes(), ["older", "amd64 of old"]);
    let kept = kept.kept("arm64");
    assert_eq!(kept.root, Root::Former(1));
    assert_eq!(kept.to_string(), "a part of former latest no. 1: kept");
}

/// Somebody deleted it: that is no doubt, and what it left was to be kept.
#[test]
fn retention_keeps_what_is_left_of_a_former_latest_that_the_rules_keep() {
    let broken = rebuilt().gone("before", &["left"]).image("left");
    let broken = broken.superseded(&["before", "old"]).keep(1);
    assert_eq!(broken.goes(), ["old", "arm64"]);
}

/// `latest` went from `old` to `older` and back: these are two, not three.
#[test]
fn retention_keeps_as_many_former_latest_as_were_asked_for() {
    let twice = rebuilt().image("older").image("oldest");
    let twice = twice.superseded(&["old", "old", "older", "oldest"]).keep(2);
    assert_eq!(twice.goes(), ["oldest"]);
}

#[test]
fn retention_keeps_what_a_deleted_list_shared() {
    let cut_short = rebuilt().gone("old", &["amd64", "arm64"]);
    assert_eq!(cut_short.goes(), ["arm64"]);
}

#[test]
fn retention_deletes_nothing_when_a_list_in_use_cannot_be_read() {
    let unread = rebuilt().tag("1.2.3", "not read");
    for doubtful in [
        rebuilt().unreadable("new"),
        rebuilt().gone("new", &["amd64"]),
        rebuilt().gone("arm64 of today", &[]),
        unread,
    ] {
        assert!(matches!(doubtful.decide(), Err(Doubt::Live { .. })));
    }
    let doubt = rebuilt().unreadable("new").decide().unwrap_err();
    let expected = format!(
        "{} is in use (latest) and cannot be read: 503",
        digest("new")
    );
    assert_eq!(doubt.to_string(), expected);
}

#[test]
fn retention_deletes_nothing_when_a_push_under_way_cannot_be_read() {
    let pushing = rebuilt().young("not read");
    assert!(matches!(
        pushing.decide(),
        Err(Doubt::Live {
            root: Root::Young,
            ..
        })
    ));
}

#[test]
fn retention_deletes_nothing_when_a_superseded_list_cannot_be_read() {
    let doubt = rebuilt().unreadable("old").decide().unwrap_err();
    let expected = format!("{} should go and cannot be read: 503", digest("old"));
    assert_eq!(doubt.to_string(), expected);
}

/// Whatever a journal tells of earlier runs.
#[test]
fn retention_deletes_nothing_where_nothing_was_superseded() {
    let idle = rebuilt().gone("before", &["arm64"]).superseded(&[]);
    assert!(idle.goes().is_empty());
}
