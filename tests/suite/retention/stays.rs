//! Decides that nothing superseded stays for ever, and that at no moment a manifest names what is gone.
//! Must never take a place in a list for an order: only what must go before what is looked at, where several may.

use super::scene::{Scene, about, digest};
use rpub::model::{
    reference::Tag,
    retention::{Links, Reason},
};

fn old() -> Scene {
    Scene::new()
        .list("old", &["amd64", "arm64"])
        .image("amd64")
        .image("arm64")
        .superseded(&["old"])
}

fn sorted(scene: &Scene) -> Vec<&'static str> {
    let mut goes = scene.goes();
    goes.sort_unstable();
    goes
}

fn assert_before(scene: &Scene, first: &str, then: &str) {
    let goes = scene.goes();
    let place = |wanted: &str| goes.iter().position(|name| *name == wanted).unwrap();
    assert!(place(first) < place(then), "{goes:?}");
}

#[test]
fn retention_deletes_lists_before_their_parts() {
    let nested = old().list("outer", &["old"]).superseded(&["outer"]);
    assert_eq!(sorted(&nested), ["amd64", "arm64", "old", "outer"]);
    assert_before(&nested, "outer", "old");
    assert_before(&nested, "old", "amd64");
    assert_before(&nested, "old", "arm64");
}

#[test]
fn retention_deletes_an_untagged_signature_with_what_it_is_about_and_before_it() {
    // Whichever of the two digests sorts first.
    for [signature, image] in [["one", "other"], ["other", "one"]] {
        let signed = Scene::new()
            .image(image)
            .referrer(signature, image, &[])
            .superseded(&[image]);
        assert_eq!(signed.goes(), [signature, image]);
    }
}

#[test]
fn retention_deletes_the_parts_of_a_referrer_that_goes() {
    let bundle = old().referrer("bundle", "old", &["inner"]).image("inner");
    assert_before(&bundle, "bundle", "inner");
    assert_before(&bundle, "bundle", "old");
}

#[test]
fn retention_deletes_a_tagged_signature_with_what_it_is_about_and_before_it() {
    for ending in ["", ".sig", ".att", ".sbom"] {
        let tag = about("old") + ending;
        let signed = old().image("signature").tag(&tag, "signature");
        assert_eq!(sorted(&signed), ["amd64", "arm64", "old", "signature"]);
        assert_before(&signed, "signature", "old");
        let first = signed.decide().unwrap().deletions.remove(0);
        let tags: Vec<&str> = first.tags().iter().map(Tag::as_str).collect();
        assert_eq!(tags, [tag]);
        assert!(matches!(first.reason(), Reason::PartOf(_)));
    }
}

/// A list and its part, which a tag says to be about the list; and behind that circle a signature of another part.
#[test]
fn retention_opens_a_circle_of_tags_and_keeps_the_order_behind_it() {
    let circle = |signature: &'static str, part: &'static str| {
        Scene::new()
            .list("old", &["inner"])
            .list("inner", &[signature, part])
            .image(signature)
            .image(part)
            .tag(&about("old"), "inner")
            .tag(&(about(part) + ".sig"), signature)
            .referrer("also", "old", &[])
            .superseded(&["old"])
    };
    // Digests sort by chance: so several.
    for (signature, part) in [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"), ("i", "j")] {
        let circle = circle(signature, part);
        assert_eq!(circle.goes().len(), 5);
        assert_before(&circle, "also", "old");
        assert_before(&circle, "old", "inner");
        assert_before(&circle, "inner", signature);
        assert_before(&circle, signature, part);
    }
}

/// Two images that say by tags to be about each other, and a signature of one of them.
#[test]
fn retention_opens_a_circle_where_least_is_before_it() {
    for names in [
        ["a", "b", "c"],
        ["d", "e", "f"],
        ["g", "h", "i"],
        ["j", "k", "l"],
    ] {
        let [one, other, behind] = names;
        let circle = Scene::new()
            .image(one)
            .image(other)
            .image(behind)
            .tag(&about(one), other)
            .tag(&about(other), one)
            .tag(&about(behind), one)
            .superseded(&[one, behind]);
        assert_eq!(circle.goes().len(), 3);
        assert_before(&circle, one, behind);
    }
}

/// The list was deleted, then the run was killed.
#[test]
fn retention_goes_on_with_the_parts_of_a_list_that_is_gone() {
    let cut_short = old().gone("old", &["amd64", "arm64"]);
    assert_eq!(sorted(&cut_short), ["amd64", "arm64"]);
}

/// What was about the old list was deleted with its tag, and nothing but the journal tells of it.
#[test]
fn retention_goes_on_with_the_parts_of_what_a_tag_named() {
    let cut_short = old().gone("signatures", &["one"]).image("one");
    assert_eq!(sorted(&cut_short), ["amd64", "arm64", "old", "one"]);
}

/// The last one was about the old list by its tag; a list of its own, pushed lately, of which one part is deleted already.
#[test]
fn retention_goes_on_where_a_young_part_is_broken() {
    let cut_short = old()
        .gone("signatures", &["young"])
        .list("young", &["deleted"])
        .gone("deleted", &[])
        .young("young");
    assert_eq!(sorted(&cut_short), ["amd64", "arm64", "old"]);
}

/// Listings are late.
#[test]
fn retention_goes_on_where_what_is_deleted_is_listed_still() {
    let late = old().gone("signatures", &[]).young("signatures");
    assert_eq!(sorted(&late), ["amd64", "arm64", "old"]);
    // Nor is there a doubt where nothing more is to be done.
    assert!(late.superseded(&[]).goes().is_empty());
}

/// Releases may follow each other fast: what `latest` named an hour ago is no push under way.
#[test]
fn retention_deletes_what_was_superseded_however_young_it_is() {
    let young = old().young("old").young("arm64");
    assert_eq!(sorted(&young), ["amd64", "arm64", "old"]);
}

/// The bundle was about the old list, and went before it.
fn without_bundle() -> Scene {
    let bundle = Links {
        children: vec![digest("part")],
        subject: Some(digest("old")),
    };
    old().image("part").gone_with("bundle", bundle)
}

/// What it was about stays: its parts are nobody's all the same.
#[test]
fn retention_deletes_the_parts_of_a_referrer_that_is_gone() {
    let released = without_bundle().tag("1.2.3", "old");
    assert_eq!(released.goes(), ["part"]);
}

#[test]
fn retention_deletes_the_young_parts_of_a_referrer_that_is_gone() {
    let young = without_bundle().young("part");
    assert_eq!(sorted(&young), ["amd64", "arm64", "old", "part"]);
}

#[test]
fn retention_sweeps_what_is_old_with_its_parts_and_signatures() {
    let swept = Scene::new()
        .list("lost", &["part"])
        .image("part")
        .image("signature")
        .tag(&(about("lost") + ".sig"), "signature")
        .old("lost")
        .sweep();
    assert_eq!(sorted(&swept), ["lost", "part", "signature"]);
    assert_before(&swept, "signature", "lost");
    assert_before(&swept, "lost", "part");
}

/// Where a registry lists every manifest, most of them have no tag: the parts of lists in use are no news.
#[test]
fn retention_tells_in_a_sweep_only_of_former_latest_what_stays() {
    let swept = old()
        .list("new", &["part"])
        .image("part")
        .tag("latest", "new")
        .tag("1.2.3", "old")
        .old("part")
        .old("arm64")
        .sweep();
    let decision = swept.decide().unwrap();
    assert!(decision.deletions.is_empty());
    assert_eq!(decision.kept.len(), 3, "{:?}", decision.kept);
}

#[test]
fn retention_says_why_in_few_words() {
    let part = Reason::PartOf(digest("old"));
    let words = [Reason::Superseded, Reason::Untagged, part].map(|reason| reason.to_string());
    let short = digest("old").short();
    let belongs = format!("it belongs to {short}");
    assert_eq!(
        words,
        ["latest named it before", "no tag names it", &belongs]
    );
}
