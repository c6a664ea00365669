//! Decides what one machine does in a simulation: rpub's own publishing, on a disk that survives its crashes.
//! Must never publish in any other way than `pipeline::release` does.

use super::world::{Simulated, World, children, list, store};
use async_trait::async_trait;
use rpub::{
    error::Result,
    events::Events,
    model::{
        digest::Digest,
        journal::Journal,
        manifest::RawManifest,
        plan::Child,
        reference::{Place, Repository, Tag},
        tags::{LatestRule, TagRules},
        version::GitRef,
    },
    pipeline::{
        prepare::{self, Ready, Terms},
        publish::{self, Ledger},
    },
    target::Target,
};
use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
};
use tokio_util::sync::CancellationToken;

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

fn children_of(git_ref: &GitRef) -> Vec<RawManifest> {
    children(&git_ref.to_string()).to_vec()
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
            manifests: children_of(&self.git_ref),
            tags: self.tags.clone(),
            targets: self.targets.clone(),
        };
        let terms = Terms {
            rules: &self.rules,
            git_ref: &self.git_ref,
            revision: None,
            force: false,
        };
        let mut journal = prepare::prepare(&[ready], &terms, &self.disk, &events).await?;
        publish::publish(&mut journal, &places, &self.disk, &stop, &events).await
    }
}
