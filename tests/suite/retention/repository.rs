//! Decides what a random repository is: manifests by small numbers, sets of them by the bits of a number.
//! Must never say what is reached from where.

use rpub::model::{
    digest::Digest,
    reference::Tag,
    retention::{Decision, Doubt, Holdings, Links, Look, Wish, decide},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
    time::Duration,
};

/// So many manifests at most; and one more number, for what tags are about and nobody knows.
pub(super) const MOST: usize = 20;

/// What may stand behind `sha256-<hex>`.
pub(super) const KINDS: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// Hashing and parsing are not what is tested: once is enough.
static DIGESTS: LazyLock<Vec<Digest>> =
    LazyLock::new(|| (0..=MOST).map(|n| Digest::of(&n.to_le_bytes())).collect());
static NUMBERS: LazyLock<BTreeMap<Digest, usize>> =
    LazyLock::new(|| DIGESTS.iter().enumerate().map(|(n, d)| (*d, n)).collect());
static TAGS: LazyLock<BTreeMap<Name, Tag>> = LazyLock::new(|| {
    let plain = (0..=MOST).map(|n| (Name::Plain(n), format!("t{n}").parse().unwrap()));
    let about = (0..=MOST).flat_map(|n| {
        KINDS.into_iter().enumerate().map(move |(kind, ending)| {
            let tag = format!("sha256-{}{ending}", DIGESTS[n].hex());
            (Name::About(n, kind), tag.parse().unwrap())
        })
    });
    plain.chain(about).collect()
});

/// A set of manifests.
pub(super) type Set = u32;

pub(super) fn has(set: Set, number: usize) -> bool {
    set >> number & 1 == 1
}

pub(super) fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..=MOST).filter(move |number| has(set, *number))
}

pub(super) fn set_of(numbers: impl IntoIterator<Item = usize>) -> Set {
    numbers.into_iter().fold(0, |set, number| set | 1 << number)
}

pub(super) fn digest(number: usize) -> Digest {
    DIGESTS[number]
}

pub(super) fn number(digest: Digest) -> usize {
    NUMBERS[&digest]
}

pub(super) fn tag(name: Name) -> Tag {
    TAGS[&name].clone()
}

/// A tag: of people, or `sha256-<hex>` of that manifest with that ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Plain(usize),
    About(usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    There,
    /// With links that a journal tells.
    Gone,
    /// Nobody knows what it named.
    Forgotten,
    Unreadable,
    Unread,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) children: Set,
    pub(super) subject: Option<usize>,
    pub(super) state: State,
}

#[derive(Debug, Clone)]
pub(super) struct Repository {
    pub(super) manifests: Vec<Manifest>,
    pub(super) tags: BTreeMap<Name, usize>,
    /// With their ages.
    pub(super) untagged: BTreeMap<usize, u64>,
    pub(super) superseded: Vec<usize>,
    pub(super) keep: usize,
    pub(super) needed: Set,
    pub(super) grace: u64,
    pub(super) sweep: bool,
}

impl Repository {
    fn look(manifest: &Manifest) -> Option<Look> {
        let links = || Links {
            children: members(manifest.children).map(digest).collect(),
            subject: manifest.subject.map(digest),
        };
        match manifest.state {
            State::There => Some(Look::There(links())),
            State::Gone => Some(Look::Gone(Some(links()))),
            State::Forgotten => Some(Look::Gone(None)),
            State::Unreadable => Some(Look::Unreadable("503".to_owned())),
            State::Unread => None,
        }
    }

    pub(super) fn decide(&self) -> Result<Decision, Doubt> {
        let looks = self.manifests.iter().map(Self::look).enumerate();
        let holdings = Holdings {
            tags: self
                .tags
                .iter()
                .map(|(n, on)| (tag(*n), digest(*on)))
                .collect(),
            manifests: looks
                .filter_map(|(n, look)| Some((digest(n), look?)))
                .collect(),
            untagged: (self.untagged.iter())
                .map(|(n, age)| (digest(*n), Duration::from_secs(*age)))
                .collect(),
        };
        // What this run needs, and what could not be deleted: both stay whole.
        let (stuck, needed): (Vec<usize>, Vec<usize>) =
            members(self.needed).partition(|number| number % 2 == 1);
        let wish = Wish {
            superseded: self.superseded.iter().copied().map(digest).collect(),
            keep: self.keep,
            needed: needed.into_iter().map(digest).collect(),
            stuck: stuck.into_iter().map(digest).collect(),
            grace: Duration::from_secs(self.grace),
            sweep: self.sweep,
        };
        decide(&holdings, &wish)
    }

    pub(super) fn is(&self, number: usize, state: State) -> bool {
        self.manifests[number].state == state
    }

    pub(super) fn there(&self) -> Set {
        set_of((0..self.manifests.len()).filter(|number| self.is(*number, State::There)))
    }

    /// What is on it.
    pub(super) fn tags_of(&self, number: usize) -> BTreeSet<Name> {
        let on = self.tags.iter().filter(|(_, on)| **on == number);
        on.map(|(name, _)| *name).collect()
    }

    /// What a registry and a journal tell after this deletion; the registry may go on listing it.
    pub(super) fn delete(&mut self, number: usize, listed_still: bool) {
        self.manifests[number].state = State::Gone;
        self.tags.retain(|_, on| *on != number);
        if !listed_still {
            self.untagged.remove(&number);
        }
    }
}
