//! Decides which tags a release moves, on which target, from what to what; and which it leaves alone, and why.
//! Must never move a version tag to another digest unasked, nor `latest` or a floating tag backwards.

use super::{
    digest::Digest,
    reference::Tag,
    tags::TagRules,
    version::{GitRef, Version},
};
use std::collections::BTreeMap;

/// What a tag is; this decides when it may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagKind {
    /// It names one version (`1.2.3`, `1.2.3-slim`): once published it stays (FR-008).
    Version,
    /// It follows versions (`1.2`, `1`): forward only.
    Floating,
    /// `latest`: forward only, and last.
    Latest,
    /// It follows a branch or a commit: it moves freely.
    Free,
}

/// The kind of a tag that a plan for `git_ref` gives.
pub fn kind(tag: &Tag, git_ref: &GitRef) -> TagKind {
    if tag.is_latest() {
        return TagKind::Latest;
    }
    match git_ref.version() {
        Some(version) if tag.as_str().contains(&version.image_tag_text()) => TagKind::Version,
        Some(_) => TagKind::Floating,
        None => TagKind::Free,
    }
}

/// What one target has before anything moves.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// What each planned tag names there; a tag that is not there is not in it.
    pub tags: BTreeMap<Tag, Digest>,
    /// All tags there.
    pub all: Vec<Tag>,
}

/// One tag on one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The target's place in the image's list of targets.
    pub target: usize,
    /// The tag.
    pub tag: Tag,
    /// What it named before; none where it was not there.
    pub from: Option<Digest>,
    /// What it shall name.
    pub to: Digest,
}

/// A tag that stays where it is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The tag.
    pub tag: Tag,
    /// A newer version that was published before.
    pub newer: Version,
}

/// What is to be done for one image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// In the order of the plan's tags, `latest` last; each tag on all targets before the next.
    pub moves: Vec<Move>,
    /// Tags that would have gone backwards.
    pub left: Vec<Left>,
}

/// A version tag that names something else already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{tag} is published already, as {has}; this release made {made}")]
pub struct Conflict {
    /// The target's place in the image's list of targets.
    pub target: usize,
    /// The tag.
    pub tag: Tag,
    /// What it names.
    pub has: Digest,
    /// What it would have named.
    pub made: Digest,
}

/// The highest stable version of `published` that is newer than `ours` and has `tag` too, by the same rules.
fn newer<'a>(
    rules: &TagRules,
    ours: &Version,
    tag: &Tag,
    published: &'a [Version],
) -> Option<&'a Version> {
    let has_it = |version: &&Version| {
        let git_ref = GitRef::Version(format!("v{version}"), (*version).clone());
        // A pattern that cannot be rendered for it gives it no tag.
        rules
            .tags(&git_ref, None)
            .is_ok_and(|tags| tags.contains(tag))
    };
    let stable = published.iter().filter(|v| !v.is_prerelease() && *v > ours);
    stable.filter(has_it).max()
}

/// The moves that let `tags` name `to` on every target, each of which has what `found` says, in the same order.
///
/// A tag that names `to` already is moved all the same, from `to` to `to`: writing it again is harmless, and puts right
/// what a registry has lost in between. `force` overwrites version tags.
pub fn decide(
    rules: &TagRules,
    git_ref: &GitRef,
    tags: &[Tag],
    to: Digest,
    found: &[Found],
    force: bool,
) -> Result<Decision, Conflict> {
    // Registries must agree, so a version that any of them has counts for all.
    let mut published: Vec<Version> = found
        .iter()
        .flat_map(|found| &found.all)
        .filter_map(|tag| Version::of_git_tag(&format!("v{tag}")).ok()?)
        .collect();
    published.sort();
    published.dedup();
    let mut decision = Decision::default();
    for tag in tags {
        match (kind(tag, git_ref), git_ref.version()) {
            (TagKind::Version, _) if !force => {
                let other = found.iter().enumerate().find_map(|(target, found)| {
                    let has = *found.tags.get(tag)?;
                    (has != to).then_some((target, has))
                });
                if let Some((target, has)) = other {
                    return Err(Conflict {
                        target,
                        tag: tag.clone(),
                        has,
                        made: to,
                    });
                }
            }
            (TagKind::Floating | TagKind::Latest, Some(ours)) => {
                if let Some(newer) = newer(rules, ours, tag, &published) {
                    decision.left.push(Left {
                        tag: tag.clone(),
                        newer: newer.clone(),
                    });
                    continue;
                }
            }
            _ => {}
        }
        let moves = found.iter().enumerate().map(|(target, found)| Move {
            target,
            tag: tag.clone(),
            from: found.tags.get(tag).copied(),
            to,
        });
        decision.moves.extend(moves);
    }
    Ok(decision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tags::LatestRule;
    use proptest::prelude::*;

    fn rules() -> TagRules {
        TagRules {
            release: ["{{version}}", "{{major}}.{{minor}}", "{{major}}"]
                .map(|t| t.parse().unwrap())
                .to_vec(),
            latest: vec![LatestRule::Release, LatestRule::Branch("main".to_owned())],
            manual: vec!["manual".parse().unwrap()],
        }
    }

    fn plan(git_ref: &str) -> (GitRef, Vec<Tag>) {
        let git_ref = GitRef::parse(git_ref).unwrap();
        let tags = rules().tags(&git_ref, None).unwrap();
        (git_ref, tags)
    }

    fn found(tags: &[(&str, &[u8])]) -> Found {
        let named = |(tag, content): &(&str, &[u8])| (tag.parse().unwrap(), Digest::of(content));
        Found {
            tags: tags.iter().map(named).collect(),
            all: tags.iter().map(|(tag, _)| tag.parse().unwrap()).collect(),
        }
    }

    fn decide_for(git_ref: &str, found: &[Found], force: bool) -> Result<Decision, Conflict> {
        let (git_ref, tags) = plan(git_ref);
        decide(&rules(), &git_ref, &tags, Digest::of(b"new"), found, force)
    }

    fn moved(decision: &Decision) -> Vec<String> {
        let mut tags: Vec<String> = decision.moves.iter().map(|m| m.tag.to_string()).collect();
        tags.dedup();
        tags
    }

    #[test]
    fn every_tag_moves_on_every_target_and_latest_last() {
        let decision = decide_for(
            "refs/tags/v1.2.3",
            &[found(&[("latest", b"old")]), found(&[])],
            false,
        );
        let decision = decision.unwrap();
        assert_eq!(moved(&decision), ["1.2.3", "1.2", "1", "latest"]);
        assert_eq!(decision.moves.len(), 8);
        assert_eq!(decision.moves[6].from, Some(Digest::of(b"old")));
        assert_eq!(decision.moves[7].from, None);
    }

    #[test]
    fn a_version_tag_is_not_overwritten_unasked() {
        let there = [found(&[]), found(&[("1.2.3", b"other")])];
        let conflict = decide_for("refs/tags/v1.2.3", &there, false).unwrap_err();
        assert_eq!((conflict.target, conflict.has), (1, Digest::of(b"other")));
        assert!(decide_for("refs/tags/v1.2.3", &there, true).is_ok());
        let same = [found(&[("1.2.3", b"new")])];
        assert!(decide_for("refs/tags/v1.2.3", &same, false).is_ok());
    }

    #[test]
    fn latest_and_floating_tags_move_only_forward() {
        // 1.2.4 is on one registry only; it counts for both.
        let there = [
            found(&[("1.2.4", b"x"), ("1.2", b"x"), ("1", b"x")]),
            found(&[]),
        ];
        let decision = decide_for("refs/tags/v1.2.3", &there, false).unwrap();
        assert_eq!(moved(&decision), ["1.2.3"]);
        assert_eq!(decision.left.len(), 3);
        let there = [found(&[("2.0.0", b"x")])];
        let decision = decide_for("refs/tags/v1.2.3", &there, false).unwrap();
        assert_eq!(
            moved(&decision),
            ["1.2.3", "1.2", "1"],
            "2.0.0 holds latest back, not 1.2"
        );
        let there = [found(&[("2.0.0-rc.1", b"x"), ("nightly", b"x")])];
        let decision = decide_for("refs/tags/v1.2.3", &there, false).unwrap();
        assert_eq!(decision.left, [], "a pre-release holds nothing back");
    }

    #[test]
    fn main_moves_latest_whatever_is_published() {
        let there = [found(&[("9.0.0", b"x"), ("latest", b"x")])];
        assert_eq!(
            moved(&decide_for("refs/heads/main", &there, false).unwrap()),
            ["latest"]
        );
        assert_eq!(
            moved(&decide_for("refs/heads/other", &there, false).unwrap()),
            ["manual"]
        );
    }

    proptest! {
        /// Released in any order, `latest` ends at the highest version, and so does each floating tag within its own.
        #[test]
        fn any_order_of_releases_ends_the_same(
            mut versions in prop::collection::vec((0u64..3, 0u64..3, 0u64..3), 1..8),
        ) {
            let mut state = Found::default();
            for (major, minor, patch) in &versions {
                let (git_ref, tags) = plan(&format!("refs/tags/v{major}.{minor}.{patch}"));
                let to = Digest::of(git_ref.to_string().as_bytes());
                let decision = decide(&rules(), &git_ref, &tags, to, &[state.clone()], false).unwrap();
                for step in decision.moves {
                    state.tags.insert(step.tag.clone(), step.to);
                    state.all.push(step.tag);
                }
            }
            versions.sort_unstable();
            let of = |(a, b, c): (u64, u64, u64)| Digest::of(format!("refs/tags/v{a}.{b}.{c}").as_bytes());
            prop_assert_eq!(state.tags[&Tag::latest()], of(*versions.last().unwrap()));
            for (major, minor, _) in &versions {
                let highest = versions.iter().rfind(|v| (v.0, v.1) == (*major, *minor)).unwrap();
                let tag: Tag = format!("{major}.{minor}").parse().unwrap();
                prop_assert_eq!(state.tags[&tag], of(*highest));
            }
        }
    }
}
