//! Decides what is to go, as far as nobody needs it: former `latest`, what is swept, and what an earlier run left behind.
//! Must never take in what the keep rules name, nor anything where nothing was asked for.

use super::{Holdings, Reason, Wish, graph::Graph};
use crate::model::digest::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// What a wish comes to in one repository.
pub(super) struct Asked {
    /// Of the former `latest` what the rules keep.
    pub(super) formers: Vec<Digest>,
    /// And what they do not.
    pub(super) superseded: Vec<Digest>,
    /// What went before, and may have left parts behind.
    pub(super) begun: Vec<Digest>,
    /// What no tag names, and is old.
    swept: Vec<Digest>,
}

impl Asked {
    pub(super) fn of(graph: &Graph<'_>, holdings: &Holdings, wish: &Wish) -> Self {
        let mut seen = BTreeSet::new();
        let formers = wish.superseded.iter().copied();
        // What was `latest` twice counts once.
        let mut formers: Vec<Digest> = formers.filter(|digest| seen.insert(*digest)).collect();
        let superseded = formers.split_off(wish.keep.min(formers.len()));
        let untagged = holdings.untagged.iter();
        let swept = untagged.filter(|(_, age)| wish.sweep && **age >= wish.grace);
        // A tag goes with what it named: if the last run was cut short then, nothing but its journal tells what is left.
        let idle = superseded.is_empty() && !wish.sweep;
        let begun = graph.went().filter(|_| !idle);
        Asked {
            begun: begun.filter(|digest| !formers.contains(digest)).collect(),
            swept: swept.map(|(digest, _)| *digest).collect(),
            formers,
            superseded,
        }
    }

    /// All that this reaches, and why.
    pub(super) fn reasons(&self, graph: &Graph<'_>) -> BTreeMap<Digest, Reason> {
        let superseded = self.superseded.iter().map(|d| (*d, Reason::Superseded));
        let swept = self.swept.iter().map(|d| (*d, Reason::Untagged));
        let begun = self.begun.iter().map(|d| (*d, Reason::PartOf(*d)));
        let mut reasons: BTreeMap<Digest, Reason> = BTreeMap::new();
        for (from, why) in superseded.chain(swept).chain(begun) {
            graph.walk(from, true, |reached, depth| {
                let new = !reasons.contains_key(&reached);
                let part = Reason::PartOf(from);
                let reason = if depth == 0 { why.clone() } else { part };
                reasons.entry(reached).or_insert(reason);
                new
            });
        }
        reasons
    }
}
