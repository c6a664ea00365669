//! Decides the story of a release, from the plan to the report; each sentence is a stage.
//! Must never let a tag move before everything it names was read back from every target.

use super::{
    assemble::{self, List},
    build::{self, Aids, Wanted},
    cache::Caches,
    context::Context,
    earlier, early,
    journal::{self, DiskLedger, Locks},
    kept::{self, Kept},
    preflight,
    prepare::{self, Ready, Terms},
    publish,
    push::{self, Dock},
    records,
    scraps::Scraps,
    superseded,
    targets::Targets,
    verify,
};
use crate::{
    error::Result,
    events::{Event, Stage},
    model::{
        journal::Step, plan::Plan, record::Record, report::Report, spec::CachePlaces, trace::Fact,
    },
    podman::{Connect, Engine},
    relay,
};
use std::{path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Where the images of a release come from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// All of them are built here, with the layer caches in these places.
    Built(&'a CachePlaces),
    /// Other machines have pushed them and left their digest records in this folder.
    Records(&'a Path),
}

/// What a release is told beside its plan.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Where its images come from.
    pub source: Source<'a>,
    /// Whether version tags that are published with another digest are overwritten.
    pub force: bool,
}

/// Publishes the plan on every target, or leaves every target as it was.
///
/// A release that did not end before is finished first where it is this one, and taken back where it is another.
pub async fn release(context: &Context, plan: &Plan, options: Options<'_>) -> Result<Report> {
    let check = || match options.source {
        // What is wrong with them is told before anything is asked of a registry.
        Source::Records(folder) => assemble::check_records(plan, &records::read(folder)?).map(drop),
        Source::Built(_) => Ok(()),
    };
    around(
        context,
        plan,
        options.force,
        check,
        async |targets, ledger| {
            with_engine(context, async |engine, scraps| {
                let make = async |dock: &Dock| {
                    let records = match options.source {
                        Source::Built(caches) => {
                            cached(context, plan, &Wanted::All, dock, caches).await;
                            early::build_and_push(context, engine, dock, plan, scraps).await?
                        }
                        Source::Records(folder) => {
                            let records = records::read(folder)?;
                            assemble::check_records(plan, &records)?;
                            records::present(&dock.targets, plan, &records).await?;
                            records
                        }
                    };
                    assemble::lists(context, engine, dock, plan, &records, scraps).await
                };
                let podman = Some(engine.version().to_owned());
                let outcome =
                    story(context, plan, options.force, targets, ledger, podman, make).await;
                // After a failure what was built is kept, so that the next try need not build it again. After a success it is
                // kept only where `rpub build` had kept it before: a release leaves nothing that was not there.
                let kept = Kept::of(context, plan);
                let keeping = async { scraps.keep(engine, &kept?, outcome.is_err()).await };
                if let Err(error) = keeping.await {
                    context.events.send(Event::Warning(error.to_string()));
                }
                outcome
            })
            .await
        },
    )
    .await
}

/// As [`release`], of what `push` brings to the relay: one list per image of the plan. Whoever has images that no podman
/// need build or assemble pushes them there as podman would.
pub async fn release_pushed(
    context: &Context,
    plan: &Plan,
    force: bool,
    push: impl AsyncFnOnce(&Dock) -> Result<Vec<List>>,
) -> Result<Report> {
    around(
        context,
        plan,
        force,
        || Ok(()),
        async |targets, ledger| story(context, plan, force, targets, ledger, None, push).await,
    )
    .await
}

/// What comes before there is anything to push: nobody else publishes there, no earlier release is left half-way, the
/// targets can be used, and `rest` is needed at all.
async fn around(
    context: &Context,
    plan: &Plan,
    force: bool,
    check: impl FnOnce() -> Result<()>,
    rest: impl AsyncFnOnce(Arc<Targets>, &DiskLedger) -> Result<Report>,
) -> Result<Report> {
    context.stage(Stage::Plan);
    let folder = journal::folder(&*context.env)?;
    let repositories = journal::repositories(plan, &context.folder);
    let _locks = Locks::take(&folder, &repositories, &context.cancel, &context.events).await?;
    let ledger = DiskLedger::of(&folder, &repositories);
    let targets = Arc::new(Targets::open(context, plan)?);
    // What a killed run left goes also where this one needs no spool.
    relay::sweep_spools(&targets.spool(&*context.env)?);
    if let Some(report) = earlier::finish(context, plan, &targets, &ledger).await? {
        return Ok(report);
    }
    check()?;
    let looking = async {
        preflight::reachable(context, &targets, plan, force).await?;
        preflight::released_before(context, plan, &targets).await
    };
    if let Some(ready) = context.unless_interrupted(looking).await? {
        let note = "this commit's release is there already: only its tags are looked after";
        context.events.send(Event::Note(note.to_owned()));
        return make_visible(context, plan, &targets, ready, force, &ledger, None).await;
    }
    rest(targets, &ledger).await
}

/// Everything goes to every target by digest, through the relay; then the tags move.
async fn story(
    context: &Context,
    plan: &Plan,
    force: bool,
    targets: Arc<Targets>,
    ledger: &DiskLedger,
    podman: Option<String>,
    push: impl AsyncFnOnce(&Dock) -> Result<Vec<List>>,
) -> Result<Report> {
    let dock = Dock::open(context, Arc::clone(&targets)).await?;
    let lists = context.unless_interrupted(push(&dock)).await;
    // Before a tag moves: nothing that comes after needs the relay, and a closed relay cannot be disturbed.
    dock.close().await;
    make_visible(context, plan, &targets, lists?, force, ledger, podman).await
}

/// Reads the lists back from every target, then lets the tags name them.
async fn make_visible(
    context: &Context,
    plan: &Plan,
    targets: &Targets,
    lists: Vec<List>,
    force: bool,
    ledger: &DiskLedger,
    podman: Option<String>,
) -> Result<Report> {
    let terms = Terms {
        rules: &context.spec.tags,
        git_ref: &plan.git_ref,
        revision: plan.revision.as_ref().map(ToString::to_string),
        force,
    };
    let (events, stop) = (&context.events, &context.cancel);
    let still_invisible = async {
        let published = verify::lists(context, targets, plan, &lists).await?;
        let (published, manifests): (Vec<_>, Vec<_>) = published.into_iter().unzip();
        context.stage(Stage::Tag);
        let ready: Vec<Ready> = plan
            .images
            .iter()
            .zip(lists.into_iter().zip(manifests))
            .map(|(image, (list, manifests))| Ready {
                name: image.name().to_string(),
                list: list.manifest,
                children: list.children,
                manifests,
                tags: image.tags.clone(),
                targets: targets.of(image.name()).to_vec(),
            })
            .collect();
        let journal = prepare::prepare(&ready, &terms, ledger, events).await?;
        Ok((journal, published))
    };
    let (mut journal, mut published) = context.unless_interrupted(still_invisible).await?;
    superseded::note(context, &journal, targets);
    targets.no_way_back();
    publish::publish(&mut journal, &targets.all(plan), ledger, stop, events).await?;
    let pruned = superseded::after(context, &journal, targets).await;
    for (index, image) in published.iter_mut().enumerate() {
        let moved = |tag: &String| {
            let is_it = |step: &Step| step.image == index && step.tag.as_str() == tag;
            journal.steps.iter().any(is_it)
        };
        image.tags.retain(moved);
        image.references.retain(|reference| {
            let tag = reference.rsplit(':').next().unwrap_or_default();
            image.tags.iter().any(|moved| moved == tag)
        });
    }
    Ok(Report {
        moves: journal.moves(),
        pruned,
        ..verify::report(context, plan, podman, published)
    })
}

/// Builds what is wanted and keeps it in podman's storage.
pub async fn build_and_keep(
    context: &Context,
    plan: &Plan,
    wanted: Option<Wanted>,
    caches: &CachePlaces,
) -> Result<Vec<build::Built>> {
    with_engine(context, async |engine, scraps| {
        let dock = dock_of_caches(context, caches).await;
        let wanted = wanted.unwrap_or_else(|| Wanted::These(vec![engine.platform().clone()]));
        let work = async {
            if let Some(dock) = &dock {
                cached(context, plan, &wanted, dock, caches).await;
            }
            let aids = Aids {
                scraps,
                dock: dock.as_ref(),
                made: None,
            };
            let mut built = build::images(context, engine, plan, &wanted, aids).await?;
            scraps.keep(engine, &Kept::of(context, plan)?, true).await?;
            for one in &mut built {
                one.name = kept::kept_name(&one.image, &one.platform);
            }
            Ok(built)
        };
        let outcome = context.unless_interrupted(work).await;
        if let Some(dock) = dock {
            dock.close().await;
        }
        outcome
    })
    .await
}

/// Opens the layer caches behind a relay; what is wrong with them is a warning.
async fn cached(
    context: &Context,
    plan: &Plan,
    wanted: &Wanted,
    dock: &Dock,
    places: &CachePlaces,
) {
    if !places.is_empty() {
        let caches = Box::pin(Caches::open(context, plan, wanted, places)).await;
        // A relay has its caches from one build only: there is no second.
        dock.targets.caches().get_or_init(|| caches);
    }
}

/// A relay that nothing but layer caches stand behind; None where none is asked for, or, with a warning, cannot be opened.
async fn dock_of_caches(context: &Context, places: &CachePlaces) -> Option<Dock> {
    if places.is_empty() {
        return None;
    }
    match Dock::open(context, Arc::new(Targets::none())).await {
        Ok(dock) => Some(dock),
        Err(error) => {
            let text = format!("no layer cache is used: {error}");
            context.events.send(Event::Warning(text));
            None
        }
    }
}

/// Pushes what [`build_and_keep`] kept, by digest.
pub async fn push_kept(
    context: &Context,
    plan: &Plan,
    wanted: Option<Wanted>,
) -> Result<Vec<Record>> {
    with_engine(context, async |engine, _| {
        let wanted = wanted.unwrap_or_else(|| Wanted::These(vec![engine.platform().clone()]));
        let kept = Kept::of(context, plan)?.find(engine, plan, &wanted).await?;
        let dock = Dock::open(context, Arc::new(Targets::open(context, plan)?)).await?;
        let work = push::images(context, engine, &dock, plan, &kept);
        let outcome = context.unless_interrupted(work).await;
        dock.close().await;
        outcome
    })
    .await
}

/// Finds or starts podman, does the work, takes away what the work left in podman's storage, and ends what was started.
async fn with_engine<T>(
    context: &Context,
    work: impl AsyncFnOnce(&Engine, &Scraps) -> Result<T>,
) -> Result<T> {
    let connect = Connect::from_env(context.url.clone());
    // Its own calls are not cancelled but dropped with the work, so that the clearing up after it still works.
    let connecting = Engine::connect(connect, CancellationToken::new());
    let engine = context.unless_interrupted(connecting).await?;
    let version = engine.version().to_owned();
    context.events.send(Event::Fact(Fact::Podman(version)));
    let scraps = Scraps::new();
    let outcome = work(&engine, &scraps).await;
    engine.stop_builds().await;
    scraps
        .clear(&engine, |what| context.events.send(Event::Warning(what)))
        .await;
    engine.shutdown().await;
    outcome
}
