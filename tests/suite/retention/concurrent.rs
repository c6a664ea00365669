//! Decides that nothing that is reached at that moment goes, whatever others do between two deletions.
//! Must never let a deletion follow from what was read before the last change: the pipeline reads again each time.

use super::{
    cases,
    oracle::Truth,
    property::{is_right, numbers},
    repository::{MOST, Manifest, Name, Repository, Set, State, has, members},
    runner,
    strategy::{names, repositories},
};
use proptest::{bits, prelude::*};

/// What somebody else does meanwhile.
#[derive(Debug, Clone)]
enum Action {
    /// A tag is set, or moved; not on what is gone.
    Tag(Name, usize),
    /// A list is pushed by digest, of what is there.
    Push(Set),
    /// A signature is pushed by digest.
    Sign(usize),
    /// The nth tag is removed.
    Untag(usize),
}

impl Repository {
    fn happens(&mut self, action: &Action) {
        let there = self.there();
        match action {
            Action::Tag(name, on) if has(there, *on) => {
                let before = self.tags.insert(*name, *on);
                self.untagged.remove(on);
                self.lists(before);
            }
            Action::Push(children) => self.pushed(children & there, None),
            Action::Sign(subject) => self.pushed(0, Some(*subject).filter(|n| has(there, *n))),
            Action::Untag(nth) => {
                let name = self.tags.keys().nth(*nth).copied();
                let before = name.and_then(|name| self.tags.remove(&name));
                self.lists(before);
            }
            Action::Tag(..) => {}
        }
    }

    fn pushed(&mut self, children: Set, subject: Option<usize>) {
        let number = self.manifests.len();
        if number < MOST {
            self.manifests.push(Manifest {
                children,
                subject,
                state: State::There,
            });
            // What a tag was about before it was there may be tagged; it is listed as untagged all the same.
            self.untagged.insert(number, 0);
        }
    }

    /// What has lost its last tag is listed as untagged; it is old.
    fn lists(&mut self, before: Option<usize>) {
        if let Some(number) = before.filter(|number| self.tags_of(*number).is_empty()) {
            self.untagged.insert(number, 9);
        }
    }

    /// What people pull, and what somebody is about to tag, each with its parts: by hand, without any rule.
    fn in_sight(&self) -> Set {
        let plain = self.tags.iter();
        let plain = plain.filter(|(name, _)| matches!(name, Name::Plain(_)));
        let pushed = self.untagged.iter().filter(|(_, age)| **age == 0);
        let pushed =
            pushed.filter(|(n, _)| self.manifests[**n].children != 0 && self.is(**n, State::There));
        let first = plain.map(|(_, on)| *on).chain(pushed.map(|(n, _)| *n));
        first.fold(0, |set, number| set | self.parts(number))
    }

    fn parts(&self, number: usize) -> Set {
        let parts = members(self.manifests[number].children);
        parts.fold(1 << number, |set, part| set | self.parts(part))
    }
}

fn actions() -> impl Strategy<Value = Vec<Option<Action>>> {
    let action = prop_oneof![
        2 => (names(10), 0..12_usize).prop_map(|(name, on)| Action::Tag(name, on)),
        2 => bits::u32::sampled(1..4, 0..10).prop_map(Action::Push),
        1 => (0..10_usize).prop_map(Action::Sign),
        1 => (0..6_usize).prop_map(Action::Untag),
    ];
    prop::collection::vec(prop::option::of(action), 0..7)
}

/// Begins with a repository that is at rest: all that was pushed lately before is left out.
fn check(mut repository: Repository, actions: &[Option<Action>]) -> Result<(), TestCaseError> {
    repository.grace = repository.grace.max(1);
    repository.untagged.retain(|_, age| *age > 0);
    let mut actions = actions.iter();
    loop {
        let next = actions.next();
        let truth = Truth::of(&repository);
        // In doubt nothing goes; what others do next may end the doubt.
        let decision = is_right(&repository, &truth)?;
        let first = decision.and_then(|decision| numbers(&decision).first().copied());
        if let Some(first) = first {
            prop_assert!(!has(truth.live, first), "{first} is reached");
            prop_assert!(
                !has(repository.in_sight(), first),
                "{first} is pulled by somebody"
            );
            repository.delete(first, false);
        }
        match next {
            Some(action) => action.iter().for_each(|action| repository.happens(action)),
            None if first.is_none() => return Ok(()),
            None => {}
        }
    }
}

#[test]
fn retention_deletes_nothing_that_somebody_takes_into_use_meanwhile() {
    runner(cases() / 4)
        .run(&(repositories(), actions()), |(repository, actions)| {
            check(repository, &actions)
        })
        .unwrap();
}
