//! Decides what may be deleted of a repository, in which order and why, and what is kept and why; nobody else can.
//! Must never give out a digest that a tag, a live list, a referrer, this run or the keep rules reach; in doubt nothing at all.

mod about;
mod asked;
mod graph;
mod live;
mod refusal;
mod settled;

pub use refusal::{Deleted, Refusal};
pub use settled::settled;

use super::{digest::Digest, manifest::RawManifest, reference::Tag};
use asked::Asked;
use graph::Graph;
use live::{Live, is_gone, unknown};
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
    /// It is not there (any more); what it named, where a journal still tells: then its parts go, too.
    Gone(Option<Links>),
    /// It could not be read, or is of a kind that is not known; why.
    Unreadable(String),
}

/// What one repository holds, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// What every tag names.
    pub tags: BTreeMap<Tag, Digest>,
    /// Every manifest that was read, and every one that a journal tells of, with all that it named.
    pub manifests: BTreeMap<Digest, Look>,
    /// What the place lists and no tag names, with how long ago it was pushed; empty where a place does not list that.
    pub untagged: BTreeMap<Digest, Duration>,
}

/// What is to go, and what must not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// The lists that `latest` named before, newest first.
    pub superseded: Vec<Digest>,
    /// So many different ones of them stay, the newest first; one that is gone already counts.
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
    #[error("{digest} should go and cannot be read: {why}")]
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

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Superseded => f.write_str("latest named it before"),
            Reason::Untagged => f.write_str("no tag names it"),
            Reason::PartOf(digest) => write!(f, "it belongs to {}", digest.short()),
        }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Root::Tag(tag) => write!(f, "{tag}"),
            Root::Run => f.write_str("this release"),
            Root::Former(nth) => write!(f, "former latest no. {nth}"),
            Root::Young => f.write_str("pushed only lately"),
            Root::Stuck => f.write_str("what could not be deleted"),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kept { root, directly, .. } = self;
        match (root, directly) {
            (Root::Tag(tag), true) => write!(f, "{tag} still points at it: kept"),
            (Root::Tag(tag), false) => write!(f, "a part of what {tag} points at: kept"),
            (Root::Run, true) => f.write_str("this release needs it: kept"),
            (Root::Young, true) => write!(f, "it was {root}: kept"),
            (Root::Young, false) => write!(f, "a part of what was {root}: kept"),
            (Root::Stuck, true) => f.write_str("it could not be deleted: kept"),
            (Root::Former(_), true) => write!(f, "it is {root}: kept"),
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
    let asked = Asked::of(&graph, holdings, wish);
    let reasons = asked.reasons(&graph);
    let reached = |digest: &Digest| reasons.contains_key(digest);
    let live = Live::of(&graph, (holdings, wish), &asked, reached)?;
    let of_latest = graph.closure(&asked.superseded);

    let mut out = Decision::default();
    let mut goes: BTreeMap<Digest, Reason> = BTreeMap::new();
    for (digest, reason) in reasons {
        if let Some((root, directly)) = live.0.get(&digest) {
            // In a sweep it is no news that nothing tags a part of what is in use.
            if of_latest.contains(&digest) {
                out.kept.push(Kept {
                    digest,
                    root: root.clone(),
                    directly: *directly,
                });
            }
            continue;
        }
        match unknown(holdings, digest) {
            None => {
                goes.insert(digest, reason);
            }
            // It went before, and what it named is known; or nothing is, and nothing can be done.
            Some(_) if is_gone(holdings, digest) => {}
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
