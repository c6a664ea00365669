//! Decides that pruning can hurt nobody: over random graphs nothing that anything needs goes, and all the rest does.
//! Must never look at how `retention` finds out what is reached: the oracle here goes another way.

use proptest::prelude::*;
use rpub::model::{
    digest::Digest,
    reference::Tag,
    retention::{Decision, Deletion, Doubt, Holdings, Links, Look, Wish, decide},
};
use std::collections::BTreeSet;

/// How many random repositories: enough by default for what is promised, more on demand.
fn cases() -> u32 {
    let asked = std::env::var("RPUB_PRUNE_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

fn digest(index: usize) -> Digest {
    Digest::of(&index.to_le_bytes())
}

/// A repository by small numbers: what a manifest names has a higher number, so that there are no circles.
#[derive(Debug, Clone)]
struct Repository {
    /// For each manifest its children, and what it is about.
    manifests: Vec<(Vec<usize>, Option<usize>)>,
    tagged: Vec<usize>,
    needed: Vec<usize>,
    superseded: Vec<usize>,
    keep: usize,
    gone: BTreeSet<usize>,
    unreadable: BTreeSet<usize>,
}

impl Repository {
    fn holdings(&self) -> Holdings {
        let look = |(index, (children, subject)): (usize, &(Vec<usize>, Option<usize>))| {
            let links = Links {
                children: children.iter().copied().map(digest).collect(),
                subject: subject.map(digest),
            };
            let look = if self.unreadable.contains(&index) {
                Look::Unreadable("503".to_owned())
            } else if self.gone.contains(&index) {
                Look::Gone(Some(links))
            } else {
                Look::There(links)
            };
            (digest(index), look)
        };
        let tag = |(number, index): (usize, &usize)| {
            let tag: Tag = format!("t{number}").parse().unwrap();
            (tag, digest(*index))
        };
        Holdings {
            tags: self.tagged.iter().enumerate().map(tag).collect(),
            manifests: self.manifests.iter().enumerate().map(look).collect(),
            ..Holdings::default()
        }
    }

    fn wish(&self) -> Wish {
        Wish {
            superseded: self.superseded.iter().copied().map(digest).collect(),
            keep: self.keep,
            needed: self.needed.iter().copied().map(digest).collect(),
            ..Wish::default()
        }
    }

    fn decide(&self) -> Result<Decision, Doubt> {
        decide(&self.holdings(), &self.wish())
    }

    fn is_known(&self, index: usize) -> bool {
        !self.unreadable.contains(&index)
    }

    /// All that these reach, by going over every pair until nothing is new.
    fn reached(
        &self,
        from: impl IntoIterator<Item = usize>,
        through_the_gone: bool,
    ) -> BTreeSet<usize> {
        let mut reached: BTreeSet<usize> = from.into_iter().collect();
        loop {
            let before = reached.len();
            for (index, (children, subject)) in self.manifests.iter().enumerate() {
                if !self.is_known(index) {
                    continue;
                }
                if reached.contains(&index) {
                    reached.extend(children);
                }
                let counts = through_the_gone || !self.gone.contains(&index);
                if counts && subject.is_some_and(|subject| reached.contains(&subject)) {
                    reached.insert(index);
                }
            }
            if reached.len() == before {
                return reached;
            }
        }
    }

    /// What somebody needs.
    fn live(&self) -> BTreeSet<usize> {
        let formers = self.superseded.iter().take(self.keep);
        let formers = formers.filter(|index| !self.gone.contains(index));
        let roots = self.tagged.iter().chain(&self.needed).chain(formers);
        self.reached(roots.copied(), false)
    }

    /// What the superseded lists were.
    fn going(&self) -> BTreeSet<usize> {
        self.reached(self.superseded.iter().skip(self.keep).copied(), true)
    }

    fn is_readable(&self, index: usize) -> bool {
        self.is_known(index) && !self.gone.contains(&index)
    }
}

fn numbers(below: usize, most: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..below, 0..=most)
}

fn repositories() -> impl Strategy<Value = Repository> {
    (2..12_usize).prop_flat_map(|count| {
        let manifest = (numbers(count, 3), prop::option::weighted(0.2, 0..count));
        let manifests = prop::collection::vec(manifest, count);
        let rare = prop::collection::btree_set(0..count, 0..=1);
        let rarer = prop_oneof![9 => Just(BTreeSet::new()), 1 => rare.clone()];
        let parts = (
            manifests,
            numbers(count, 4),
            numbers(count, 2),
            prop::collection::btree_set(0..count, 0..=3),
            0..3_usize,
            rare,
            rarer,
        );
        parts.prop_map(
            |(mut manifests, tagged, needed, superseded, keep, gone, unreadable)| {
                let gone = &gone - &unreadable;
                for (index, (children, subject)) in manifests.iter_mut().enumerate() {
                    children.retain(|child| *child > index);
                    *subject = subject.filter(|subject| *subject > index);
                }
                Repository {
                    manifests,
                    tagged,
                    needed,
                    superseded: superseded.into_iter().collect(),
                    keep,
                    gone,
                    unreadable,
                }
            },
        )
    })
}

fn check(repository: &Repository) -> Result<(), TestCaseError> {
    let (live, going) = (repository.live(), repository.going());
    let Ok(decision) = repository.decide() else {
        // Nothing goes, and there was a reason for that: something in use or superseded is not known.
        let in_use = live.iter().any(|index| !repository.is_readable(*index));
        let dropped = going.iter().any(|index| !repository.is_known(*index));
        prop_assert!(in_use || dropped);
        return Ok(());
    };
    for index in &live {
        prop_assert!(
            repository.is_readable(*index),
            "{index} is in use and not known"
        );
    }
    let deleted: Vec<usize> = decision
        .deletions
        .iter()
        .map(|deletion| {
            let is_it = |index: &usize| digest(*index) == deletion.digest();
            (0..repository.manifests.len()).find(is_it).unwrap()
        })
        .collect();
    let all: BTreeSet<usize> = deleted.iter().copied().collect();
    prop_assert_eq!(all.len(), deleted.len(), "twice");
    // Nothing that anybody needs; all that nobody does.
    let expected: BTreeSet<usize> = going
        .difference(&live)
        .copied()
        .filter(|index| repository.is_readable(*index))
        .collect();
    prop_assert_eq!(&all, &expected);
    // What names something goes before that.
    for (place, index) in deleted.iter().enumerate() {
        let (children, subject) = &repository.manifests[*index];
        for named in children.iter().chain(subject) {
            prop_assert!(!deleted[..place].contains(named), "{named} before {index}");
        }
    }
    // Stopped anywhere and begun again, it ends in the same state.
    for stopped in 0..deleted.len() {
        let mut rest = repository.clone();
        rest.gone.extend(&deleted[..stopped]);
        let again = rest.decide();
        let again: Option<BTreeSet<Digest>> = again
            .ok()
            .map(|d| d.deletions.iter().map(Deletion::digest).collect());
        let expected = deleted[stopped..]
            .iter()
            .map(|index| digest(*index))
            .collect();
        prop_assert_eq!(again, Some(expected), "after {} deletions", stopped);
    }
    Ok(())
}

/// Tags, lists in lists, shared children, referrers, kept formers, what is gone, what cannot be read.
#[test]
fn retention_deletes_what_nobody_needs_and_nothing_else() {
    let config = ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&repositories(), |repository| check(&repository))
        .unwrap();
}
