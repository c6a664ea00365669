//! Decides what is reached in a random repository: a table of all pairs, closed over every one in between.
//! Must never walk from one to the next, as `retention` does.

use super::repository::{MOST, Name, Repository, Set, State, has, members, set_of};

/// For every manifest the set of all that it leads to, itself included.
struct Pairs([Set; MOST + 1]);

impl Pairs {
    /// `through_the_gone`: what says that it is about something counts after its end, too.
    fn of(repository: &Repository, through_the_gone: bool) -> Self {
        let mut to: [Set; MOST + 1] = std::array::from_fn(|number| 1 << number);
        for (number, manifest) in repository.manifests.iter().enumerate() {
            if !matches!(manifest.state, State::There | State::Gone) {
                continue;
            }
            to[number] |= manifest.children;
            if let Some(subject) = manifest.subject
                && (through_the_gone || manifest.state == State::There)
            {
                to[subject] |= 1 << number;
            }
        }
        for (name, on) in &repository.tags {
            if let Name::About(subject, _) = name {
                to[*subject] |= 1 << on;
            }
        }
        for between in 0..=MOST {
            for from in 0..=MOST {
                if has(to[from], between) {
                    to[from] |= to[between];
                }
            }
        }
        Pairs(to)
    }

    fn from(&self, set: Set) -> Set {
        members(set).fold(0, |reached, number| reached | self.0[number])
    }
}

/// Why something is live, and the one that it is said of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Tag(Name),
    Run,
    Former(usize),
    Young,
}

/// What must be, of one repository.
pub(super) struct Truth {
    pub(super) roots: Vec<(Why, usize)>,
    pub(super) live: Set,
    /// What was to go, and all that it leads to.
    pub(super) going: Set,
    /// The part of that which former `latest` lead to.
    pub(super) superseded: Set,
    /// What somebody needs and is not there, or is not known.
    pub(super) broken: Set,
    /// What should go and is not known.
    pub(super) unknown: Set,
    /// What goes.
    pub(super) goes: Set,
    pairs: Pairs,
}

impl Truth {
    pub(super) fn of(repository: &Repository) -> Self {
        let (any, pairs) = (Pairs::of(repository, true), Pairs::of(repository, false));
        let mut latest = Vec::new();
        for number in &repository.superseded {
            if !latest.contains(number) {
                latest.push(*number);
            }
        }
        let (formers, rest) = latest.split_at(repository.keep.min(latest.len()));
        let is_gone = |number: &usize| repository.is(*number, State::Gone);
        let is_young = |age: u64| age < repository.grace;

        let old = repository
            .untagged
            .iter()
            .filter(|(_, age)| !is_young(**age));
        let old = set_of(old.map(|(number, _)| *number).filter(|_| repository.sweep));
        // Begun and not ended: what went is known to have been on its way, and so are its parts.
        let begun = (0..repository.manifests.len()).filter(is_gone);
        let begun = begun.filter(|number| !formers.contains(number));
        let begun = begun.filter(|_| !rest.is_empty() || repository.sweep);
        let superseded = any.from(set_of(rest.iter().copied()));
        let begun = any.from(set_of(begun));
        let going = superseded | begun | any.from(old);

        let known = any.from(set_of(latest.iter().copied()));
        let mut roots = Vec::new();
        for (name, on) in &repository.tags {
            let follows =
                matches!(name, Name::About(subject, _) if subject != on && has(going, *subject));
            if !follows {
                roots.push((Why::Tag(*name), *on));
            }
        }
        roots.extend(members(repository.needed).map(|number| (Why::Run, number)));
        for (number, age) in &repository.untagged {
            if is_young(*age) && !has(known, *number) && !is_gone(number) {
                roots.push((Why::Young, *number));
            }
        }
        for (place, number) in formers.iter().enumerate() {
            if !is_gone(number) && !repository.is(*number, State::Forgotten) {
                roots.push((Why::Former(place + 1), *number));
            }
        }
        let live = pairs.from(set_of(roots.iter().map(|(_, number)| *number)));
        let there = repository.there();
        // A young part of what this tool deleted may be broken already.
        let may_be_broken = |why: Why, on: usize| why == Why::Young && has(begun, on);
        let strict = roots.iter().filter(|(why, on)| !may_be_broken(*why, *on));
        let strict = pairs.from(set_of(strict.map(|(_, on)| *on)));
        let gone = set_of(
            (0..repository.manifests.len())
                .filter(|number| is_gone(number) || repository.is(*number, State::Forgotten)),
        );
        let is_unknown = |number: &usize| {
            repository.is(*number, State::Unreadable) || repository.is(*number, State::Unread)
        };
        let unknown = members(going & !live).filter(is_unknown);
        Truth {
            broken: live & !there & !(gone & !strict),
            unknown: set_of(unknown),
            goes: going & !live & there,
            roots,
            live,
            going,
            superseded,
            pairs,
        }
    }

    /// Whether this manifest leads to that one, as long as both are there.
    pub(super) fn leads(&self, from: usize, to: usize) -> bool {
        has(self.pairs.0[from], to)
    }
}
