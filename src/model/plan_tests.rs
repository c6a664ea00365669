//! Decides that a ref, the rules and what was asked for give the plan that is promised.
//! Must never need git.

use super::*;
use crate::model::{fault::Policy, tags::TagRules};

fn spec() -> Spec {
    Spec {
        source: None,
        licenses: Some("MIT".to_owned()),
        tags: TagRules {
            release: vec!["{{version}}".parse().unwrap()],
            latest: vec!["release".parse().unwrap()],
            manual: vec![],
        },
        destinations: vec![
            "ghcr.io/owner".parse().unwrap(),
            "docker.io/owner".parse().unwrap(),
        ],
        images: vec![ImageSpec {
            name: "app".parse().unwrap(),
            context: ".".to_owned(),
            platforms: vec![("linux/amd64".parse().unwrap(), "Containerfile".to_owned())],
            target: None,
            network: crate::model::spec::Network::Private,
            args: BTreeMap::new(),
            labels: BTreeMap::from([
                ("com.example.team".to_owned(), "a".to_owned()),
                (label::REVISION.to_owned(), "forged".to_owned()),
            ]),
            description: Some("What it is".to_owned()),
        }],
        prune: super::super::spec::PruneRules::default(),
        retry: Policy::default(),
        compression_level: None,
    }
}

fn inputs(full: &str) -> Inputs {
    Inputs {
        tagging: Tagging::ByRef,
        git_ref: GitRef::parse(full).unwrap(),
        revision: Some("0123456789abcdef0123456789abcdef01234567".parse().unwrap()),
        created: jiff::Timestamp::from_second(1_700_000_000).unwrap(),
        source: Some("https://example.org/app".to_owned()),
        run: None,
    }
}

#[test]
fn the_document_has_the_published_form() {
    let document = plan(&spec(), &inputs("refs/tags/v1.2.3"), &[])
        .unwrap()
        .document();
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
}

#[test]
fn a_label_that_rpub_makes_is_known_as_such() {
    let plan = plan(&spec(), &inputs("refs/tags/v1.2.3"), &[]).unwrap();
    for (key, value) in &plan.images[0].labels {
        let own = key == "com.example.team";
        assert_eq!(label_is_made(key).is_none(), own, "{key}");
        assert_ne!(value, "forged", "{key}");
    }
    assert!(label_is_made("rpub.run").is_some());
}

#[test]
fn a_ref_without_tags_and_an_unknown_image_are_told() {
    let error = plan(&spec(), &inputs("refs/heads/x"), &[]).unwrap_err();
    assert_eq!(error, NoPlan::NoTags("refs/heads/x".to_owned()));
    let error = plan(&spec(), &inputs("refs/tags/v1.2.3"), &["apq".to_owned()]).unwrap_err();
    assert!(matches!(error, NoPlan::NoImage { nearest: Some(n), .. } if n == "app"));
}

#[test]
fn a_build_by_hand_has_manual_tags_and_never_latest_fr_016() {
    let mut spec = spec();
    spec.tags.latest.push("branch:main".parse().unwrap());
    spec.tags.manual = vec!["manual-{{sha}}".parse().unwrap()];
    let own = |text| Tagging::named(text).unwrap();
    for (full, tagging, expected) in [
        ("refs/heads/main", Tagging::ByRef, "latest"),
        ("refs/heads/main", Tagging::ByHand, "manual-0123456"),
        ("refs/heads/x", Tagging::ByHand, "manual-0123456"),
        ("refs/heads/main", own("try-1"), "try-1"),
        ("refs/tags/v1.2.3", Tagging::ByHand, "1.2.3 latest"),
        ("refs/tags/v1.2.3", own("try-1"), "try-1"),
    ] {
        let inputs = Inputs {
            tagging,
            ..inputs(full)
        };
        let plan = plan(&spec, &inputs, &[]).unwrap();
        let tags: Vec<_> = plan.images[0].tags.iter().map(Tag::as_str).collect();
        assert_eq!(tags.join(" "), expected, "{inputs:?}");
        let released = expected.starts_with("1.2.3");
        assert_eq!(plan.version().is_some(), released, "{inputs:?}");
    }
    for reserved in ["latest", "v1.2.3", "1.2.3", "1.2", "V2"] {
        let error = Tagging::named(reserved).unwrap_err();
        assert_eq!(error, NoPlan::Reserved(reserved.parse().unwrap()));
    }
    assert!(matches!(Tagging::named("a b"), Err(NoPlan::BadTag(_))));
}

#[test]
fn one_destination_named_twice_is_told() {
    let mut spec = spec();
    spec.destinations.push("ghcr.io/owner".parse().unwrap());
    let error = plan(&spec, &inputs("refs/tags/v1.2.3"), &[]).unwrap_err();
    assert_eq!(error, NoPlan::Twice("ghcr.io/owner/app".to_owned()));
}
