//! Decides who is reached from whom in one repository, and in which order what goes must go.
//! Must never forget an edge: lists name children, referrers and tags of the form `sha256-<hex>` are about something.

use super::{Holdings, Links, Look, subject_of};
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
            if let Some(subject) = subject_of(tag) {
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

    /// What names, or is about, something else goes before that, so that at no moment a manifest names what is gone.
    pub(super) fn in_order(&self, mut goes: BTreeSet<Digest>) -> Vec<Digest> {
        let mut out = Vec::new();
        while !goes.is_empty() {
            let mut first = self.unnamed(&goes, true);
            if first.is_empty() {
                // Digests name each other in no circle; with tags of the form sha256-<hex> there can be one.
                first = self.unnamed(&goes, false);
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

    /// Those of `goes` that nothing in it stands before.
    fn unnamed(&self, goes: &BTreeSet<Digest>, tags_too: bool) -> Vec<Digest> {
        let mut named: BTreeSet<Digest> = goes
            .iter()
            .filter_map(|digest| self.links.get(digest))
            .flat_map(|links| links.children.iter().chain(&links.subject))
            .copied()
            .collect();
        if tags_too {
            let about = |(_, by): &(&Digest, &Vec<Digest>)| by.iter().any(|by| goes.contains(by));
            named.extend(
                self.by_tag
                    .iter()
                    .filter(about)
                    .map(|(subject, _)| *subject),
            );
        }
        let free = goes.iter().filter(|digest| !named.contains(digest));
        free.copied().collect()
    }
}
