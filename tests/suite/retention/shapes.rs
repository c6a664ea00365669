//! Decides that random repositories have everything in them that a registry may show.
//! Must never be the reason that a shape is rare: then the strategy changes, not this.

use super::{
    oracle::Truth,
    repository::{Name, Repository, Set, State, has, members},
    strategy::repositories,
};
use proptest::strategy::{Strategy as _, ValueTree as _};
use std::collections::BTreeMap;

/// So many of 5,000 at least.
const ENOUGH: u32 = 10;

struct Seen {
    repository: Repository,
    truth: Truth,
    /// All that must be known is known.
    readable: bool,
}

type Shapes = Vec<(&'static str, bool)>;

impl Seen {
    fn of(repository: Repository) -> Self {
        let truth = Truth::of(&repository);
        Seen {
            readable: truth.broken == 0 && truth.unknown == 0,
            repository,
            truth,
        }
    }

    fn any(&self, is: impl Fn(usize) -> bool) -> bool {
        (0..self.repository.manifests.len()).any(is)
    }

    fn children(&self, number: usize) -> Set {
        self.repository.manifests[number].children
    }

    fn is_list(&self, number: usize) -> bool {
        self.children(number) != 0
    }

    fn subject(&self, number: usize) -> Option<usize> {
        self.repository.manifests[number].subject
    }

    fn is_young(&self, number: usize) -> bool {
        let age = self.repository.untagged.get(&number);
        age.is_some_and(|age| *age < self.repository.grace)
    }

    fn goes(&self, number: usize) -> bool {
        self.readable && has(self.truth.goes, number)
    }

    /// How many ordinary tags, and how many of the form `sha256-<hex>`.
    fn tags(&self, number: usize) -> (usize, usize) {
        let names = self.repository.tags_of(number);
        let about = names.iter().filter(|name| matches!(name, Name::About(..)));
        let about = about.count();
        (names.len() - about, about)
    }

    fn tag_about(&self, is: impl Fn(usize, usize) -> bool) -> bool {
        let mut tags = self.repository.tags.iter();
        tags.any(|(name, on)| matches!(name, Name::About(subject, _) if is(*subject, *on)))
    }

    fn shapes_of_tags(&self) -> Shapes {
        let count = self.repository.manifests.len();
        let is_gone = |s: usize| s < count && self.repository.is(s, State::Gone);
        vec![
            ("two tags on one", self.any(|n| self.tags(n).0 > 1)),
            (
                "two signature tags on one",
                self.any(|n| self.tags(n).1 > 1),
            ),
            (
                "a tag of each kind on one",
                self.any(|n| self.tags(n).0 > 0 && self.tags(n).1 > 0),
            ),
            (
                "about what lives",
                self.tag_about(|s, _| has(self.truth.live, s)),
            ),
            (
                "about what goes",
                self.tag_about(|s, _| s < count && self.goes(s)),
            ),
            ("about what is gone", self.tag_about(|s, _| is_gone(s))),
            ("about what nobody knows", self.tag_about(|s, _| s == count)),
            ("about what it is on", self.tag_about(|s, on| s == on)),
        ]
    }

    fn shapes_of_lists(&self) -> Shapes {
        let nested = |n: usize| members(self.children(n)).any(|c| self.is_list(c));
        let attested = |n: usize| {
            let sibling = |c: usize| self.subject(c).is_some_and(|s| has(self.children(n), s));
            members(self.children(n)).any(sibling)
        };
        let shares = |n: usize| self.children(n) & self.truth.superseded != 0;
        let something_goes = self.readable && self.truth.goes != 0;
        let is_referrer = |n: usize| self.subject(n).is_some();
        let pushed = |n: usize| self.is_young(n) && !has(self.truth.superseded, n) && shares(n);
        let left = |n: usize| {
            self.repository.is(n, State::Gone) && members(self.children(n)).any(|c| self.goes(c))
        };
        vec![
            ("a list in a list", self.any(nested)),
            ("an attestation in a list", self.any(attested)),
            (
                "live and superseded share",
                something_goes && self.any(|n| has(self.truth.live, n) && shares(n)),
            ),
            (
                "a push under way shares",
                something_goes && self.any(pushed),
            ),
            (
                "a referrer goes",
                self.any(|n| self.goes(n) && is_referrer(n)),
            ),
            (
                "a referrer with parts goes",
                self.any(|n| self.goes(n) && is_referrer(n) && self.is_list(n)),
            ),
            (
                "an untagged referrer lives",
                self.any(|n| has(self.truth.live, n) && is_referrer(n) && self.tags(n) == (0, 0)),
            ),
            ("a gone list left parts", self.any(left)),
            (
                "much goes",
                self.readable && self.truth.goes.count_ones() > 4,
            ),
        ]
    }

    fn shapes_of_wishes(&self) -> Shapes {
        let Repository {
            superseded,
            keep,
            needed,
            sweep,
            untagged,
            ..
        } = &self.repository;
        let twice = |(place, n): (usize, &usize)| superseded[..place].contains(n);
        let doubt = |set: Set, state| self.any(|n| has(set, n) && self.repository.is(n, state));
        let (broken, unknown) = (self.truth.broken, self.truth.unknown);
        let swept = |n: &usize| self.goes(*n) && !has(self.truth.superseded, *n);
        vec![
            (
                "a former latest is kept",
                self.readable && *keep > 0 && superseded.len() > *keep && self.truth.goes != 0,
            ),
            (
                "a list was latest twice",
                superseded.iter().enumerate().any(twice),
            ),
            ("this run needs something", *needed != 0),
            ("an old one is swept", *sweep && untagged.keys().any(swept)),
            (
                "an old one is not swept",
                !sweep && untagged.keys().any(|n| !self.is_young(*n)),
            ),
            ("live and unreadable", doubt(broken, State::Unreadable)),
            ("live and not read", doubt(broken, State::Unread)),
            ("live and gone", doubt(broken, State::Gone)),
            (
                "live and gone, with unknown links",
                doubt(broken, State::Forgotten),
            ),
            (
                "superseded and unreadable",
                doubt(unknown, State::Unreadable),
            ),
            ("superseded and not read", doubt(unknown, State::Unread)),
            (
                "superseded and gone, with unknown links",
                self.readable && doubt(self.truth.going, State::Forgotten),
            ),
            ("all is known", self.readable),
        ]
    }
}

/// A property over repositories that show nothing proves nothing.
#[test]
fn retention_random_repositories_have_everything_in_them() {
    let mut runner = super::runner(1);
    let mut counts = BTreeMap::new();
    for _ in 0..5_000 {
        let repository = repositories().new_tree(&mut runner).unwrap().current();
        let seen = Seen::of(repository);
        let shapes = [
            seen.shapes_of_tags(),
            seen.shapes_of_lists(),
            seen.shapes_of_wishes(),
        ];
        for (shape, is) in shapes.into_iter().flatten() {
            *counts.entry(shape).or_insert(0_u32) += u32::from(is);
        }
    }
    let rare = counts.values().any(|count| *count < ENOUGH);
    assert!(!rare, "{counts:#?}");
}
