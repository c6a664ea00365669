//! Decides that refs get the tags that the rules promise, and those of docker/metadata-action.
//! Must never need git.

use super::*;

fn rules(release: &[&str]) -> TagRules {
    TagRules {
        release: release.iter().map(|t| t.parse().unwrap()).collect(),
        latest: vec![LatestRule::Release, LatestRule::Branch("main".to_owned())],
        manual: vec!["manual-{{sha}}".parse().unwrap()],
    }
}

fn tags(rules: &TagRules, full: &str) -> Vec<String> {
    let revision = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
    let tags = rules.tags(&GitRef::parse(full).unwrap(), Some(&revision));
    tags.unwrap().iter().map(ToString::to_string).collect()
}

/// `tests/data/tag-vectors.tsv` says what docker/metadata-action v6 answers.
#[test]
fn the_vectors_of_metadata_action_hold() {
    let vectors = include_str!("../../tests/data/tag-vectors.tsv");
    let mut count = 0;
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        let (full, rules, expected) = (
            fields.next().unwrap(),
            fields.next().unwrap(),
            fields.next().unwrap(),
        );
        let release = rules
            .split(',')
            .map(|rule| {
                match rule {
                    "V" => "{{version}}",
                    "MM" => "{{major}}.{{minor}}",
                    "M" => "{{major}}",
                    other => panic!("unknown rule {other}"),
                }
                .parse()
                .unwrap()
            })
            .collect();
        let rules = TagRules {
            release,
            latest: vec![LatestRule::Release],
            manual: vec![],
        };
        // A malformed version is refused here, where metadata-action answers no tags.
        let got = GitRef::parse(full).map_or_else(
            |_| Vec::new(),
            |git_ref| rules.tags(&git_ref, None).unwrap(),
        );
        let got = got.iter().map(Tag::as_str).collect::<Vec<_>>().join(" ");
        let expected = if expected == "-" { "" } else { expected };
        assert_eq!(got, expected, "{line}");
        count += 1;
    }
    assert_eq!(count, 10);
}

#[test]
fn a_release_gives_its_patterns_and_latest_last_fr_008() {
    let rules = rules(&["{{version}}", "{{major}}.{{minor}}", "{{major}}", "latest"]);
    assert_eq!(
        tags(&rules, "refs/tags/v1.2.3"),
        ["1.2.3", "1.2", "1", "latest"]
    );
}

#[test]
fn zero_versions_get_no_major_tag() {
    let rules = rules(&[
        "{{version}}",
        "{{major}}.{{minor}}",
        "{{major}}",
        "v{{major}}",
    ]);
    assert_eq!(tags(&rules, "refs/tags/v0.2.3"), ["0.2.3", "0.2", "latest"]);
}

#[test]
fn a_prerelease_gets_its_own_tag_only_fr_021() {
    let rules = rules(&["{{major}}", "{{version}}-slim", "latest"]);
    assert_eq!(
        tags(&rules, "refs/tags/v2.0.0-rc.1"),
        ["2.0.0-rc.1-slim", "2.0.0-rc.1"]
    );
}

#[test]
fn main_moves_latest_and_other_branches_do_not_fr_007() {
    let mut rules = rules(&["{{version}}"]);
    assert_eq!(tags(&rules, "refs/heads/main"), ["latest"]);
    assert_eq!(tags(&rules, "refs/heads/feature/x"), ["manual-0123456"]);
    assert_eq!(tags(&rules, "refs/tags/nightly"), ["manual-0123456"]);
    rules.manual = vec!["{{branch}}".parse().unwrap()];
    assert_eq!(tags(&rules, "refs/heads/feature/x y"), ["feature-x-y"]);
}

#[test]
fn sha_without_a_commit_is_told() {
    let rules = rules(&["{{version}}"]);
    let git_ref = GitRef::parse("refs/heads/x").unwrap();
    assert!(matches!(
        rules.tags(&git_ref, None),
        Err(NoTag::NoRevision(_))
    ));
}

#[test]
fn bad_patterns_name_the_nearest_right_one() {
    for (text, nearest) in [
        ("{{verson}}", Some("{{version}}")),
        ("v{{ version }}", None),
        ("{{version", Some("{{version}}")),
        ("a b", None),
        ("", None),
        ("-{{sha}}", None),
    ] {
        match text.parse::<Template>() {
            Ok(_) => assert_eq!(text, "v{{ version }}"),
            Err(error) => assert_eq!(error.nearest.as_deref(), nearest, "{text}"),
        }
    }
}
