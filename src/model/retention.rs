//! Decides what may be deleted of a repository, in which order and why, and what is kept and why; nobody else can.
//! Must never give out a digest that a tag, a live list, a referrer, this run or the keep rules reach; in doubt nothing at all.

use super::{digest::Digest, reference::Tag};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Links {
    /// What a list lists, nested lists and attestations included.
    pub children: Vec<Digest>,
    /// What a signature, an SBOM or the like is about.
    pub subject: Option<Digest>,
}

/// What came of reading a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It is there.
    There(Links),
    /// It is not there (any more); what it named, where a journal still tells.
    Gone(Option<Links>),
    /// It could not be read, or is of a kind that is not known; why.
    Unreadable(String),
}

/// What one repository holds, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// What every tag names.
    pub tags: BTreeMap<Tag, Digest>,
    /// Every manifest that was read, and every one that a journal tells of.
    pub manifests: BTreeMap<Digest, Look>,
}

/// What is to go, and what must not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// The lists that `latest` named before, newest first.
    pub superseded: Vec<Digest>,
    /// So many of them stay, the newest first.
    pub keep: usize,
    /// What this run published or still needs.
    pub needed: BTreeSet<Digest>,
}

/// Why something goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// `latest` named it before.
    Superseded,
    /// It is a part of, or is about, what `latest` named before.
    PartOf(Digest),
}

/// One manifest that may be deleted. Only [`decide`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    digest: Digest,
    reason: Reason,
}

impl Deletion {
    /// The manifest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Why it goes.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// Why something stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Root {
    /// A tag names it, or something that it is a part of.
    Tag(Tag),
    /// This run needs it.
    Run,
    /// It is one of the former `latest` that the rules keep; which, from 1.
    Former(usize),
}

/// A manifest of a superseded list that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The manifest.
    pub digest: Digest,
    /// Why.
    pub root: Root,
    /// Whether the root names it itself, and not something that it is a part of.
    pub directly: bool,
}

/// Why nothing can be said, and so nothing goes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Something live could not be read: what it names is not known.
    #[error("{digest} is in use ({root}) and cannot be read: {why}")]
    Live {
        /// The manifest.
        digest: Digest,
        /// Why it is live.
        root: Root,
        /// What went wrong.
        why: String,
    },
    /// A part of what should go could not be read: its parts would be left behind, or are somebody else's.
    #[error("{digest} is superseded and cannot be read: {why}")]
    Superseded {
        /// The manifest.
        digest: Digest,
        /// What went wrong.
        why: String,
    },
}

/// What goes and what stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// In this order, one at a time: what names or is about something goes before that.
    pub deletions: Vec<Deletion>,
    /// What of the superseded lists stays.
    pub kept: Vec<Kept>,
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Root::Tag(tag) => write!(f, "{tag}"),
            Root::Run => f.write_str("this release"),
            Root::Former(nth) => write!(f, "the former latest no. {nth}, which keep = {nth} keeps"),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kept { root, directly, .. } = self;
        match (root, directly) {
            (Root::Tag(tag), true) => write!(f, "{tag} still points at it: kept"),
            (Root::Tag(tag), false) => write!(f, "a part of what {tag} points at: kept"),
            (root, true) => write!(f, "it is {root}: kept"),
            (root, false) => write!(f, "a part of {root}: kept"),
        }
    }
}

/// What may be deleted.
///
/// # Errors
/// [`Doubt`]: something could not be read that would have to be known. Then nothing goes.
pub fn decide(holdings: &Holdings, wish: &Wish) -> Result<Decision, Doubt> {
    let graph = Graph::of(holdings);
    let (kept_formers, going) = wish
        .superseded
        .split_at(wish.keep.min(wish.superseded.len()));
    let tags = holdings
        .tags
        .iter()
        .map(|(tag, d)| (Root::Tag(tag.clone()), *d));
    let formers = kept_formers.iter().enumerate();
    let formers = formers.map(|(index, digest)| (Root::Former(index + 1), *digest));
    let needed = wish.needed.iter().map(|digest| (Root::Run, *digest));

    let mut live: BTreeMap<Digest, (Root, bool)> = BTreeMap::new();
    for (root, digest) in tags.chain(needed) {
        graph.walk(digest, false, |reached, depth| match live.get(&reached) {
            Some((_, true)) => depth == 0,
            Some(_) if depth > 0 => false,
            _ => {
                live.insert(reached, (root.clone(), depth == 0));
                true
            }
        });
    }
    // What is kept of the past may be gone already: that is nobody's loss.
    for (root, digest) in formers {
        if !matches!(holdings.manifests.get(&digest), Some(Look::Gone(_))) {
            graph.walk(digest, false, |reached, depth| {
                let new = !live.contains_key(&reached);
                if new {
                    live.insert(reached, (root.clone(), depth == 0));
                }
                new
            });
        }
    }
    for (digest, (root, _)) in &live {
        let why = match holdings.manifests.get(digest) {
            Some(Look::There(_)) => continue,
            Some(Look::Gone(_)) => "it is not there".to_owned(),
            Some(Look::Unreadable(why)) => why.clone(),
            None => "it was not read".to_owned(),
        };
        return Err(Doubt::Live {
            digest: *digest,
            root: root.clone(),
            why,
        });
    }

    let mut reasons: BTreeMap<Digest, Reason> = BTreeMap::new();
    for list in going {
        graph.walk(*list, true, |reached, depth| {
            let reason = if depth == 0 {
                Reason::Superseded
            } else {
                Reason::PartOf(*list)
            };
            let new = !reasons.contains_key(&reached);
            reasons.entry(reached).or_insert(reason);
            new
        });
    }
    let mut out = Decision::default();
    let mut goes: BTreeMap<Digest, Reason> = BTreeMap::new();
    for (digest, reason) in reasons {
        if let Some((root, directly)) = live.get(&digest) {
            out.kept.push(Kept {
                digest,
                root: root.clone(),
                directly: *directly,
            });
            continue;
        }
        let why = match holdings.manifests.get(&digest) {
            Some(Look::There(_)) => {
                goes.insert(digest, reason);
                continue;
            }
            // It went before, and what it named is known; or nothing is, and nothing can be done.
            Some(Look::Gone(_)) => continue,
            Some(Look::Unreadable(why)) => why.clone(),
            None => "it was not read".to_owned(),
        };
        return Err(Doubt::Superseded { digest, why });
    }
    out.deletions = in_order(&graph, goes);
    Ok(out)
}

/// Who names whom: lists their children, and what is about something is reached from that.
struct Graph<'a> {
    links: BTreeMap<Digest, &'a Links>,
    referrers: BTreeMap<Digest, Vec<Digest>>,
    gone: BTreeSet<Digest>,
}

impl<'a> Graph<'a> {
    fn of(holdings: &'a Holdings) -> Self {
        let mut links = BTreeMap::new();
        let mut referrers: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
        for (digest, look) in &holdings.manifests {
            let (Look::There(named) | Look::Gone(Some(named))) = look else {
                continue;
            };
            links.insert(*digest, named);
            if let Some(subject) = named.subject {
                referrers.entry(subject).or_default().push(*digest);
            }
        }
        let gone =
            |(digest, look): (&Digest, &Look)| matches!(look, Look::Gone(_)).then_some(*digest);
        Graph {
            links,
            referrers,
            gone: holdings.manifests.iter().filter_map(gone).collect(),
        }
    }

    /// Tells `from` and all that it reaches, each with its distance; goes on from there where `visit` says so.
    ///
    /// What was about something and is gone, is about nothing any more; but what it named may wait for its own end still:
    /// so it is followed `through_the_gone` when that is looked for.
    fn walk(
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
            let next = children.into_iter().flatten().chain(about);
            todo.extend(next.map(|digest| (*digest, depth + 1)));
        }
    }
}

/// What names, or is about, something else goes before that, so that at no moment a manifest names what is gone.
fn in_order(graph: &Graph<'_>, mut goes: BTreeMap<Digest, Reason>) -> Vec<Deletion> {
    let mut out = Vec::new();
    while !goes.is_empty() {
        let named: BTreeSet<Digest> = goes
            .keys()
            .filter_map(|digest| graph.links.get(digest))
            .flat_map(|links| links.children.iter().chain(&links.subject))
            .copied()
            .collect();
        let mut first: Vec<Digest> = goes
            .keys()
            .filter(|digest| !named.contains(digest))
            .copied()
            .collect();
        // Digests name each other in no circle; should a registry show one all the same, none of it goes.
        if first.is_empty() {
            break;
        }
        first.retain(|digest| match goes.remove(digest) {
            Some(reason) => {
                out.push(Deletion {
                    digest: *digest,
                    reason,
                });
                true
            }
            None => false,
        });
    }
    out
}
