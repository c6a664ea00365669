//! Decides how what may go is deleted: one at a time, looked at anew before each, and looked for by everyone after it.
//! Must never delete what `model::retention` did not decide at that moment, nor begin before `latest` is where it belongs.

use super::{context::Context, formers::Memory, shelf::Shelf};
use crate::{
    error::Error,
    events::Event,
    model::{
        digest::Digest,
        fault::Fault,
        former::Formers,
        journal::Stored,
        pruned::{Ended, Pruned},
        reference::Tag,
        retention::{self, Decision, Deleted, Doubt, Holdings, Kept, Look, Refusal, Root, Wish},
    },
    target::Target,
};
use std::{collections::BTreeSet, sync::Arc};

/// What to do where a look at the repository failed.
const AGAIN: &str = "nothing was lost; when that is mended run: rpub prune";
/// What to do after Ctrl-C.
const LATER: &str = "run rpub prune to finish";

/// One repository that is to be pruned.
pub(super) struct Order {
    /// The repository.
    pub(super) target: Arc<dyn Target>,
    /// Its past.
    pub(super) memory: Memory,
    /// What is to go, and what must not.
    pub(super) wish: Wish,
    /// Whether to say what would be done, and do nothing.
    pub(super) dry_run: bool,
}

impl Order {
    /// Whether there is anything that could go, or that a run before did not bring to its end.
    pub(super) fn has_work(&self) -> bool {
        let left = |past: Formers| !past.going.is_empty();
        !self.wish.superseded.is_empty() || self.memory.read().is_ok_and(left)
    }
}

/// Prunes one repository; never fails, because what was published stands.
pub(super) async fn prune(context: &Context, order: Order) -> Pruned {
    let mut work = Work {
        pruned: Pruned::of(order.target.repository().to_string()),
        shelf: Shelf::new(Arc::clone(&order.target)),
        gone: BTreeSet::new(),
        tags: BTreeSet::new(),
        context,
        order,
    };
    let cancelled = context.cancel.cancelled();
    let outcome = tokio::select! {
        biased;
        () = cancelled => Err(ended("interrupted".to_owned(), LATER)),
        outcome = work.run() => outcome,
    };
    work.pruned.ended = outcome.err();
    work.pruned
}

fn ended(why: String, next: &str) -> Ended {
    Ended {
        why,
        next: Some(next.to_owned()),
    }
}

fn from(error: &Error) -> Ended {
    ended(error.to_string(), &error.hint)
}

fn from_fault(fault: &Fault) -> Ended {
    ended(fault.to_string(), AGAIN)
}

struct Work<'a> {
    context: &'a Context,
    order: Order,
    shelf: Shelf,
    pruned: Pruned,
    /// What was asked to go in this run.
    gone: BTreeSet<Digest>,
    /// The tags that were there when it was last looked.
    tags: BTreeSet<Tag>,
}

impl Work<'_> {
    async fn run(&mut self) -> Result<(), Ended> {
        let mut past = self.order.memory.read().map_err(|error| from(&error))?;
        let tags = self
            .shelf
            .tags()
            .await
            .map_err(|fault| from_fault(&fault))?;
        if !tags.keys().any(Tag::is_latest) && !self.order.wish.sweep {
            let text = format!(
                "{}: there is no latest: nothing is pruned",
                self.pruned.repository
            );
            self.context.events.send(Event::Warning(text));
            return Ok(());
        }
        self.tags.extend(tags.keys().cloned());
        let settled = retention::settled(&tags, &self.order.wish);
        if let Some(decision) = settled.filter(|_| past.going.is_empty()) {
            self.pruned.keep(&decision.kept);
            return self.forget(past, &decision.kept);
        }
        let mut tags = Some(tags);
        let mut looked_for = false;
        loop {
            let look = self.shelf.look(tags.take(), &self.order.wish, &past);
            let holdings = look.await.map_err(|fault| from_fault(&fault))?;
            self.none_vanished(&holdings)?;
            self.unknown(&holdings);
            let decision = match retention::decide(&holdings, &self.order.wish) {
                Ok(decision) => decision,
                Err(Doubt::Live { digest, root, .. }) if self.may_restore(&past, digest) => {
                    self.restore(&past, digest, &root).await?;
                    continue;
                }
                Err(doubt) => {
                    let next = "see what is the matter with it; until then nothing is deleted";
                    return Err(ended(doubt.to_string(), next));
                }
            };
            self.pruned.keep(&decision.kept);
            if self.order.dry_run {
                self.plan(&decision);
                return Ok(());
            }
            let Some(next) = decision.deletions.first() else {
                if !self.gone.is_empty() && !looked_for {
                    looked_for = true;
                    tags = Some(
                        self.shelf
                            .tags()
                            .await
                            .map_err(|fault| from_fault(&fault))?,
                    );
                    continue;
                }
                self.missing(&holdings).await?;
                return self.forget(past, &decision.kept);
            };
            // What goes is on this disk, whole, before the first of it is gone.
            self.remember(&mut past, &decision)?;
            // A place that calls something deleted and has it still would keep us here for ever.
            let became = if self.gone.insert(next.digest()) {
                let became = self.order.target.delete(next).await;
                became.map_err(|fault| from_fault(&fault))?
            } else {
                Deleted::Refused(Refusal::Background)
            };
            self.pruned.note(next, Some(&became));
            if let Deleted::Refused(refusal) = &became {
                if refusal.is_hopeless() {
                    return Ok(());
                }
                self.order.wish.stuck.insert(next.digest());
            } else {
                self.tags.retain(|tag| !next.tags().contains(tag));
                self.shelf.forget(next.digest());
                self.context.events.send(Event::Deleted {
                    place: self.pruned.repository.clone(),
                    digest: next.digest(),
                    reason: next.reason().to_string(),
                });
            }
        }
    }

    /// What was asked for by hand, and is not there.
    fn unknown(&self, holdings: &Holdings) {
        let repository = &self.pruned.repository;
        for digest in &self.order.wish.superseded {
            let nowhere = matches!(holdings.manifests.get(digest), Some(Look::Gone(None)));
            if nowhere && self.gone.is_empty() {
                let note = format!("{repository}: {digest} is not there");
                self.context.events.send(Event::Note(note));
            }
        }
    }

    /// Tags come while we work; that one goes is more likely a list with holes, and what it named is not known to be live.
    fn none_vanished(&mut self, holdings: &Holdings) -> Result<(), Ended> {
        let gone = self
            .tags
            .iter()
            .find(|tag| !holdings.tags.contains_key(*tag));
        if let Some(tag) = gone {
            let why = format!("{tag} was there a moment ago, and is in no list of tags now");
            return Err(ended(why, AGAIN));
        }
        self.tags.extend(holdings.tags.keys().cloned());
        Ok(())
    }

    /// After deletions: every part of what is live is looked for. What was missing before us is told.
    async fn missing(&self, holdings: &Holdings) -> Result<(), Ended> {
        if self.gone.is_empty() {
            return Ok(());
        }
        let missing = self.shelf.missing(holdings).await;
        for digest in missing.map_err(|fault| from_fault(&fault))? {
            let repository = &self.pruned.repository;
            let text = format!("{repository}: {digest} is listed and not there; it was not pruned");
            self.context.events.send(Event::Warning(text));
        }
        Ok(())
    }

    /// Whether it is something that we deleted, and that was not put back in vain.
    fn may_restore(&self, past: &Formers, digest: Digest) -> bool {
        past.manifest(digest).is_some() && !self.pruned.restored.contains(&digest)
    }

    /// Something needs it after all: another release has made use of it while it went.
    async fn restore(&mut self, past: &Formers, digest: Digest, root: &Root) -> Result<(), Ended> {
        if self.order.dry_run {
            let next = "run rpub prune without --dry-run: it is put back";
            return Err(ended(
                format!("{digest} is in use ({root}) and was deleted"),
                next,
            ));
        }
        self.pruned.restored.push(digest);
        let target = &self.order.target;
        let back = match target.restore(digest).await {
            Ok(false) => match past.manifest(digest) {
                Some(manifest) => target.put_manifest(&digest.into(), &manifest).await,
                None => Ok(()),
            },
            other => other.map(drop),
        };
        back.map_err(|fault| {
            let why = format!(
                "{digest} is in use ({root}), was deleted, and cannot be put back: {fault}"
            );
            ended(why, "release again what that tag names")
        })?;
        self.shelf.forget(digest);
        let text = format!(
            "{}: {digest} was put back: {root} needs it",
            self.pruned.repository
        );
        self.context.events.send(Event::Warning(text));
        Ok(())
    }

    fn plan(&mut self, decision: &Decision) {
        for deletion in &decision.deletions {
            self.pruned.note(deletion, None);
        }
    }

    fn remember(&self, past: &mut Formers, decision: &Decision) -> Result<(), Ended> {
        let known: BTreeSet<Digest> = past.going.iter().map(|going| going.digest).collect();
        let before = past.going.len();
        for deletion in &decision.deletions {
            let manifest = self.shelf.manifest(deletion.digest());
            let manifest = manifest.filter(|_| !known.contains(&deletion.digest()));
            past.going.extend(manifest.and_then(Stored::of));
        }
        if past.going.len() == before {
            return Ok(());
        }
        let written = self.order.memory.write(past);
        written.map_err(|error| from(&error))
    }

    /// Nobody misses what went, so that it need not be remembered; of the past stays what the rules keep, and what
    /// still waits for its end.
    fn forget(&self, mut past: Formers, kept: &[Kept]) -> Result<(), Ended> {
        let waits = |one: &Kept| matches!(one.root, Root::Young | Root::Run | Root::Stuck);
        if !self.order.dry_run && !kept.iter().any(waits) {
            past.going.clear();
            let wish = &self.order.wish;
            let dealt_with: Vec<&Digest> = wish.superseded.iter().skip(wish.keep).collect();
            past.lists
                .retain(|list| !dealt_with.contains(&&list.digest));
            let written = self.order.memory.write(&past);
            written.map_err(|error| from(&error))?;
        }
        Ok(())
    }
}
