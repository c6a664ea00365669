//! Decides that every decision over a random repository is right: what goes, with which tags, in which order, what stays.
//! Must never excuse a deletion; what is left for later is excused in one place only, which says why.

use super::{
    cases,
    oracle::{Truth, Why},
    repository::{Name, Repository, Set, has, members, number, set_of, tag},
    runner,
    strategy::repositories,
};
use proptest::prelude::*;
use rpub::model::retention::{Decision, Deletion, Doubt, Reason, Root};
use std::collections::BTreeSet;

type Outcome = Result<(), TestCaseError>;

pub(super) fn numbers(decision: &Decision) -> Vec<usize> {
    let deletions = decision.deletions.iter();
    deletions
        .map(|deletion| number(deletion.digest()))
        .collect()
}

/// The whole answer: what goes, no less and no more, once, or that nothing can be said.
pub(super) fn is_right(
    repository: &Repository,
    truth: &Truth,
) -> Result<Option<Decision>, TestCaseError> {
    let decision = match repository.decide() {
        Err(Doubt::Live { digest, .. }) => {
            prop_assert!(
                has(truth.broken, number(digest)),
                "live and known: {digest:?}"
            );
            return Ok(None);
        }
        Err(Doubt::Superseded { digest, .. }) => {
            prop_assert_eq!(truth.broken, 0, "what is in use is doubted first");
            prop_assert!(has(truth.unknown, number(digest)), "known: {digest:?}");
            return Ok(None);
        }
        Ok(decision) => decision,
    };
    prop_assert_eq!(truth.broken, 0, "in use and not known");
    prop_assert_eq!(truth.unknown, 0, "superseded and not known");
    let goes = numbers(&decision);
    let all = set_of(goes.iter().copied());
    prop_assert_eq!(all.count_ones() as usize, goes.len(), "twice");
    prop_assert_eq!(all & truth.live, 0, "deletes what is reached");
    prop_assert_eq!(all & !truth.going, 0, "deletes what nobody asked for");
    prop_assert_eq!(truth.goes & !all, 0, "leaves what nobody needs");
    prop_assert_eq!(all, truth.goes);
    Ok(Some(decision))
}

/// With a manifest go its tags, and each of them is about something.
fn tags_are_right(repository: &Repository, decision: &Decision, truth: &Truth) -> Outcome {
    for deletion in &decision.deletions {
        let number = number(deletion.digest());
        let names = repository.tags_of(number);
        for name in &names {
            let Name::About(subject, _) = name else {
                return Err(TestCaseError::fail(format!("{number} has {name:?}")));
            };
            prop_assert!(has(truth.going, *subject) && *subject != number);
        }
        let tags: BTreeSet<_> = names.into_iter().map(tag).collect();
        prop_assert_eq!(deletion.tags(), &tags);
        let asked = match deletion.reason() {
            Reason::Superseded => repository.superseded.contains(&number),
            Reason::Untagged => repository.untagged.contains_key(&number),
            Reason::PartOf(_) => true,
        };
        prop_assert!(asked, "{:?}", deletion.reason());
    }
    Ok(())
}

/// What names something goes before that; so do tags, where they and the digests make no circle.
fn order_is_right(repository: &Repository, goes: &[usize]) -> Outcome {
    let all = set_of(goes.iter().copied());
    let named = |number: usize| -> Set {
        let manifest = &repository.manifests[number];
        (manifest.children | set_of(manifest.subject)) & all
    };
    let tagged = |number: usize| -> Set {
        let tags = repository.tags_of(number).into_iter();
        let about = tags.filter_map(|name| match name {
            Name::About(subject, _) => Some(subject),
            Name::Plain(_) => None,
        });
        set_of(about) & all
    };
    let leads = |from: usize, to: usize| {
        let mut reached: Set = 1 << from;
        for _ in goes {
            reached = members(reached).fold(reached, |set, n| set | named(n) | tagged(n));
        }
        has(reached, to)
    };
    for (place, number) in goes.iter().enumerate() {
        let before = set_of(goes[..place].iter().copied());
        prop_assert_eq!(
            named(*number) & before,
            0,
            "what {} names goes first",
            number
        );
        for subject in members(tagged(*number) & before) {
            prop_assert!(
                leads(subject, *number),
                "{subject} before its {number}, for no circle"
            );
        }
    }
    Ok(())
}

/// All that stays of the superseded lists, each for a root that is one, and for one that names it itself if there is any.
fn kept_is_right(decision: &Decision, truth: &Truth) -> Outcome {
    let kept = set_of(decision.kept.iter().map(|kept| number(kept.digest)));
    prop_assert_eq!(kept.count_ones() as usize, decision.kept.len(), "twice");
    prop_assert_eq!(kept, truth.live & truth.superseded);
    for kept in &decision.kept {
        let number = number(kept.digest);
        let is_it = |why: &Why| match (&kept.root, why) {
            (Root::Tag(told), Why::Tag(name)) => *told == tag(*name),
            (Root::Run | Root::Stuck, Why::Run) | (Root::Young, Why::Young) => true,
            (Root::Former(told), Why::Former(place)) => told == place,
            _ => false,
        };
        let roots = || truth.roots.iter().filter(|(why, _)| is_it(why));
        prop_assert!(
            roots().any(|(_, from)| truth.leads(*from, number)),
            "{kept:?}"
        );
        prop_assert_eq!(
            kept.directly,
            roots().any(|(_, on)| *on == number),
            "{:?}",
            kept
        );
        let named = truth.roots.iter().any(|(_, on)| *on == number);
        prop_assert_eq!(
            kept.directly,
            named,
            "named itself, and a reason is told that does not"
        );
    }
    Ok(())
}

/// Stopped after any deletion and begun again it does the rest, and after the last nothing.
fn goes_on(repository: &Repository, goes: &[usize], listed_still: bool) -> Outcome {
    let mut rest = repository.clone();
    for (place, number) in goes.iter().enumerate() {
        rest.delete(*number, listed_still);
        let again = rest.decide();
        let Ok(again) = again else {
            return Err(TestCaseError::fail(format!("after {place}: {again:?}")));
        };
        let expected = set_of(goes[place + 1..].iter().copied());
        let again = set_of(numbers(&again));
        if again == expected {
            continue;
        }
        prop_assert_eq!(again & !expected, 0, "more than before, after {}", place);
        // A tag was all that told whose part it is, and it was pushed lately: that may be somebody's now. It can be swept.
        let (before, after) = (Truth::of(repository), Truth::of(&rest));
        let is_new =
            |why: &Why, on: usize| *why == Why::Young && !before.roots.contains(&(*why, on));
        let young = || after.roots.iter().filter(|(why, on)| is_new(why, *on));
        let excused = |missing| young().any(|(_, on)| after.leads(*on, missing));
        prop_assert!(
            members(expected & !again).all(excused),
            "less, after {}",
            place
        );
    }
    Ok(())
}

fn check(repository: &Repository, listed_still: bool) -> Outcome {
    let truth = Truth::of(repository);
    if let Some(decision) = is_right(repository, &truth)? {
        let goes = numbers(&decision);
        tags_are_right(repository, &decision, &truth)?;
        order_is_right(repository, &goes)?;
        kept_is_right(&decision, &truth)?;
        goes_on(repository, &goes, listed_still)?;
    }
    Ok(())
}

#[test]
fn retention_deletes_what_nobody_needs_and_nothing_else() {
    let strategy = (repositories(), any::<bool>());
    runner(cases())
        .run(&strategy, |(repository, listed_still)| {
            check(&repository, listed_still)
        })
        .unwrap();
}

/// Whatever a journal tells of earlier runs.
#[test]
fn retention_deletes_nothing_where_nothing_is_asked_for() {
    runner(cases() / 10)
        .run(&repositories(), |mut repository| {
            repository.superseded.clear();
            repository.sweep = false;
            if let Some(decision) = is_right(&repository, &Truth::of(&repository))? {
                prop_assert_eq!(decision, Decision::default());
            }
            Ok(())
        })
        .unwrap();
}

/// The same question has the same answer: what is asked for twice is deleted once.
#[test]
fn retention_says_the_same_twice() {
    runner(cases() / 10)
        .run(&repositories(), |mut repository| {
            let once = repository.decide();
            prop_assert_eq!(&once, &repository.decide());
            let again = repository.superseded.clone();
            repository.superseded.extend(again);
            let goes = |decision: Decision| -> BTreeSet<_> {
                decision.deletions.iter().map(Deletion::digest).collect()
            };
            prop_assert_eq!(once.map(goes), repository.decide().map(goes));
            Ok(())
        })
        .unwrap();
}
