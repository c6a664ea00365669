//! Decides which random repositories there are: everything that may be in one, in every combination, and small.
//! Must never leave out what is rare in a registry: deleting goes wrong there.

use super::repository::{KINDS, Manifest, Name, Repository, Set, State, has};
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
