//! Decides what somebody needs, and why; and whether enough of it is known.
//! Must never miss a root: tags, this run, the keep rules, and what was pushed so lately that nobody can have tagged it yet.

use super::{Doubt, Holdings, Look, Root, Wish, about::about, asked::Asked, graph::Graph};
use crate::model::digest::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// For each manifest that somebody needs why, and whether it is named itself.
#[derive(Default)]
pub(super) struct Live(pub(super) BTreeMap<Digest, (Root, bool)>);

impl Live {
    /// What is needed of a repository in which `asked` is to go, and with it all of `reached`.
    pub(super) fn of(
        graph: &Graph<'_>,
        (holdings, wish): (&Holdings, &Wish),
        asked: &Asked,
        reached: impl Fn(&Digest) -> bool,
    ) -> Result<Self, Doubt> {
        let mut live = Live::default();
        for (tag, digest) in &holdings.tags {
            // A signature's own tag does not keep it when what it is about goes.
            if about(tag, *digest).is_none_or(|subject| !reached(&subject)) {
                live.reach(graph, &Root::Tag(tag.clone()), *digest);
            }
        }
        for digest in &wish.needed {
            live.reach(graph, &Root::Run, *digest);
        }
        for digest in &wish.stuck {
            live.reach(graph, &Root::Stuck, *digest);
        }
        // Once its list is gone, a young part of it may be somebody's; that its own parts are gone too says nothing then.
        let begun = graph.closure(&asked.begun);
        let young = young(graph, holdings, wish).into_iter();
        let (orphans, young): (Vec<_>, Vec<_>) = young.partition(|digest| begun.contains(digest));
        for digest in young {
            live.reach(graph, &Root::Young, digest);
        }
        for (index, digest) in asked.formers.iter().enumerate() {
            // What is kept of the past may be gone already: that is nobody's loss.
            if !is_gone(holdings, *digest) {
                live.reach(graph, &Root::Former(index + 1), *digest);
            }
        }
        live.is_known(holdings, false)?;
        for digest in orphans {
            live.reach(graph, &Root::Young, digest);
        }
        live.is_known(holdings, true)?;
        Ok(live)
    }

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

    /// All of it was read: what is not known could need anything. `may_be_gone`: what is gone needs nothing.
    fn is_known(&self, holdings: &Holdings, may_be_gone: bool) -> Result<(), Doubt> {
        for (digest, (root, _)) in &self.0 {
            if may_be_gone && is_gone(holdings, *digest) {
                continue;
            }
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

/// What was pushed so lately that somebody may be about to tag it.
fn young(graph: &Graph<'_>, holdings: &Holdings, wish: &Wish) -> Vec<Digest> {
    // An untagged part of what was `latest` is nobody's first push, however young it is.
    let known = graph.closure(&wish.superseded);
    // What this tool deleted may be listed for a while still; nobody can be about to tag it.
    let went: BTreeSet<Digest> = graph.went().collect();
    let untagged = holdings.untagged.iter();
    let young = untagged.filter(|(_, age)| **age < wish.grace);
    let young = young.map(|(digest, _)| *digest);
    young
        .filter(|digest| !known.contains(digest) && !went.contains(digest))
        .collect()
}

pub(super) fn is_gone(holdings: &Holdings, digest: Digest) -> bool {
    matches!(holdings.manifests.get(&digest), Some(Look::Gone(_)))
}

/// Why a manifest is not known; none where it is.
pub(super) fn unknown(holdings: &Holdings, digest: Digest) -> Option<String> {
    match holdings.manifests.get(&digest) {
        Some(Look::There(_)) => None,
        Some(Look::Gone(_)) => Some("it is not there".to_owned()),
        Some(Look::Unreadable(why)) => Some(why.clone()),
        None => Some("it was not read".to_owned()),
    }
}
