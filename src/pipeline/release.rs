//! Decides the story of a release, from the plan to the report; each sentence is a stage.
//! Must never let a tag move before everything it names was read back from every target.

use super::{
    assemble, build, build::Wanted, context::Context, push, push::Dock, records, scraps::Scraps,
    tag, verify,
};
use crate::{
    error::{Error, Result},
    events::{Event, Stage},
    model::{plan::Plan, record::Record, report::Report},
    podman::{Connect, Engine, ImageId, Inspected},
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

/// Publishes the plan on every target, or leaves every target as it was.
pub async fn release(context: &Context, plan: &Plan, source: Source<'_>) -> Result<Report> {
    with_engine(context, async |engine, scraps| {
        let dock = Dock::open(context, plan).await?;
        let outcome = story(context, engine, &dock, plan, source, scraps).await;
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
    source: Source<'_>,
    scraps: &Scraps,
) -> Result<Report> {
    let invisible = async {
        let records = match source {
            Source::Built => {
                let built = build::images(context, engine, plan, &Wanted::All, scraps).await?;
                push::images(context, engine, dock, plan, &built).await?
            }
            Source::Records(folder) => records::read(folder)?,
        };
        let lists = assemble::lists(context, engine, dock, plan, &records, scraps).await?;
        let published = verify::lists(context, &dock.targets, plan, &lists).await?;
        Ok((lists, published))
    };
    let (lists, published) = context.unless_interrupted(invisible).await?;
    tag::all(context, &dock.targets, plan, &lists).await?;
    verify::tags(context, &dock.targets, plan, &lists).await?;
    let podman = Some(engine.version().to_owned());
    Ok(verify::report(context, plan, podman, published))
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
    context.stage(Stage::Plan);
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
