//! Decides which targets each image of a plan has, and opens them.
//! Must never open the same registry twice: back-off and tokens belong to the host.

use super::{cache::Caches, context::Context, origins::Origins};
use crate::{
    error::{Error, Result},
    model::{
        digest::Digest,
        fault::Policy,
        plan::{Places, Plan},
        reference::{Host, RepositoryName},
        spec::{Destination, RegistrySpec, Service},
    },
    registry::{self, CredentialSource, Environment, Registry},
    relay::{BlobOrigin, Cache, Routes},
    retry::Patience,
    store::Store,
    target::Target,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Every image's targets, in the order of rpub.toml.
pub struct Targets {
    by_image: BTreeMap<RepositoryName, Vec<Arc<dyn Target>>>,
    folders: Vec<PathBuf>,
    patience: Patience,
    caches: OnceLock<Caches>,
    origins: OnceLock<Origins>,
    begun: OnceLock<HashSet<RepositoryName>>,
}

impl Targets {
    /// None at all: for a relay that only layer caches stand behind.
    pub fn none() -> Targets {
        Targets {
            by_image: BTreeMap::new(),
            folders: Vec::new(),
            patience: Patience::new(Duration::ZERO),
            caches: OnceLock::new(),
            origins: OnceLock::new(),
            begun: OnceLock::new(),
        }
    }

    /// The layer caches of this run; the first ones that are given stay.
    pub fn caches(&self) -> &OnceLock<Caches> {
        &self.caches
    }

    /// Where layers of bases can be read; the first that are given stay.
    pub fn origins(&self) -> &OnceLock<Origins> {
        &self.origins
    }

    /// The images whose layers podman may send although a target has them; the first ones that are given stay.
    pub fn begun(&self) -> &OnceLock<HashSet<RepositoryName>> {
        &self.begun
    }

    /// Opens what the plan names; nothing is asked of a registry yet.
    pub fn open(context: &Context, plan: &Plan) -> Result<Targets> {
        let images = plan.images.iter();
        Targets::at(
            context,
            images.map(|image| (image.name(), &image.repositories)),
        )
    }

    /// Opens these places of these images.
    pub fn at<'p>(
        context: &Context,
        places: impl Iterator<Item = (&'p RepositoryName, &'p Places)>,
    ) -> Result<Targets> {
        let mut registries: HashMap<Host, Registry> = HashMap::new();
        let mut by_image = BTreeMap::new();
        let mut folders = Vec::new();
        let patience = Patience::new(context.spec.retry.budget);
        for (image, places) in places {
            let mut targets: Vec<Arc<dyn Target>> = Vec::new();
            for (destination, repository) in places {
                match destination {
                    Destination::Directory(path) => {
                        let folder = context.path(path);
                        let store = Store::new(&folder).shown_as(path);
                        targets.push(Arc::new(store.repository(&repository.name)));
                        folders.push(folder);
                    }
                    Destination::Registry(spec) => {
                        let registry = if let Some(known) = registries.get(&spec.host) {
                            known.clone()
                        } else {
                            let opened =
                                self::registry(context, spec, context.spec.retry, &patience)?;
                            registries.insert(spec.host.clone(), opened.clone());
                            opened
                        };
                        targets.push(Arc::new(registry.repository(repository.name.clone())));
                    }
                }
            }
            by_image.insert(image.clone(), targets);
        }
        Ok(Targets {
            by_image,
            folders,
            patience,
            caches: OnceLock::new(),
            origins: OnceLock::new(),
            begun: OnceLock::new(),
        })
    }

    /// Tags begin to move: from here on everything must come to an end, by as many tries as it takes.
    pub fn no_way_back(&self) {
        self.patience.lift();
    }

    /// What was waited for until now counts no more: it could have been spared.
    pub fn forget_waits(&self) {
        self.patience.renew();
    }

    /// The targets of an image of the plan.
    pub fn of(&self, image: &RepositoryName) -> &[Arc<dyn Target>] {
        self.by_image.get(image).map_or(&[], Vec::as_slice)
    }

    /// The targets of every image of the plan, in its order.
    pub fn all(&self, plan: &Plan) -> Vec<Vec<Arc<dyn Target>>> {
        let of = |image: &crate::model::plan::ImagePlan| self.of(image.name()).to_vec();
        plan.images.iter().map(of).collect()
    }

    /// The target of a repository, as users write it.
    pub fn named(&self, repository: &str) -> Option<Arc<dyn Target>> {
        let mut all = self.by_image.values().flatten();
        all.find(|target| target.repository().to_string() == repository)
            .cloned()
    }

    /// Where blobs wait on their way: in the first directory store, so that they are linked into it instead of copied;
    /// else in the user's cache.
    pub fn spool(&self, env: &super::plan::Env) -> Result<PathBuf> {
        if let Some(folder) = self.folders.first() {
            return Ok(folder.join(".rpub"));
        }
        let absolute = |name: &str| env(name).filter(|p| Path::new(p).is_absolute());
        let cache = absolute("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(&absolute("HOME")?).join(".cache")));
        cache.map(|cache| cache.join("rpub")).ok_or_else(|| {
            Error::usage(
                "there is no folder for files on their way",
                "the environment",
                "set HOME or XDG_CACHE_HOME",
            )
        })
    }
}

/// The same registry as rpub.toml knows it: its authorities, and whether it speaks plain HTTP.
pub(super) fn as_known(context: &Context, spec: &RegistrySpec) -> RegistrySpec {
    let same = context
        .spec
        .destinations
        .iter()
        .find_map(|known| match known {
            Destination::Registry(known) if known.host == spec.host => Some(known),
            _ => None,
        });
    RegistrySpec {
        ca_file: same.and_then(|known| known.ca_file.clone()),
        insecure: spec.insecure || same.is_some_and(|known| known.insecure),
        ..spec.clone()
    }
}

/// Opens a registry that is only read from, where it may fail: its own patience, and as rpub.toml knows it.
pub(super) fn reading(
    context: &Context,
    host: Host,
    insecure: bool,
    patience: &Patience,
) -> Result<Registry> {
    let spec = as_known(
        context,
        &RegistrySpec {
            service: Service::of(&host),
            host,
            namespace: None,
            insecure,
            ca_file: None,
            api: None,
        },
    );
    let mut policy = context.spec.retry;
    policy.tries = policy.tries.min(2);
    registry(context, &spec, policy, patience)
}

/// Opens a registry; nothing is asked of it yet.
pub(super) fn registry(
    context: &Context,
    spec: &RegistrySpec,
    policy: Policy,
    patience: &Patience,
) -> Result<Registry> {
    let mut options = registry::Options::new(spec.host.clone());
    options.insecure = spec.insecure;
    options.ca_file = spec.ca_file.as_ref().map(|path| context.path(path));
    options.service = spec.service;
    options.api.clone_from(&spec.api);
    options.policy = policy;
    options.patience = patience.clone();
    options.timeouts = context.timeouts;
    let credentials = CredentialSource::new(context.authfile.clone(), Environment::of_process())?;
    // Requests are stopped by dropping them; tags that began to move must be let finish.
    let requests = tokio_util::sync::CancellationToken::new();
    Registry::new(options, credentials, context.events.clone(), requests)
}

impl Routes for Targets {
    fn targets(&self, name: &RepositoryName) -> Option<Vec<Arc<dyn Target>>> {
        self.by_image.get(name).cloned()
    }

    fn origin(&self, digest: Digest) -> Option<BlobOrigin> {
        self.origins.get()?.get(&digest).cloned()
    }

    fn sends_ahead(&self, name: &RepositoryName) -> bool {
        !self.begun.get().is_some_and(|begun| begun.contains(name))
    }

    fn cache(&self, name: &RepositoryName) -> Option<Cache> {
        self.caches.get()?.named(name)
    }
}
