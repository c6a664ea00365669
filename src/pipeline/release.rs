//! Decides the story of a release, from the plan to the report; each sentence is a stage.
//! Must never let a tag move before everything it names was read back from every target.

use super::{
    assemble::{self, List},
    build::{self, Wanted},
    context::Context,
    journal::{self, DiskLedger, Locks},
    preflight,
    prepare::{self, Ready, Terms},
    publish,
    push::{self, Dock},
    records,
    scraps::Scraps,
    targets::Targets,
    verify,
};
use crate::{
    error::{Error, Result},
    events::{Event, Stage},
    model::{
        journal::{Entry, Journal, Step, StoredChild},
        plan::{Child, Plan},
        record::Record,
        report::Report,
    },
    podman::{Connect, Engine, ImageId, Inspected},
    relay,
};
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Where the images of a release come from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// All of them are built here.
    Built,
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
    context.stage(Stage::Plan);
    let folder = journal::folder(&*context.env)?;
    let repositories = journal::repositories(plan, &context.folder);
    let _locks = Locks::take(&folder, &repositories, &context.cancel, &context.events).await?;
    let ledger = DiskLedger::of(&folder, &repositories);
    let targets = Targets::open(context, plan)?;
    // What a killed run left goes also where this one needs no spool.
    relay::sweep_spools(&targets.spool(&*context.env)?);
    if let Some(report) = finish_earlier(context, plan, &targets, &ledger).await? {
        return Ok(report);
    }
    if let Source::Records(folder) = options.source {
        // What is wrong with them is told before anything is asked of a registry.
        assemble::check_records(plan, &records::read(folder)?)?;
    }
    let looking = async {
        preflight::reachable(&targets, plan).await?;
        preflight::released_before(context, plan, &targets).await
    };
    if let Some(ready) = context.unless_interrupted(looking).await? {
        let note = "this commit's release is there already: only its tags are looked after";
        context.events.send(Event::Note(note.to_owned()));
        return make_visible(context, plan, &targets, ready, options.force, &ledger, None).await;
    }
    with_engine(context, async |engine, scraps| {
        let dock = Dock::open(context, plan).await?;
        let outcome = story(context, engine, &dock, plan, options, scraps, &ledger).await;
        dock.close().await;
        // After a failure what was built is kept, so that the next try need not build it again. After a success it is
        // kept only where `rpub build` had kept it before: a release leaves nothing that was not there.
        if let Err(error) = scraps.keep(engine, outcome.is_err()).await {
            context.events.send(Event::Warning(error.to_string()));
        }
        outcome
    })
    .await
}

async fn story(
    context: &Context,
    engine: &Engine,
    dock: &Dock,
    plan: &Plan,
    options: Options<'_>,
    scraps: &Scraps,
    ledger: &DiskLedger,
) -> Result<Report> {
    let invisible = async {
        let records = match options.source {
            Source::Built => {
                let built = build::images(context, engine, plan, &Wanted::All, scraps).await?;
                push::images(context, engine, dock, plan, &built).await?
            }
            Source::Records(folder) => records::read(folder)?,
        };
        assemble::lists(context, engine, dock, plan, &records, scraps).await
    };
    let lists = context.unless_interrupted(invisible).await?;
    let podman = Some(engine.version().to_owned());
    make_visible(
        context,
        plan,
        &dock.targets,
        lists,
        options.force,
        ledger,
        podman,
    )
    .await
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
        context.stage(Stage::Tag);
        let ready: Vec<Ready> = plan
            .images
            .iter()
            .zip(lists)
            .map(|(image, list)| Ready {
                name: image.name().to_string(),
                list: list.manifest,
                children: list.children,
                tags: image.tags.clone(),
                targets: targets.of(image.name()).to_vec(),
            })
            .collect();
        let journal = prepare::prepare(&ready, &terms, ledger, events).await?;
        Ok((journal, published))
    };
    let (mut journal, mut published) = context.unless_interrupted(still_invisible).await?;
    targets.no_way_back();
    publish::publish(&mut journal, &targets.all(plan), ledger, stop, events).await?;
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
    Ok(verify::report(context, plan, podman, published))
}

/// Deals with the journals of releases that did not end and that share a repository with this one. A report where one of
/// them is this very release, and could be finished.
async fn finish_earlier(
    context: &Context,
    plan: &Plan,
    targets: &Targets,
    ledger: &DiskLedger,
) -> Result<Option<Report>> {
    let folder = journal::folder(&*context.env)?;
    for (path, mut earlier) in journal::unfinished(&folder)? {
        let names = earlier.images.iter().flat_map(|image| &image.repositories);
        if !names.clone().any(|name| targets.named(name).is_some()) {
            continue;
        }
        let places: Option<Vec<Vec<_>>> = earlier
            .images
            .iter()
            .map(|image| {
                image
                    .repositories
                    .iter()
                    .map(|n| targets.named(n))
                    .collect()
            })
            .collect();
        let Some(places) = places else {
            return Err(Error::usage(
                format!(
                    "an earlier release of {} did not end, and went to other places too",
                    earlier.git_ref
                ),
                path.display().to_string(),
                "run that release again, to the same places (rpub status names them)",
            ));
        };
        let same = earlier.is_of(plan);
        context.events.send(Event::Note(format!(
            "the release of {} did not end: {}",
            earlier.git_ref,
            if same {
                "going on with it"
            } else {
                "taking it back"
            }
        )));
        let (stop, events) = (&context.cancel, &context.events);
        // It lies under another name where the places are named in another order.
        let ledger = if path == ledger.path() {
            ledger
        } else {
            &DiskLedger::at(path)
        };
        if publish::recover(&mut earlier, same, &places, ledger, stop, events).await? {
            let lists = lists_of(&earlier)?;
            let published = verify::lists(context, targets, plan, &lists).await?;
            return Ok(Some(verify::report(context, plan, None, published)));
        }
    }
    Ok(None)
}

fn lists_of(journal: &Journal) -> Result<Vec<List>> {
    let list = |entry: &Entry| {
        let manifest = entry
            .list
            .manifest()
            .map_err(|error| publish::damaged(&error))?;
        let child = |child: &StoredChild| Child {
            platform: child.platform.clone(),
            digest: child.digest,
            size: child.size,
        };
        Ok(List {
            manifest,
            children: entry.children.iter().map(child).collect(),
        })
    };
    journal.images.iter().map(list).collect()
}

/// Builds what is wanted and keeps it in podman's storage under [`kept_name`](super::scraps::kept_name).
pub async fn build_and_keep(
    context: &Context,
    plan: &Plan,
    wanted: Option<Wanted>,
) -> Result<Vec<build::Built>> {
    with_engine(context, async |engine, scraps| {
        let wanted = wanted.unwrap_or_else(|| Wanted::These(vec![engine.platform().clone()]));
        let work = async {
            let mut built = build::images(context, engine, plan, &wanted, scraps).await?;
            scraps.keep(engine, true).await?;
            for one in &mut built {
                one.name = super::scraps::kept_name(&one.image, &one.platform);
            }
            Ok(built)
        };
        context.unless_interrupted(work).await
    })
    .await
}

/// Pushes what [`build_and_keep`] kept, by digest.
pub async fn push_kept(
    context: &Context,
    plan: &Plan,
    wanted: Option<Wanted>,
) -> Result<Vec<Record>> {
    with_engine(context, async |engine, _| {
        let wanted = wanted.unwrap_or_else(|| Wanted::These(vec![engine.platform().clone()]));
        let kept = find_kept(engine, plan, &wanted).await?;
        let dock = Dock::open(context, plan).await?;
        let work = push::images(context, engine, &dock, plan, &kept);
        let outcome = context.unless_interrupted(work).await;
        dock.close().await;
        outcome
    })
    .await
}

async fn find_kept(engine: &Engine, plan: &Plan, wanted: &Wanted) -> Result<Vec<build::Built>> {
    let mut out = Vec::new();
    for image in &plan.images {
        for (platform, _) in &image.spec.platforms {
            if !wanted.includes(platform) {
                continue;
            }
            let name = super::scraps::kept_name(image.name(), platform);
            let again = format!("rpub build --platform {platform}");
            let found = engine.inspect(&name).await?;
            let inspected = found.ok_or_else(|| {
                Error::usage(
                    format!("{} is not built for {platform}", image.name()),
                    &*name,
                    &*again,
                )
            })?;
            if let Some(what) = differs(&inspected, &image.labels) {
                return Err(Error::usage(
                    format!("it was built for something else: {what}"),
                    name,
                    again,
                ));
            }
            let id = ImageId::parse(&inspected.id).ok_or_else(|| {
                Error::usage("podman gives it an id that is none", &*name, &*again)
            })?;
            out.push(build::Built {
                image: image.name().clone(),
                platform: platform.clone(),
                name,
                id,
                inspected,
            });
        }
    }
    Ok(out)
}

/// The first label of the plan that the image does not have; the time of making may differ outside git.
fn differs(
    inspected: &Inspected,
    labels: &std::collections::BTreeMap<String, String>,
) -> Option<String> {
    labels
        .iter()
        .filter(|(key, _)| *key != "org.opencontainers.image.created")
        .find(|(key, value)| inspected.labels.get(*key) != Some(value))
        .map(|(key, value)| {
            let has = inspected.labels.get(key).map_or("nothing", String::as_str);
            format!("{key} is {has:?}, not {value:?}")
        })
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
    let scraps = Scraps::new();
    let outcome = work(&engine, &scraps).await;
    scraps
        .clear(&engine, |what| context.events.send(Event::Warning(what)))
        .await;
    engine.shutdown().await;
    outcome
}
