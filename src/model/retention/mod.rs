//! Decides what may be deleted of a repository, in which order and why, and what is kept and why; nobody else can.
//! Must never give out a digest that a tag, a live list, a referrer, this run or the keep rules reach; in doubt nothing at all.

mod about;
mod graph;
mod refusal;
mod settled;

pub use refusal::{Deleted, Refusal};
pub use settled::settled;

use super::{digest::Digest, manifest::RawManifest, reference::Tag};
use about::subject_of;
use graph::Graph;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

/// What a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Links {
    /// What a list lists, nested lists and attestations included.
    pub children: Vec<Digest>,
    /// What a signature, an SBOM or the like is about.
    pub subject: Option<Digest>,
}

impl Links {
    /// What this one names.
    pub fn of(manifest: &RawManifest) -> Self {
        let children = manifest.children().iter().map(|child| child.digest);
        Links {
            children: children.collect(),
            subject: manifest.subject(),
        }
    }
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
    /// What the place lists and no tag names, with how long ago it was pushed; empty where a place does not list that.
    pub untagged: BTreeMap<Digest, Duration>,
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
    /// What a place did not delete: it stays whole.
    pub stuck: BTreeSet<Digest>,
    /// What was pushed so lately may be somebody's who is about to tag it.
    pub grace: Duration,
    /// Whether what no tag names goes too, once it is older than that.
    pub sweep: bool,
}

/// Why something goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// `latest` named it before.
    Superseded,
    /// No tag names it, and it is old.
    Untagged,
    /// It is a part of, or is about, something that goes.
    PartOf(Digest),
}

/// One manifest that may be deleted. Only [`decide`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    digest: Digest,
    reason: Reason,
    tags: BTreeSet<Tag>,
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

    /// The tags that go along: `sha256-<hex>.sig` and the like, of something that goes. No other may name it.
    pub fn tags(&self) -> &BTreeSet<Tag> {
        &self.tags
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
    /// It was pushed so lately that somebody may be about to tag it.
    Young,
    /// It could not be deleted.
    Stuck,
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
            Root::Former(nth) => write!(f, "the former latest no. {nth}, which the rules keep"),
            Root::Young => f.write_str("pushed only lately"),
            Root::Stuck => f.write_str("what could not be deleted"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Superseded => f.write_str("latest named it before"),
            Reason::Untagged => f.write_str("no tag names it"),
            Reason::PartOf(digest) => write!(f, "it belongs to {}", digest.short()),
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
    let (formers, going) = wish
        .superseded
        .split_at(wish.keep.min(wish.superseded.len()));
    // An untagged part of what was `latest` is nobody's first push, however young it is.
    let known = graph.closure(&wish.superseded);
    let (young, old): (Vec<_>, Vec<_>) = holdings
        .untagged
        .iter()
        .partition(|(_, age)| **age < wish.grace);
    let young = young.into_iter().map(|(digest, _)| *digest);
    let young: Vec<Digest> = young.filter(|digest| !known.contains(digest)).collect();
    let old = old.into_iter().filter(|_| wish.sweep);
    let old: Vec<Digest> = old.map(|(digest, _)| *digest).collect();

    let going: Vec<(Digest, Reason)> = (going.iter().map(|digest| (*digest, Reason::Superseded)))
        .chain(old.iter().map(|digest| (*digest, Reason::Untagged)))
        .collect();
    let reached = graph.closure(going.iter().map(|(digest, _)| digest));
    // A signature's own tag does not keep it when what it is about goes.
    let tags = holdings
        .tags
        .iter()
        .filter(|(tag, _)| subject_of(tag).is_none_or(|subject| !reached.contains(&subject)))
        .map(|(tag, digest)| (Root::Tag(tag.clone()), *digest));
    let needed = wish.needed.iter().map(|digest| (Root::Run, *digest));
    let mut live = Live::default();
    for (root, digest) in tags.chain(needed) {
        live.reach(&graph, &root, digest);
    }
    for digest in young {
        live.reach(&graph, &Root::Young, digest);
    }
    for digest in &wish.stuck {
        live.reach(&graph, &Root::Stuck, *digest);
    }
    for (index, digest) in formers.iter().enumerate() {
        // What is kept of the past may be gone already: that is nobody's loss.
        if !matches!(holdings.manifests.get(digest), Some(Look::Gone(_))) {
            live.reach(&graph, &Root::Former(index + 1), *digest);
        }
    }
    live.is_known(holdings)?;

    let mut reasons: BTreeMap<Digest, Reason> = BTreeMap::new();
    for (from, why) in &going {
        graph.walk(*from, true, |reached, depth| {
            let new = !reasons.contains_key(&reached);
            let reason = || {
                if depth == 0 {
                    why.clone()
                } else {
                    Reason::PartOf(*from)
                }
            };
            reasons.entry(reached).or_insert_with(reason);
            new
        });
    }
    let mut out = Decision::default();
    let mut goes: BTreeMap<Digest, Reason> = BTreeMap::new();
    for (digest, reason) in reasons {
        if let Some((root, directly)) = live.0.get(&digest) {
            out.kept.push(Kept {
                digest,
                root: root.clone(),
                directly: *directly,
            });
            continue;
        }
        match unknown(holdings, digest) {
            None => {
                goes.insert(digest, reason);
            }
            // It went before, and what it named is known; or nothing is, and nothing can be done.
            Some(_) if matches!(holdings.manifests.get(&digest), Some(Look::Gone(_))) => {}
            Some(why) => return Err(Doubt::Superseded { digest, why }),
        }
    }
    let order = graph.in_order(goes.keys().copied().collect());
    let deletion = |digest: Digest| {
        let tags = holdings.tags.iter().filter(|(_, named)| **named == digest);
        Some(Deletion {
            digest,
            reason: goes.remove(&digest)?,
            tags: tags.map(|(tag, _)| tag.clone()).collect(),
        })
    };
    out.deletions = order.into_iter().filter_map(deletion).collect();
    Ok(out)
}

/// Why a manifest's links are not known; none where they are.
fn unknown(holdings: &Holdings, digest: Digest) -> Option<String> {
    match holdings.manifests.get(&digest) {
        Some(Look::There(_)) => None,
        Some(Look::Gone(_)) => Some("it is not there".to_owned()),
        Some(Look::Unreadable(why)) => Some(why.clone()),
        None => Some("it was not read".to_owned()),
    }
}

/// What somebody needs: for each manifest why, and whether it is named itself.
#[derive(Default)]
struct Live(BTreeMap<Digest, (Root, bool)>);

impl Live {
    /// A root and all that it reaches. The first root that names a manifest itself is told, else the first that reaches it.
    fn reach(&mut self, graph: &Graph<'_>, root: &Root, from: Digest) {
        graph.walk(from, false, |reached, depth| match self.0.get(&reached) {
            Some((_, true)) => depth == 0,
            Some(_) if depth > 0 => false,
            _ => {
                self.0.insert(reached, (root.clone(), depth == 0));
                true
            }
        });
    }

    /// All of it was read: what is not known could need anything.
    fn is_known(&self, holdings: &Holdings) -> Result<(), Doubt> {
        for (digest, (root, _)) in &self.0 {
            if let Some(why) = unknown(holdings, *digest) {
                return Err(Doubt::Live {
                    digest: *digest,
                    root: root.clone(),
                    why,
                });
            }
        }
        Ok(())
    }
}
