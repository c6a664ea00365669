//! Decides which random repositories there are: everything that may be in one, in every combination, and small.
//! Must never leave out what is rare in a registry: deleting goes wrong there.

use super::repository::{KINDS, Manifest, Name, Repository, Set, State, has, members};
use proptest::{bits, prelude::*};

fn states() -> impl Strategy<Value = State> {
    prop_oneof![
        40 => Just(State::There),
        5 => Just(State::Gone),
        2 => Just(State::Forgotten),
        1 => Just(State::Unreadable),
        1 => Just(State::Unread),
    ]
}

fn manifests(count: usize) -> impl Strategy<Value = Manifest> {
    let children = bits::u32::sampled(0..4, 0..count);
    let subject = prop::option::weighted(0.25, 0..count);
    (children, subject, states()).prop_map(|(children, subject, state)| Manifest {
        children,
        subject,
        state,
    })
}

pub(super) fn names(count: usize) -> impl Strategy<Value = Name> {
    prop_oneof![
        1 => (0..5_usize).prop_map(Name::Plain),
        // One number more than there are manifests: what nobody knows.
        1 => (0..=count, 0..KINDS.len()).prop_map(|(subject, kind)| Name::About(subject, kind)),
    ]
}

pub(super) fn repositories() -> impl Strategy<Value = Repository> {
    (4..11_usize).prop_flat_map(|count| {
        let found = (
            prop::collection::vec(manifests(count), count),
            prop::collection::btree_map(names(count), 0..count, 0..6),
            prop::collection::btree_map(0..count, 0..5_u64, 0..4),
        );
        let wish = (
            prop::collection::vec(0..count, 0..4),
            prop_oneof![3 => Just(0_usize), 2 => 1..4_usize],
            prop_oneof![3 => Just(0), 1 => bits::u32::sampled(1..3, 0..count)],
            0..4_u64,
            prop::bool::weighted(0.3),
        );
        // Mostly a registry does not show tags on what is gone.
        (found, wish, prop::bool::weighted(0.9)).prop_map(|(found, wish, sound)| {
            let (manifests, tags, untagged) = found;
            let (superseded, keep, needed, grace, sweep) = wish;
            let mut repository = Repository {
                manifests,
                tags,
                untagged,
                superseded,
                keep,
                needed,
                grace,
                sweep,
            };
            settle(&mut repository, sound);
            repository
        })
    })
}

/// What a manifest names has a higher number: there are no circles of digests.
fn settle(repository: &mut Repository, sound: bool) {
    for (number, manifest) in repository.manifests.iter_mut().enumerate() {
        let higher: Set = !((2 << number) - 1);
        manifest.children &= higher;
        manifest.subject = manifest.subject.filter(|subject| *subject > number);
    }
    if sound {
        let there = repository.there();
        repository.needed &= there;
        repository.tags.retain(|_, on| has(there, *on));
        let tagged: Set = repository.tags.values().fold(0, |set, on| set | 1 << on);
        let untagged = &mut repository.untagged;
        untagged.retain(|number, _| has(there, *number) && !has(tagged, *number));
    }
}

/// What should be among random repositories, by names.
fn shapes(repository: &Repository) -> Vec<(&'static str, bool)> {
    use super::oracle::Truth;
    let truth = Truth::of(repository);
    let manifests = &repository.manifests;
    let all = || 0..manifests.len();
    let is_list = |n: usize| manifests[n].children != 0;
    let tags = || repository.tags.iter();
    let about = |wanted: &dyn Fn(usize, usize) -> bool| {
        tags().any(|(name, on)| matches!(name, Name::About(s, _) if wanted(*s, *on)))
    };
    let names_on = |n: usize| repository.tags_of(n);
    let of_kind = |n: usize| {
        names_on(n)
            .iter()
            .filter(|t| matches!(t, Name::About(..)))
            .count()
    };
    let young = |n: usize| {
        repository
            .untagged
            .get(&n)
            .is_some_and(|a| *a < repository.grace)
    };
    let shared = |n: usize| members(manifests[n].children).any(|c| has(truth.superseded, c));
    let readable = truth.broken == 0 && truth.unknown == 0;
    let doubt =
        |set: Set, state| members(set).any(|n| n < manifests.len() && repository.is(n, state));
    vec![
        (
            "two tags on one manifest",
            all().any(|n| names_on(n).len() > of_kind(n) + 1),
        ),
        (
            "nested lists",
            all().any(|n| members(manifests[n].children).any(is_list)),
        ),
        (
            "an attestation in a list",
            all().any(|n| {
                let sibling = |c: usize| {
                    manifests[c]
                        .subject
                        .is_some_and(|s| has(manifests[n].children, s))
                };
                members(manifests[n].children).any(sibling)
            }),
        ),
        (
            "live and superseded lists share",
            readable && all().any(|n| has(truth.live, n) && shared(n)) && truth.goes != 0,
        ),
        (
            "a referrer goes",
            readable && all().any(|n| has(truth.goes, n) && manifests[n].subject.is_some()),
        ),
        (
            "a referrer that is a list goes",
            all().any(|n| has(truth.goes, n) && manifests[n].subject.is_some() && is_list(n)),
        ),
        (
            "an untagged referrer lives",
            all().any(|n| {
                has(truth.live, n) && manifests[n].subject.is_some() && names_on(n).is_empty()
            }),
        ),
        ("a tag about what lives", about(&|s, _| has(truth.live, s))),
        (
            "a tag about what goes",
            readable && about(&|s, _| has(truth.goes, s)),
        ),
        (
            "a tag about what is gone",
            about(&|s, _| s < manifests.len() && repository.is(s, State::Gone)),
        ),
        (
            "a tag about what nobody knows",
            about(&|s, _| s == manifests.len()),
        ),
        ("a tag about what it is on", about(&|s, on| s == on)),
        ("several such tags on one", all().any(|n| of_kind(n) > 1)),
        (
            "such a tag and an ordinary one",
            all().any(|n| of_kind(n) > 0 && names_on(n).len() > of_kind(n)),
        ),
        (
            "a former latest is kept",
            readable && repository.keep > 0 && truth.goes != 0 && !repository.superseded.is_empty(),
        ),
        (
            "a list was latest twice",
            repository
                .superseded
                .iter()
                .enumerate()
                .any(|(p, n)| repository.superseded[..p].contains(n)),
        ),
        ("this run needs something", repository.needed != 0),
        (
            "a gone list left parts",
            readable
                && all().any(|n| {
                    repository.is(n, State::Gone) && manifests[n].children & truth.goes != 0
                }),
        ),
        (
            "a young list shares with a superseded one",
            readable
                && truth.goes != 0
                && all().any(|n| young(n) && shared(n) && !has(truth.superseded, n)),
        ),
        (
            "an old one is swept",
            readable
                && repository.sweep
                && repository
                    .untagged
                    .keys()
                    .any(|n| has(truth.goes & !truth.superseded, *n)),
        ),
        (
            "an old one is not swept",
            !repository.sweep && repository.untagged.keys().any(|n| !young(*n)),
        ),
        (
            "live and unreadable",
            doubt(truth.broken, State::Unreadable),
        ),
        ("live and not read", doubt(truth.broken, State::Unread)),
        (
            "live and gone",
            doubt(truth.broken, State::Gone) && doubt(truth.broken, State::Forgotten),
        ),
        (
            "superseded and unreadable",
            doubt(truth.unknown, State::Unreadable),
        ),
        (
            "superseded and not read",
            doubt(truth.unknown, State::Unread),
        ),
        ("much goes", readable && truth.goes.count_ones() > 4),
        ("all is well", readable),
    ]
}

/// A property over repositories that show nothing proves nothing.
#[test]
fn retention_random_repositories_have_everything_in_them() {
    use proptest::strategy::ValueTree as _;
    let mut runner = super::runner(1);
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..5_000 {
        let tree = repositories().new_tree(&mut runner).unwrap();
        for (shape, is) in shapes(&tree.current()) {
            *counts.entry(shape).or_insert(0_u32) += u32::from(is);
        }
    }
    let rare: Vec<_> = counts.iter().filter(|(_, count)| **count < 10).collect();
    assert!(rare.is_empty(), "{rare:?} of {counts:#?}");
}
