//! Decides what the simulated registries do, when they fail, and what must hold after every step.
//! Must never refuse what a real registry would take: it is the invariants that notice.

use super::chance::Chance;
use async_trait::async_trait;
use bytes::Bytes;
use rpub::{
    events::Sent,
    model::{
        digest::Digest,
        fault::{Class, Fault},
        manifest::{RawManifest, media_type},
        reference::{Reference, Repository, RepositoryName, Tag},
    },
    target::{ByteStream, LocalBlob, Target},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

#[derive(Default)]
pub(super) struct Registry {
    manifests: BTreeMap<Digest, RawManifest>,
    images: BTreeSet<Digest>,
    tags: BTreeMap<Tag, Digest>,
    had_latest: bool,
}

pub(super) struct State {
    pub(super) registries: Vec<Registry>,
    chance: Chance,
    /// One in so many requests fails; never where it is 0.
    fault_rate: u64,
    broken: Option<String>,
}

impl State {
    /// What must hold after every step.
    fn check(&mut self) {
        for (place, registry) in self.registries.iter_mut().enumerate() {
            let latest = registry.tags.contains_key(&Tag::latest());
            if registry.had_latest && !latest {
                self.broken = Some(format!("latest vanished on registry {place}"));
            }
            registry.had_latest |= latest;
            for (tag, digest) in &registry.tags {
                let complete = registry.manifests.get(digest).is_some_and(|list| {
                    list.children()
                        .iter()
                        .all(|c| registry.images.contains(&c.digest))
                });
                if !complete {
                    self.broken = Some(format!(
                        "{tag} names an incomplete list on registry {place}"
                    ));
                }
            }
        }
    }
}

/// Two registries, with two releases that were published before.
#[derive(Clone)]
pub(super) struct World(pub(super) Arc<Mutex<State>>);

type Tags = Vec<BTreeMap<Tag, Digest>>;

impl World {
    pub(super) fn new(chance: &mut Chance) -> Self {
        let mut registries = vec![Registry::default(), Registry::default()];
        for registry in &mut registries {
            let old = list("v1.0.0");
            let other = list("main");
            for manifest in [&old, &other] {
                store(registry, manifest);
            }
            for tag in ["1.0.0", "1.0", "1"] {
                registry.tags.insert(tag.parse().unwrap(), old.digest());
            }
            registry.tags.insert(Tag::latest(), other.digest());
        }
        let state = State {
            registries,
            fault_rate: [0, 3, 6, 12][usize::try_from(chance.below(4)).unwrap()],
            chance: Chance::new(chance.next()),
            broken: None,
        };
        World(Arc::new(Mutex::new(state)))
    }

    pub(super) fn tags(&self) -> Tags {
        let state = self.0.lock().unwrap();
        state.registries.iter().map(|r| r.tags.clone()).collect()
    }

    pub(super) fn heal(&self) {
        self.0.lock().unwrap().fault_rate = 0;
    }

    pub(super) fn broken(&self) -> Result<(), String> {
        self.0.lock().unwrap().broken.clone().map_or(Ok(()), Err)
    }

    /// Both registries have all tags of the release, each naming the same.
    pub(super) fn agrees_on(
        &self,
        (tags, digest): &(Vec<Tag>, Digest),
        when: &str,
    ) -> Result<(), String> {
        for (place, found) in self.tags().iter().enumerate() {
            for tag in tags {
                if found.get(tag) != Some(digest) {
                    return Err(format!(
                        "{when}: {tag} on registry {place} is {:?}",
                        found.get(tag)
                    ));
                }
            }
        }
        Ok(())
    }
}

pub(super) fn store(registry: &mut Registry, list: &RawManifest) {
    registry.manifests.insert(list.digest(), list.clone());
    registry
        .images
        .extend(list.children().iter().map(|c| c.digest));
}

/// The children of [`list`].
pub(super) fn children(name: &str) -> [RawManifest; 2] {
    ["amd64", "arm64"].map(|arch| {
        let config = Digest::of(format!("{name} {arch}").as_bytes());
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"c","digest":"{config}","size":9}},"layers":[]}}"#,
            media_type::DOCKER_MANIFEST,
        );
        RawManifest::parse(text.into_bytes(), "").unwrap()
    })
}

/// An index with two children, different for each name.
pub(super) fn list(name: &str) -> RawManifest {
    let [amd64, arm64] = children(name);
    let entry = |child: &RawManifest, arch: &str| {
        format!(
            r#"{{"mediaType":"{}","digest":"{}","size":{},"platform":{{"os":"linux","architecture":"{arch}"}}}}"#,
            media_type::DOCKER_MANIFEST,
            child.digest(),
            child.bytes().len()
        )
    };
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{},{}]}}"#,
        media_type::OCI_INDEX,
        entry(&amd64, "amd64"),
        entry(&arm64, "arm64")
    );
    RawManifest::parse(text.into_bytes(), "").unwrap()
}

/// One repository of one simulated registry.
pub(super) struct Simulated {
    pub(super) world: World,
    pub(super) place: usize,
    pub(super) repository: Repository,
}

impl Simulated {
    /// One request: others may run before it; it may fail before it has done anything, or after (the answer is lost).
    async fn request<T>(&self, work: impl FnOnce(&mut Registry) -> T) -> Result<T, Fault> {
        tokio::task::yield_now().await;
        let (answer, lost) = {
            let mut state = self.world.0.lock().unwrap();
            let rate = state.fault_rate;
            let fails = rate > 0 && state.chance.one_in(rate);
            let lost = state.chance.one_in(2);
            if fails && !lost {
                return Err(fault());
            }
            let answer = work(&mut state.registries[self.place]);
            state.check();
            (answer, fails)
        };
        tokio::task::yield_now().await;
        if lost { Err(fault()) } else { Ok(answer) }
    }
}

fn fault() -> Fault {
    Fault::new(Class::Server, "simulated", "request", "scheduled")
}

fn of<'a>(registry: &'a Registry, reference: &Reference) -> Option<&'a RawManifest> {
    match reference {
        Reference::Digest(digest) => registry.manifests.get(digest),
        Reference::Tag(tag) => registry.manifests.get(registry.tags.get(tag)?),
    }
}

#[async_trait]
impl Target for Simulated {
    fn repository(&self) -> &Repository {
        &self.repository
    }

    async fn blob_size(&self, _: Digest) -> Result<Option<u64>, Fault> {
        unreachable!("publishing moves no blobs")
    }

    async fn read_blob(&self, _: Digest) -> Result<Option<(u64, ByteStream)>, Fault> {
        unreachable!("publishing moves no blobs")
    }

    async fn peek_blob(&self, _: Digest, _: usize) -> Result<Option<Bytes>, Fault> {
        unreachable!("publishing moves no blobs")
    }

    async fn put_blob(&self, _: &LocalBlob, _: &[RepositoryName]) -> Result<Sent, Fault> {
        unreachable!("publishing moves no blobs")
    }

    async fn resolve(&self, reference: &Reference) -> Result<Option<Digest>, Fault> {
        let child = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => None,
        };
        self.request(|registry| {
            let image = child.filter(|digest| registry.images.contains(digest));
            image.or_else(|| Some(of(registry, reference)?.digest()))
        })
        .await
    }

    async fn read_manifest(&self, reference: &Reference) -> Result<Option<RawManifest>, Fault> {
        self.request(|registry| of(registry, reference).cloned())
            .await
    }

    async fn put_manifest(
        &self,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), Fault> {
        self.request(|registry| {
            registry
                .manifests
                .insert(manifest.digest(), manifest.clone());
            if manifest.children().is_empty() {
                registry.images.insert(manifest.digest());
            }
            if let Reference::Tag(tag) = reference {
                registry.tags.insert(tag.clone(), manifest.digest());
            }
        })
        .await
    }

    async fn tags(&self) -> Result<Vec<Tag>, Fault> {
        self.request(|registry| registry.tags.keys().cloned().collect())
            .await
    }

    async fn remove_tag(&self, tag: &Tag) -> Result<bool, Fault> {
        self.request(|registry| registry.tags.remove(tag)).await?;
        Ok(true)
    }
}
