//! Decides who is reached from whom in one repository, and in which order what goes must go.
//! Must never forget an edge: lists name children, referrers and tags of the form `sha256-<hex>` are about something.

use super::{Holdings, Links, Look, about::about};
use crate::model::digest::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// The manifests of a repository and what lies between them.
pub(super) struct Graph<'a> {
    links: BTreeMap<Digest, &'a Links>,
    /// What says of itself that it is about the key.
    referrers: BTreeMap<Digest, Vec<Digest>>,
    /// What a tag says to be about the key.
    by_tag: BTreeMap<Digest, Vec<Digest>>,
    gone: BTreeSet<Digest>,
}

impl<'a> Graph<'a> {
    pub(super) fn of(holdings: &'a Holdings) -> Self {
        let mut graph = Graph {
            links: BTreeMap::new(),
            referrers: BTreeMap::new(),
            by_tag: BTreeMap::new(),
            gone: BTreeSet::new(),
        };
        for (digest, look) in &holdings.manifests {
            if matches!(look, Look::Gone(_)) {
                graph.gone.insert(*digest);
            }
            let (Look::There(named) | Look::Gone(Some(named))) = look else {
                continue;
            };
            graph.links.insert(*digest, named);
            if let Some(subject) = named.subject {
                graph.referrers.entry(subject).or_default().push(*digest);
            }
        }
        for (tag, digest) in &holdings.tags {
            if let Some(subject) = about(tag, *digest) {
                graph.by_tag.entry(subject).or_default().push(*digest);
            }
        }
        graph
    }

    /// Tells `from` and all that it reaches, each with its distance; goes on from there where `visit` says so.
    ///
    /// What was about something and is gone, is about nothing any more; but what it named may wait for its own end still:
    /// so it is followed `through_the_gone` when that is looked for.
    pub(super) fn walk(
        &self,
        from: Digest,
        through_the_gone: bool,
        mut visit: impl FnMut(Digest, usize) -> bool,
    ) {
        let mut seen = BTreeSet::new();
        let mut todo = vec![(from, 0)];
        while let Some((digest, depth)) = todo.pop() {
            if !seen.insert(digest) || !visit(digest, depth) {
                continue;
            }
            let children = self.links.get(&digest).map(|links| &links.children);
            let about = self.referrers.get(&digest).into_iter().flatten();
            let about = about.filter(|digest| through_the_gone || !self.gone.contains(digest));
            let by_tag = self.by_tag.get(&digest).into_iter().flatten();
            let next = children.into_iter().flatten().chain(about).chain(by_tag);
            todo.extend(next.map(|digest| (*digest, depth + 1)));
        }
    }

    /// All that these reach, through what is gone too.
    pub(super) fn closure<'d>(
        &self,
        from: impl IntoIterator<Item = &'d Digest>,
    ) -> BTreeSet<Digest> {
        let mut reached = BTreeSet::new();
        for digest in from {
            self.walk(*digest, true, |digest, _| reached.insert(digest));
        }
        reached
    }

    /// What is gone, and of which it is known what it named.
    pub(super) fn went(&self) -> impl Iterator<Item = Digest> {
        let went = |digest: &&Digest| self.links.contains_key(digest);
        self.gone.iter().filter(went).copied()
    }

    /// What names, or is about, something else goes before that, so that at no moment a manifest names what is gone.
    pub(super) fn in_order(&self, mut goes: BTreeSet<Digest>) -> Vec<Digest> {
        let by_digest = self.named_by();
        let mut out = Vec::new();
        while !goes.is_empty() {
            let mut first = Before(&[&by_digest, &self.by_tag]).free(&goes);
            if first.is_empty() {
                // Digests name each other in no circle; with tags of the form sha256-<hex> there can be one.
                // It is opened in one place, and that must not be something behind the circle: what has least before it.
                let free = Before(&[&by_digest]).free(&goes).into_iter();
                let all = Before(&[&by_digest, &self.by_tag]);
                first.extend(free.min_by_key(|digest| all.count(*digest, &goes)));
            }
            // Should a registry show a circle of digests all the same, none of it goes.
            if first.is_empty() {
                break;
            }
            for digest in &first {
                goes.remove(digest);
            }
            out.extend(first);
        }
        out
    }

    /// For every manifest what names it by digest: lists, and what says of itself that it is about it.
    fn named_by(&self) -> BTreeMap<Digest, Vec<Digest>> {
        let mut out: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
        for (digest, links) in &self.links {
            for named in links.children.iter().chain(&links.subject) {
                out.entry(*named).or_default().push(*digest);
            }
        }
        out
    }
}

/// What stands before what, from one or more sides.
struct Before<'a>(&'a [&'a BTreeMap<Digest, Vec<Digest>>]);

impl Before<'_> {
    fn of(&self, digest: Digest) -> impl Iterator<Item = Digest> {
        let found = self.0.iter().filter_map(move |map| map.get(&digest));
        found.flatten().copied()
    }

    /// Those of `goes` that nothing in it stands before.
    fn free(&self, goes: &BTreeSet<Digest>) -> Vec<Digest> {
        let free = |digest: &&Digest| !self.of(**digest).any(|before| goes.contains(&before));
        goes.iter().filter(free).copied().collect()
    }

    /// How many of `goes` stand before this one, over others too, itself included.
    fn count(&self, digest: Digest, goes: &BTreeSet<Digest>) -> usize {
        let mut seen = BTreeSet::from([digest]);
        let mut todo = vec![digest];
        while let Some(digest) = todo.pop() {
            let before = self.of(digest).filter(|digest| goes.contains(digest));
            todo.extend(before.filter(|digest| seen.insert(*digest)));
        }
        seen.len()
    }
}
