//! Decides how built images reach every target by digest: podman to the relay once, the relay to all of them.
//! Must never write a tag to a target.

use super::{build::Built, context::Context, targets::Targets};
use crate::{
    error::{Error, Kind, Result},
    events::{Event, Events, Stage},
    model::{
        compression::CompressionLevel,
        manifest::RawManifest,
        plan::Plan,
        platform::Platform,
        record::Record,
        reference::{Reference, RepositoryName, Tag},
    },
    podman::{Engine, ImageId, Login},
    relay::{Access, Options, Relay},
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    sync::{Arc, PoisonError},
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// An image of the plan, and what it is for.
pub type ImageFor<'a> = (&'a RepositoryName, &'a Platform);

/// A second push at once keeps the relay's uploads busy while podman reads and compresses; more only compete for cores.
const PUSHES_AT_ONCE: usize = 2;

/// The relay of this run with the targets behind it.
pub struct Dock {
    /// The loopback registry.
    pub relay: Relay,
    /// What stands behind it.
    pub targets: Arc<Targets>,
    /// Where the relay's spool is made.
    spool: PathBuf,
}

impl Dock {
    /// Starts the relay before these targets.
    pub async fn open(context: &Context, targets: Arc<Targets>) -> Result<Dock> {
        let spool = targets.spool(&*context.env)?;
        let options = Options {
            access: Access::with_random_password(spool.clone())?,
            preferred_port: Some(preferred_port()),
        };
        let events: Events = context.events.clone();
        let routes = Arc::clone(&targets);
        let relay = Relay::start(options, routes, events, CancellationToken::new()).await?;
        Ok(Dock {
            relay,
            targets,
            spool,
        })
    }

    /// Ends the relay; the folder of its spool goes too where it is rpub's own and empty.
    pub async fn close(self) {
        self.relay.shutdown().await;
        // It stays where another run has its spool in it.
        let _ = std::fs::remove_dir(&self.spool);
    }

    /// What podman needs to push to the relay.
    pub fn login(&self) -> Login<'_> {
        Login {
            user: self.relay.user(),
            password: self.relay.password(),
        }
    }

    /// How podman calls a reference of an image at the relay.
    pub fn address(&self, image: &RepositoryName, reference: &Reference) -> String {
        let separator = match reference {
            Reference::Tag(_) => ':',
            Reference::Digest(_) => '@',
        };
        format!("{}/{image}{separator}{reference}", self.relay.address())
    }

    /// What podman has pushed under `tag`, or the reason why it has not: the target's own, where there is one.
    pub fn received(
        &self,
        image: &RepositoryName,
        tag: &Tag,
        pushed: Result<()>,
    ) -> Result<RawManifest> {
        if let Err(error) = pushed {
            return Err(self.relay.take_fault(image).map_or(error, Error::from));
        }
        let reference = Reference::Tag(tag.clone());
        self.relay.pushed(image, &reference).ok_or_else(|| {
            Error::new(
                Kind::Engine,
                "podman says it pushed, and the relay has nothing",
                self.address(image, &reference),
                "run it again with -v, and report it with podman's version",
            )
        })
    }
}

/// The same port for the same user on every run, where it is free: podman remembers per host and port which compressed
/// blob a layer became, and skips compressing it the next time.
fn preferred_port() -> u16 {
    let uid = nix::unistd::getuid().as_raw();
    // Below the range that the kernel gives out (32768…), above the services that people run by hand.
    26_000 + u16::try_from(uid % 4_000).unwrap_or(0)
}

/// Pushes `built`, each to all of its image's targets; one record each, in the same order.
pub async fn images(
    context: &Context,
    engine: &Engine,
    dock: &Dock,
    plan: &Plan,
    built: &[Built],
) -> Result<Vec<Record>> {
    context.stage(Stage::Push);
    check_space(dock, built)?;
    let images: Vec<ImageFor> = (built.iter())
        .map(|built| (&built.image, &built.platform))
        .collect();
    look_ahead(context, engine, &dock.targets, plan, &images).await;
    if let Some(level) = context
        .spec
        .compression_level
        .filter(|_| !engine.takes_a_level())
    {
        context.events.send(Event::Warning(format!(
            "podman {} compresses layers at its own level, not at compression level {level}: install podman 4.6 or newer on \
             every machine that pushes, or ask for no level",
            engine.version()
        )));
    }
    let level = level(context, engine);
    // Two pushes at once of the same layer would compress it twice; the later one finds it at the relay.
    let turns: BTreeMap<&str, Mutex<()>> = built
        .iter()
        .flat_map(layers)
        .map(|layer| (layer, Mutex::default()))
        .collect();
    let turns = &turns;
    let pushes = &Pushes::begin(&context.events, &dock.targets, built);
    stream::iter(built)
        .map(|built| async move {
            // All in the same order, so that no two wait for each other.
            let mine: BTreeSet<&str> = layers(built).collect();
            let mut held = Vec::new();
            for turn in mine.iter().filter_map(|layer| turns.get(layer)) {
                held.push(turn.lock().await);
            }
            let record = one(engine, dock, plan, built, level).await?;
            pushes.one_less(&built.image);
            Ok(record)
        })
        .buffered(PUSHES_AT_ONCE)
        .try_collect()
        .await
}

/// Finds out what the relay must know before the first layer comes: once for a run.
pub(super) async fn look_ahead(
    context: &Context,
    engine: &Engine,
    targets: &Targets,
    plan: &Plan,
    images: &[ImageFor<'_>],
) {
    if targets.begun().get().is_some() {
        return;
    }
    let origins = super::origins::look(context, engine, plan, images).await;
    targets.origins().get_or_init(|| origins);
    let begun = begun(engine, targets, images).await;
    targets.begun().get_or_init(|| begun);
}

/// The images that targets have something of already, where podman does not ask about all that it could: it then sends
/// what is there, and that is found out only when it is whole.
async fn begun(
    engine: &Engine,
    targets: &Targets,
    images: &[ImageFor<'_>],
) -> HashSet<RepositoryName> {
    if engine.asks_for_bases() {
        return HashSet::new();
    }
    let images: BTreeSet<&RepositoryName> = images.iter().map(|(image, _)| *image).collect();
    let looks = images.into_iter().flat_map(|image| {
        let targets = targets.of(image).iter();
        targets.map(move |target| async move {
            let tags = target.tags().await;
            let nothing = tags.is_ok_and(|tags| tags.is_empty());
            (!nothing).then(|| image.clone())
        })
    });
    let found = futures::future::join_all(looks).await;
    found.into_iter().flatten().collect()
}

/// Tells when the first of an image's platforms goes to its targets, and when the last one is there.
struct Pushes<'a> {
    events: &'a Events,
    targets: &'a Targets,
    left: std::sync::Mutex<BTreeMap<&'a RepositoryName, usize>>,
}

impl<'a> Pushes<'a> {
    fn begin(events: &'a Events, targets: &'a Targets, built: &'a [Built]) -> Self {
        let mut left = BTreeMap::new();
        let mut blobs: BTreeMap<&RepositoryName, BTreeSet<&str>> = BTreeMap::new();
        for one in built {
            *left.entry(&one.image).or_default() += 1;
            let config = std::iter::once(one.id.as_str());
            let blobs = blobs.entry(&one.image).or_default();
            blobs.extend(layers(one).chain(config));
        }
        let pushes = Pushes {
            events,
            targets,
            left: std::sync::Mutex::new(left),
        };
        for (image, blobs) in blobs {
            pushes.tell(image, |place| Event::Pushing {
                place,
                blobs: blobs.len(),
            });
        }
        pushes
    }

    fn tell(&self, image: &RepositoryName, event: impl Fn(String) -> Event) {
        for target in self.targets.of(image) {
            self.events.send(event(target.repository().to_string()));
        }
    }

    fn one_less(&self, image: &RepositoryName) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let of_image = left.get_mut(image).map(|left| {
            *left -= 1;
            *left
        });
        if of_image == Some(0) {
            self.tell(image, |place| Event::Pushed { place });
        }
    }
}

fn layers(built: &Built) -> impl Iterator<Item = &str> {
    built.inspected.layers.iter().map(String::as_str)
}

/// The level that layers are compressed at, where this podman takes one.
pub(super) fn level(context: &Context, engine: &Engine) -> Option<CompressionLevel> {
    let level = context.spec.compression_level;
    let level = level.unwrap_or(CompressionLevel::USUAL);
    engine.takes_a_level().then_some(level)
}

async fn one(
    engine: &Engine,
    dock: &Dock,
    plan: &Plan,
    built: &Built,
    level: Option<CompressionLevel>,
) -> Result<Record> {
    let tag = tag(&built.platform)?;
    dock.relay.expect_config(&built.image, built.id.digest());
    let destination = dock.address(&built.image, &Reference::Tag(tag.clone()));
    let pushed = engine.push(&built.name, &destination, dock.login(), level);
    let manifest = dock.received(&built.image, &tag, pushed.await)?;
    Ok(Record {
        schema: 1,
        image: built.image.to_string(),
        platform: built.platform.clone(),
        digest: manifest.digest(),
        media_type: manifest.media_type().to_owned(),
        size: manifest.bytes().len() as u64,
        repositories: dock
            .targets
            .of(&built.image)
            .iter()
            .map(|target| target.repository().to_string())
            .collect(),
        git_ref: plan.git_ref.to_string(),
        revision: plan.revision.as_ref().map(ToString::to_string),
        version: plan.version(),
        run: plan.run.clone(),
        podman: engine.version().to_owned(),
        created: super::plan::now(),
    })
}

/// How podman calls an image towards the relay: a slug is made of characters that a tag may have.
pub(super) fn tag(platform: &Platform) -> Result<Tag> {
    let tag = platform.slug().parse();
    tag.map_err(|error| {
        Error::new(
            Kind::Failed,
            format!("{error}"),
            platform.to_string(),
            "report this platform",
        )
    })
}

/// Compressed layers are hardly ever larger than the image, so the sum of the images' sizes is enough for sure.
fn check_space(dock: &Dock, built: &[Built]) -> Result<()> {
    let sizes: BTreeMap<ImageId, u64> = built
        .iter()
        .map(|b| (b.id.clone(), b.inspected.size))
        .collect();
    let need: u64 = sizes.values().sum();
    let folder = dock.spool.as_path();
    let free = dock
        .relay
        .spool_free()
        .map_err(|e| Error::io("ask for its free space", folder, &e))?;
    // What came while later steps were built is part of the need.
    let free = free.saturating_add(dock.relay.received().bytes);
    if need <= free {
        return Ok(());
    }
    let mib = |bytes: u64| bytes / (1024 * 1024);
    Err(Error::new(
        Kind::Failed,
        format!(
            "too little space for files on their way: {} MiB may be needed, {} MiB are free",
            mib(need),
            mib(free)
        ),
        folder.display().to_string(),
        "free some space there, or set XDG_CACHE_HOME to a larger disk",
    ))
}
