//! Decides what the simulated registries do, when they fail, and what must hold after every step.
//! Must never refuse what a real registry would take: it is the invariants that notice.

use async_trait::async_trait;
use bytes::Bytes;
use rpub::{
    error::Result,
    events::{Events, Sent},
    model::{
        digest::Digest,
        fault::{Class, Fault},
        journal::Journal,
        manifest::{RawManifest, media_type},
        plan::Child,
        reference::{Place, Reference, Repository, RepositoryName, Tag},
        tags::{LatestRule, TagRules},
        version::GitRef,
    },
    pipeline::publish::{self, Ledger, Ready, Terms},
    target::{ByteStream, LocalBlob, Target},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
};
use tokio_util::sync::CancellationToken;

/// A sequence of choices that follows from its seed (xorshift64*).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

#[derive(Default)]
struct Registry {
    manifests: BTreeMap<Digest, RawManifest>,
    images: BTreeSet<Digest>,
    tags: BTreeMap<Tag, Digest>,
    had_latest: bool,
}

struct State {
    registries: Vec<Registry>,
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
pub(super) struct World(Arc<Mutex<State>>);

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

fn store(registry: &mut Registry, list: &RawManifest) {
    registry.manifests.insert(list.digest(), list.clone());
    registry
        .images
        .extend(list.children().iter().map(|c| c.digest));
}

/// An index with two children, different for each name.
fn list(name: &str) -> RawManifest {
    let entry = |arch: &str| {
        format!(
            r#"{{"mediaType":"{}","digest":"{}","size":9,"platform":{{"os":"linux","architecture":"{arch}"}}}}"#,
            media_type::DOCKER_MANIFEST,
            Digest::of(format!("{name} {arch}").as_bytes())
        )
    };
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{},{}]}}"#,
        media_type::OCI_INDEX,
        entry("amd64"),
        entry("arm64")
    );
    RawManifest::parse(text.into_bytes(), "").unwrap()
}

/// One repository of one simulated registry.
struct Simulated {
    world: World,
    place: usize,
    repository: Repository,
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

/// A journal that survives crashes of its machine, as a disk does.
#[derive(Default)]
struct Disk(Mutex<Option<String>>);

#[async_trait]
impl Ledger for Disk {
    async fn write(&self, journal: &Journal) -> Result<()> {
        tokio::task::yield_now().await;
        *self.0.lock().unwrap() = Some(serde_json::to_string(journal).unwrap());
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn read(&self) -> Result<Option<Journal>> {
        let text = self.0.lock().unwrap().clone();
        Ok(text.map(|text| Journal::parse(&text).unwrap()))
    }

    async fn close(&self) -> Result<()> {
        tokio::task::yield_now().await;
        *self.0.lock().unwrap() = None;
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// One machine that wants to publish one release.
pub(super) struct Run {
    git_ref: GitRef,
    rules: TagRules,
    tags: Vec<Tag>,
    list: RawManifest,
    targets: Vec<Arc<dyn Target>>,
    disk: Disk,
}

impl Run {
    /// A machine that has pushed everything by digest, to both registries.
    pub(super) fn new(world: &World, git_ref: &str) -> Self {
        let git_ref = GitRef::parse(git_ref).unwrap();
        let rules = TagRules {
            release: ["{{version}}", "{{major}}.{{minor}}", "{{major}}"]
                .map(|t| t.parse().unwrap())
                .to_vec(),
            latest: vec![LatestRule::Release],
            manual: vec![],
        };
        let list = list(&git_ref.to_string());
        for registry in &mut world.0.lock().unwrap().registries {
            store(registry, &list);
        }
        let target = |place: usize| -> Arc<dyn Target> {
            Arc::new(Simulated {
                world: world.clone(),
                place,
                repository: Repository {
                    place: Place::Registry(format!("registry-{place}").parse().unwrap()),
                    name: "app".parse().unwrap(),
                },
            })
        };
        Run {
            tags: rules.tags(&git_ref, None).unwrap(),
            git_ref,
            rules,
            list,
            targets: vec![target(0), target(1)],
            disk: Disk::default(),
        }
    }

    pub(super) fn release(&self) -> (Vec<Tag>, Digest) {
        (self.tags.clone(), self.list.digest())
    }

    pub(super) fn ledger_is_empty(&self) -> bool {
        self.disk.0.lock().unwrap().is_none()
    }

    /// Runs rpub's publishing once; None where it was killed, at the `crash`th time it was waiting for something.
    pub(super) async fn attempt(&mut self, crash: Option<u64>) -> Option<Result<()>> {
        let mut left = crash;
        let mut work = pin!(self.publish());
        std::future::poll_fn(|context| {
            match work.as_mut().poll(context) {
                Poll::Ready(outcome) => return Poll::Ready(Some(outcome)),
                Poll::Pending => {}
            }
            match &mut left {
                Some(0) => Poll::Ready(None),
                Some(left) => {
                    *left -= 1;
                    Poll::Pending
                }
                None => Poll::Pending,
            }
        })
        .await
    }

    /// As `pipeline::release` does it: an earlier journal first, then look, write down, move.
    async fn publish(&self) -> Result<()> {
        let stop = CancellationToken::new();
        let events = Events::default();
        let places = [self.targets.clone()];
        if let Some(mut journal) = self.disk.read().await? {
            let same = true;
            if publish::recover(&mut journal, same, &places, &self.disk, &stop, &events).await? {
                return Ok(());
            }
        }
        let children = self
            .list
            .children()
            .iter()
            .zip(["linux/amd64", "linux/arm64"]);
        let ready = Ready {
            name: "app".to_owned(),
            list: self.list.clone(),
            children: children
                .map(|(child, platform)| Child {
                    platform: platform.parse().unwrap(),
                    digest: child.digest,
                    size: child.size,
                })
                .collect(),
            tags: self.tags.clone(),
            targets: self.targets.clone(),
        };
        let terms = Terms {
            rules: &self.rules,
            git_ref: &self.git_ref,
            revision: None,
            force: false,
        };
        let mut journal = publish::prepare(&[ready], &terms, &self.disk, &events).await?;
        publish::publish(&mut journal, &places, &self.disk, &stop, &events).await
    }
}
