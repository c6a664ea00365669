//! Decides what is built for a plan, and that what was built is what was asked for.
//! Must never push, nor let a wrong image go on.

use super::{context::Context, early::Made, push::Dock, scraps::Scraps};
use crate::{
    error::{Error, Kind, Result},
    events::{Event, Stage},
    model::{
        plan::{ImagePlan, Plan},
        platform::Platform,
        reference::RepositoryName,
        run::Run,
        spec::Network,
    },
    podman::{self, BuildRequest, Engine, ImageId, Inspected, Isolation, Steps},
};
use std::time::Instant;
use tokio::sync::mpsc::UnboundedSender;

/// An image in podman's storage that passed its checks.
#[derive(Debug, Clone)]
pub struct Built {
    /// Its name in rpub.toml.
    pub image: RepositoryName,
    /// What it runs on.
    pub platform: Platform,
    /// How this run calls it in podman's storage.
    pub name: String,
    /// Its id, which is its config's digest.
    pub id: ImageId,
    /// What podman says of it.
    pub inspected: Inspected,
}

/// Which platforms to build.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// All that the plan names.
    All,
    /// Only these.
    These(Vec<Platform>),
}

impl Wanted {
    /// Whether to build for `platform`.
    pub fn includes(&self, platform: &Platform) -> bool {
        match self {
            Wanted::All => true,
            Wanted::These(platforms) => platforms.contains(platform),
        }
    }
}

/// What the builds of one run share.
#[derive(Clone, Copy)]
pub struct Aids<'a> {
    /// Takes note of what podman's storage gets.
    pub scraps: &'a Scraps,
    /// The relay before the layer caches, where there is one.
    pub dock: Option<&'a Dock>,
    /// Who hears of the images of steps, as they are made.
    pub made: Option<&'a UnboundedSender<Made>>,
}

/// Builds every image of the plan for the platforms wanted, one after the other, in the plan's order.
///
/// The layer caches before which the dock stands are used. The first failure ends it (exit 3). With nothing to build it is a usage error.
pub async fn images(
    context: &Context,
    engine: &Engine,
    plan: &Plan,
    wanted: &Wanted,
    aids: Aids<'_>,
) -> Result<Vec<Built>> {
    context.stage(Stage::Build);
    if !engine.builds_the_same_twice() {
        context.events.send(Event::Note(format!(
            "podman {} builds the same commit to another digest each time; 5.6 and newer do not",
            engine.version()
        )));
    }
    let usual = usual_network(context, engine, plan, wanted);
    let mut built = Vec::new();
    for image in &plan.images {
        for (platform, file) in &image.spec.platforms {
            if wanted.includes(platform) {
                let network = match image.spec.network {
                    Network::Private => usual,
                    Network::Host => Network::Host,
                };
                let wanted = (image, platform, file.as_str(), network);
                built.push(one(context, engine, wanted, plan, aids).await?);
            }
        }
    }
    if built.is_empty() {
        return Err(Error::usage(
            "no image has a platform that was asked for",
            "--platform",
            "rpub plan lists the platforms of each image",
        ));
    }
    Ok(built)
}

/// The network of steps that rpub.toml gives one of their own, where the engine can make one. Whose steps have this machine's
/// is said once.
fn usual_network(context: &Context, engine: &Engine, plan: &Plan, wanted: &Wanted) -> Network {
    let built = plan.images.iter().filter(|image| {
        let mut platforms = image.spec.platforms.iter();
        platforms.any(|(platform, _)| wanted.includes(platform))
    });
    let (host, private): (Vec<_>, Vec<_>) =
        built.partition(|image| image.spec.network == Network::Host);
    if !host.is_empty() {
        let names: Vec<String> = host.iter().map(|image| image.name().to_string()).collect();
        let text = format!(
            "build steps of {} have this machine's network, its loopback included, because rpub.toml says network = \"host\"",
            names.join(", ")
        );
        context.events.send(Event::Note(text));
    }
    if private.is_empty() {
        return Network::Host;
    }
    let (text, network) = match engine.isolation() {
        Isolation::Whole => return Network::Private,
        Isolation::Leaky => (
            format!(
                "build steps can reach this machine's loopback, as 10.0.2.2 in their own network: podman {} cannot close it here. 4.6 and newer do; so does an engine that rpub starts itself (leave --url and CONTAINER_HOST out)",
                engine.version()
            ),
            Network::Private,
        ),
        Isolation::None(why) => (
            format!(
                "build steps have this machine's network, its loopback included: {why}; rpub doctor says what is missing"
            ),
            Network::Host,
        ),
    };
    context.events.send(Event::Warning(text));
    network
}

/// What ran, for whoever looks at an image: no part of the plan, since the same release may be made by another run.
fn provenance(run: Option<&Run>, podman: &str) -> Vec<(String, String)> {
    let url = run.map(|run| run.url.clone()).filter(|url| !url.is_empty());
    let mut labels = vec![("rpub.podman".to_owned(), podman.to_owned())];
    labels.extend(url.map(|url| ("rpub.run".to_owned(), url)));
    labels
}

async fn one(
    context: &Context,
    engine: &Engine,
    (image, platform, file, network): (&ImagePlan, &Platform, &str, Network),
    plan: &Plan,
    aids: Aids<'_>,
) -> Result<Built> {
    let Aids { scraps, dock, made } = aids;
    let mut labels = image.labels.clone();
    labels.extend(provenance(plan.run.as_ref(), engine.version()));
    let caches = dock.and_then(|dock| Some((dock, dock.targets.caches().get()?)));
    let mut request = BuildRequest {
        context: context.path(&image.spec.context),
        containerfile: context.path(file),
        platform: platform.clone(),
        tag: scraps.image(image.name(), platform),
        labels,
        args: image.spec.args.clone(),
        target: image.spec.target.clone(),
        timestamp: Some(plan.created.as_second()),
        no_cache: false,
        network,
        cache: caches.and_then(|(dock, caches)| caches.of(dock, image.name(), platform)),
    };
    // A step that goes to a layer cache comes to the relay from podman's build: a push of its own would compress it twice.
    let left = request.cache.as_ref().and_then(|cache| cache.to.as_ref());
    let made = made.filter(|_| left.is_none());
    let (name, begun) = (image.name().to_string(), Instant::now());
    context.events.send(Event::Building {
        image: name.clone(),
        platform: platform.clone(),
    });
    let mut steps = Steps::default();
    let mut tell = |line: &str| {
        if let (Some(id), Some(made)) = (steps.hear(line), made) {
            // Whoever hears no more has no use for it.
            let _ = made.send(Made {
                image: image.name().clone(),
                platform: platform.clone(),
                id: id.to_owned(),
            });
        }
        if let Some((count, instruction)) = podman::step(line) {
            context.events.send(Event::Step {
                image: name.clone(),
                platform: platform.clone(),
                count,
                instruction: instruction.to_owned(),
            });
        }
        // At once: the build may be broken off at the next line.
        if let Some(name) = podman::fetched(line) {
            scraps.note_fetched(name);
        }
        context.events.send(Event::BuildLine {
            image: name.clone(),
            platform: platform.clone(),
            line: line.to_owned(),
        });
    };
    // Of a build that fails the steps stay: the next try begins after them.
    // Boxed: a build's state is large, and callers hold it.
    let id = match Box::pin(engine.build(&request, &mut tell)).await {
        Err(error) if request.may_do_without_cache(&error) => {
            let text = format!("building again without the layer cache: {error}");
            context.events.send(Event::Warning(text));
            request.cache = None;
            Box::pin(engine.build(&request, &mut tell)).await?
        }
        outcome => outcome?,
    };
    scraps.note_steps(steps.made());
    let inspected = engine.inspect(id.as_str()).await?.ok_or_else(|| {
        Error::new(
            Kind::Build,
            "podman says it built the image, and has none",
            request.tag.clone(),
            "something else removes images here; run it again",
        )
    })?;
    context.events.send(Event::Built {
        image: name,
        platform: platform.clone(),
        id: inspected.id.clone(),
        size: inspected.size,
        took: begun.elapsed(),
    });
    let built = Built {
        image: image.name().clone(),
        platform: platform.clone(),
        name: request.tag,
        id,
        inspected,
    };
    scraps.note_built(built.clone());
    Ok(built)
}
