//! Decides what a release supersedes: noted before tags move, pruned after all of them were read back; or by hand, later.
//! Must never prune for a release that did not move `latest`, nor while somebody else publishes there from this machine.

use super::{
    context::Context,
    formers::Memory,
    journal::{self, Locks},
    plan,
    prune::{self, Order},
    targets::Targets,
};
use crate::{
    config,
    error::{Error, Result},
    events::{Event, Stage},
    model::{
        digest::Digest,
        journal::{Entry, Journal, Step},
        pruned::{Ended, PruneDocument, Pruned},
        retention::Wish,
    },
    relay,
    target::Target,
};
use futures::future::join_all;
use std::{collections::BTreeSet, sync::Arc};

/// What `rpub prune` is told.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The images; all where none is named.
    pub images: Vec<String>,
    /// Prune these instead of what is remembered.
    pub digests: Vec<Digest>,
    /// Prune also what no tag names and what is older than the grace.
    pub sweep: bool,
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
}

/// Remembers what `latest` names where it is about to move. What cannot be remembered is a warning.
pub(super) fn note(context: &Context, journal: &Journal, targets: &Targets) {
    for step in steps(journal) {
        let Some(from) = step.from.as_ref().filter(|from| from.digest != step.to) else {
            continue;
        };
        let noted = target_of(journal, step, targets).map_or(Ok(()), |target| {
            let memory = memory(context, &*target)?;
            let mut past = memory.read()?;
            past.note(from.clone());
            memory.write(&past)
        });
        if let Err(error) = noted {
            context.events.send(Event::Warning(error.to_string()));
        }
    }
}

/// Prunes every repository whose `latest` the release has moved; what was published stands, whatever comes of it.
pub(super) async fn after(context: &Context, journal: &Journal, targets: &Targets) -> Vec<Pruned> {
    if !context.spec.prune.by_release || steps(journal).next().is_none() {
        return Vec::new();
    }
    let mut orders = Vec::new();
    let mut pruned = Vec::new();
    for step in steps(journal) {
        let Some(target) = target_of(journal, step, targets) else {
            continue;
        };
        let entry = journal.images.get(step.image);
        let needed = entry.into_iter().flat_map(needed_by).collect();
        match order(context, &target, needed, &Options::default()) {
            Ok(order) => orders.extend(order.has_work().then_some(order)),
            Err(error) => pruned.push(not_begun(&*target, &error)),
        }
    }
    if !orders.is_empty() {
        context.stage(Stage::Prune);
    }
    pruned.extend(join_all(orders.into_iter().map(|one| prune::prune(context, one))).await);
    pruned
}

/// `rpub prune`.
pub async fn by_hand(context: &Context, options: &Options) -> Result<PruneDocument> {
    context.stage(Stage::Prune);
    let places = crate::model::plan::places(&context.spec, &options.images)
        .map_err(|error| plan::impossible(&error, config::FILE.to_owned()))?;
    let mut names: Vec<String> = (places.iter())
        .flat_map(|(_, places)| places)
        .map(|(_, repository)| journal::identity(repository, &context.folder))
        .collect();
    names.sort();
    let folder = journal::folder(&*context.env)?;
    let _locks = Locks::take(&folder, &names, &context.cancel, &context.events).await?;
    let images = places.iter().map(|(image, places)| (&image.name, places));
    let targets = Targets::at(context, images)?;
    // What a killed run left goes also where this one needs no spool.
    relay::sweep_spools(&targets.spool(&*context.env)?);
    let unfinished = journal::unfinished(&folder)?;
    let mut orders = Vec::new();
    for (image, _) in &places {
        for target in targets.of(&image.name) {
            let name = target.repository().to_string();
            let journals = unfinished.iter().map(|(_, journal)| journal);
            let needed = journals
                .flat_map(|journal| needed_at(journal, &name))
                .collect();
            orders.push(order(context, target, needed, options)?);
        }
    }
    let work = orders.into_iter().map(|one| prune::prune(context, one));
    let repositories = join_all(work).await;
    if context.cancel.is_cancelled() {
        return Err(Error::interrupted());
    }
    Ok(PruneDocument {
        schema: 1,
        dry_run: options.dry_run,
        repositories,
    })
}

/// The moves of `latest`.
fn steps(journal: &Journal) -> impl Iterator<Item = &Step> {
    journal.steps.iter().filter(|step| step.tag.is_latest())
}

fn target_of(journal: &Journal, step: &Step, targets: &Targets) -> Option<Arc<dyn Target>> {
    targets.named(journal.place(step)?)
}

fn memory(context: &Context, target: &dyn Target) -> Result<Memory> {
    let name = journal::identity(target.repository(), &context.folder);
    Memory::of(&*context.env, &name)
}

fn order(
    context: &Context,
    target: &Arc<dyn Target>,
    needed: BTreeSet<Digest>,
    options: &Options,
) -> Result<Order> {
    let memory = memory(context, &**target)?;
    let rules = context.spec.prune;
    let (superseded, keep) = if options.digests.is_empty() {
        (memory.read()?.superseded(), rules.keep)
    } else {
        (options.digests.clone(), 0)
    };
    Ok(Order {
        target: Arc::clone(target),
        memory,
        wish: Wish {
            superseded,
            keep,
            needed,
            grace: rules.grace,
            sweep: options.sweep,
            ..Wish::default()
        },
        dry_run: options.dry_run,
    })
}

/// What a release has published of an image.
fn needed_by(entry: &Entry) -> impl Iterator<Item = Digest> {
    let children = entry.children.iter().map(|child| child.digest);
    children.chain([entry.list.digest])
}

/// What a release that did not end needs of a repository: to be finished, and to be taken back.
fn needed_at(journal: &Journal, repository: &str) -> Vec<Digest> {
    let there = |entry: &&Entry| entry.repositories.iter().any(|name| name == repository);
    let here = |step: &&Step| journal.place(step).is_some_and(|place| place == repository);
    let before = journal.steps.iter().filter(here);
    let before = before.filter_map(|step| Some(step.from.as_ref()?.digest));
    let lists = journal.images.iter().filter(there).flat_map(needed_by);
    lists.chain(before).collect()
}

fn not_begun(target: &dyn Target, error: &Error) -> Pruned {
    let ended = Ended {
        why: error.to_string(),
        next: Some(error.hint.clone()),
    };
    Pruned {
        ended: Some(ended),
        ..Pruned::of(target.repository().to_string())
    }
}
