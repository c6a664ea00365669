//! Decides where the layers of each image and platform are cached, and what podman is told of that.
//! Must never let a cache that cannot be used fail a build, nor use up the waiting that a release may need.

use super::{build::Wanted, context::Context, push::Dock, targets};
use crate::{
    error::Result,
    events::Event,
    model::{
        plan::Plan,
        platform::Platform,
        reference::{BadName, Host, RepositoryName},
        spec::CachePlaces,
    },
    podman::BuildCache,
    registry::Registry,
    relay::{Cache, Use},
    retry::Patience,
    target::Target,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

/// A cache that does not answer at once is not worth a build's time.
const TRIES: u32 = 2;
const BUDGET: Duration = Duration::from_secs(10);

/// The layer caches behind a relay, by the names that they have there.
#[derive(Default)]
pub struct Caches(BTreeMap<RepositoryName, Cache>);

impl Caches {
    /// Opens one for each image and platform that is built. What may not be written to is left out, with a warning.
    pub async fn open(
        context: &Context,
        plan: &Plan,
        wanted: &Wanted,
        places: &CachePlaces,
    ) -> Caches {
        let mut caches = Caches::default();
        let opened = caches.open_all(context, plan, wanted, places).await;
        if let Err(error) = opened {
            let text = format!("no layer cache is used: {error}");
            context.events.send(Event::Warning(text));
            return Caches::default();
        }
        caches
    }

    async fn open_all(
        &mut self,
        context: &Context,
        plan: &Plan,
        wanted: &Wanted,
        places: &CachePlaces,
    ) -> Result<()> {
        // Of their own, not the release's: other patience.
        let mut registries: HashMap<Host, Registry> = HashMap::new();
        let patience = Patience::new(context.spec.retry.budget.min(BUDGET));
        let uses = [(Use::From, &places.from), (Use::To, &places.to)];
        for (usage, spec) in uses {
            let Some(spec) = spec else { continue };
            let registry = if let Some(known) = registries.get(&spec.host) {
                known.clone()
            } else {
                let mut policy = context.spec.retry;
                policy.tries = policy.tries.min(TRIES);
                let spec = targets::as_known(context, spec);
                let opened = targets::registry(context, &spec, policy, &patience)?;
                registries.insert(spec.host.clone(), opened.clone());
                opened
            };
            for image in &plan.images {
                let platforms = image.spec.platforms.iter().map(|(platform, _)| platform);
                for platform in platforms.filter(|platform| wanted.includes(platform)) {
                    let name = repository(image.name(), platform);
                    let remote = name.and_then(|name| name.within(spec.namespace.as_ref()));
                    let here = at_relay(usage, image.name(), platform);
                    let (Ok(remote), Ok(here)) = (remote, here) else {
                        let text =
                            format!("{} has too long a name for a layer cache", image.name());
                        context.events.send(Event::Warning(text));
                        continue;
                    };
                    let target: Arc<dyn Target> = Arc::new(registry.repository(remote));
                    if usage == Use::To
                        && let Err(fault) = target.may_push().await
                    {
                        let place = target.repository();
                        let text = format!("the layer cache {place} is not written to: {fault}");
                        context.events.send(Event::Warning(text));
                        continue;
                    }
                    self.0.insert(here, Cache::new(target, usage));
                }
            }
        }
        Ok(())
    }

    /// The cache that has this name at the relay.
    pub fn named(&self, name: &RepositoryName) -> Option<Cache> {
        self.0.get(name).cloned()
    }

    /// What podman is told for one build; None where there is no cache for it.
    pub fn of(
        &self,
        dock: &Dock,
        image: &RepositoryName,
        platform: &Platform,
    ) -> Option<BuildCache> {
        let place = |usage| {
            let name = at_relay(usage, image, platform).ok()?;
            let known = self.0.contains_key(&name);
            known.then(|| format!("{}/{name}", dock.relay.address()))
        };
        let (from, to) = (place(Use::From), place(Use::To));
        (from.is_some() || to.is_some()).then(|| BuildCache {
            from,
            to,
            user: dock.relay.user().to_owned(),
            password: dock.relay.password().clone(),
        })
    }
}

/// Its name in the cache's namespace: of its own for each platform, because what a step is known by may not hold that.
/// One name, not a path: Docker Hub has no paths.
fn repository(image: &RepositoryName, platform: &Platform) -> Result<RepositoryName, BadName> {
    format!("{image}-cache-{}", platform.slug()).parse()
}

/// Its name at the relay; the same in every run, so that podman knows it again.
fn at_relay(
    usage: Use,
    image: &RepositoryName,
    platform: &Platform,
) -> Result<RepositoryName, BadName> {
    let usage = match usage {
        Use::From => "from",
        Use::To => "to",
    };
    format!("cache/{usage}/{image}-{}", platform.slug()).parse()
}
