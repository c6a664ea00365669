//! Decides what two registries hold before a release, and whether they hold the old release or the new one after it.
//! Must never look through a proxy that breaks what it looks at.

use super::machine::plan_of;
pub(super) use crate::support::project::{PASSWORD, USER};
use crate::support::{
    images::{Image, index, push, put},
    registries::{Auth, RegistryProcess},
};
use rpub::{
    events::Events,
    model::{digest::Digest, manifest::RawManifest, reference::Tag},
    registry::{CredentialSource, Options, Registry, Remote},
    target::Target as _,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU32, Ordering},
};
use tokio_util::sync::CancellationToken;

pub(super) const APP: &str = "app";

/// What the tags name, by registry.
pub(super) type State = [BTreeMap<Tag, Digest>; 2];

/// The images of one version.
pub(super) struct Images {
    pub(super) children: [Image; 2],
    pub(super) list: RawManifest,
    /// The tags that its release gives.
    tags: Vec<Tag>,
}

impl Images {
    /// Two platforms that share both layers, of which the first is every version's.
    fn of(version: &str) -> Self {
        let (_, plan) = plan_of(
            &format!("refs/tags/v{version}"),
            &["127.0.0.1:1".to_owned()],
            "any",
        );
        let labels = json!(plan.images[0].labels);
        let children = ["amd64", "arm64"]
            .map(|platform| Image::labelled(platform, &["the base", version], &labels));
        Images {
            list: index(&[&children[0], &children[1]]),
            children,
            tags: plan.images[0].tags.clone(),
        }
    }
}

/// Two registries on which v1.2.2 is published, in one repository for each case.
pub(super) struct World {
    pub(super) registries: [RegistryProcess; 2],
    clients: [Registry; 2],
    old: Images,
    pub(super) new: Images,
    namespaces: AtomicU32,
}

impl World {
    pub(super) async fn new() -> Self {
        let registries = [(); 2].map(|()| RegistryProcess::start(&Auth::None));
        let clients = registries.each_ref().map(|registry| {
            let mut options = Options::new(registry.host());
            options.insecure = true;
            let (anonymous, stop) = (CredentialSource::anonymous(), CancellationToken::new());
            Registry::new(options, anonymous, Events::default(), stop).unwrap()
        });
        let world = World {
            registries,
            clients,
            old: Images::of("1.2.2"),
            new: Images::of("1.2.3"),
            namespaces: AtomicU32::new(0),
        };
        for place in 0..2 {
            publish(&world.at(place, "seed"), &world.old).await;
        }
        world
    }

    fn at(&self, place: usize, namespace: &str) -> Remote {
        self.clients[place].repository(format!("{namespace}/{APP}").parse().unwrap())
    }

    /// A namespace that nobody has used, where v1.2.2 is published on both registries.
    pub(super) fn published_old(&self) -> String {
        let namespace = format!("case-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        for registry in &self.registries {
            registry.copy_repositories("seed", &namespace);
        }
        namespace
    }

    /// What the tags of each registry name; all of it is whole, and no tag of v1.2.2 is gone.
    pub(super) async fn look(&self, namespace: &str) -> Result<State, String> {
        let mut state = State::default();
        for (place, tags) in state.iter_mut().enumerate() {
            let remote = self.at(place, namespace);
            let mut named = BTreeSet::new();
            for tag in remote.tags().await.unwrap() {
                let digest = remote.resolve(&tag.clone().into()).await.unwrap();
                let digest =
                    digest.ok_or_else(|| format!("registry {place}: {tag} names nothing"))?;
                named.insert(digest);
                tags.insert(tag, digest);
            }
            if let Some(gone) = self.old.tags.iter().find(|tag| !tags.contains_key(*tag)) {
                return Err(format!("registry {place}: {gone} is gone"));
            }
            for digest in named {
                let both = [&self.old, &self.new];
                let of = both.iter().find(|images| images.list.digest() == digest);
                let images = of.ok_or_else(|| format!("registry {place} names {digest}"))?;
                is_complete(&remote, images).await?;
            }
        }
        Ok(state)
    }

    /// v1.2.3 is published on both registries, and v1.2.2 keeps its name.
    pub(super) fn is_new(&self, state: &State) -> Result<(), String> {
        let kept = &self.old.tags[0];
        for (place, tags) in state.iter().enumerate() {
            for (tag, digest) in tags {
                let images = if tag == kept { &self.old } else { &self.new };
                if *digest != images.list.digest() {
                    return Err(format!("registry {place}: {tag} names {digest}"));
                }
            }
            if let Some(tag) = self.new.tags.iter().find(|tag| !tags.contains_key(*tag)) {
                return Err(format!("registry {place} has no {tag}"));
            }
        }
        Ok(())
    }

    /// v1.2.2 is published on both registries as if nothing had been. A tag that only v1.2.3 has may be left over where
    /// `told` names it, because these registries cannot remove tags.
    pub(super) fn is_old(&self, state: &State, namespace: &str, told: &str) -> Result<(), String> {
        for (place, tags) in state.iter().enumerate() {
            for (tag, digest) in tags {
                let as_before = self.old.tags.contains(tag) && *digest == self.old.list.digest();
                let left = format!("/{namespace}/{APP}:{tag}");
                let told = !self.old.tags.contains(tag) && told.contains(&left);
                if !as_before && !told {
                    return Err(format!("registry {place}: {tag} names {digest}"));
                }
            }
        }
        Ok(())
    }
}

async fn is_complete(remote: &Remote, images: &Images) -> Result<(), String> {
    let mut blobs = BTreeMap::new();
    for image in &images.children {
        let digest = image.manifest.digest();
        if remote.resolve(&digest.into()).await.unwrap() != Some(digest) {
            return Err(format!("{digest} is not there"));
        }
        let named = image.blobs().into_iter();
        blobs.extend(named.map(|blob| (Digest::of(blob), blob.len() as u64)));
    }
    for (digest, size) in blobs {
        if remote.blob_size(digest).await.unwrap() != Some(size) {
            return Err(format!("{digest} is not there"));
        }
    }
    Ok(())
}

async fn publish(remote: &Remote, images: &Images) {
    for image in &images.children {
        push(remote, image).await;
    }
    for tag in &images.tags {
        put(remote, tag.as_str(), &images.list).await;
    }
}
