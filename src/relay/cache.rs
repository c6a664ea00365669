//! Decides what podman's requests about a layer cache do: a remote repository of its own, whose tags are cache keys.
//! Must never fail a build, write a tag anywhere but in a cache, or hand out a blob before its digest was checked.

use super::{
    answer::{Answer, Refusal},
    blobs::{Within, unknown_blob},
    fanout::NotSent,
    manifests, stream,
    upload::{Ended, Upload},
};
use crate::events::Event;
use crate::model::{
    digest::Digest,
    fault::{Class, Fault},
    manifest::RawManifest,
    reference::Reference,
};
use crate::target::{LocalBlob, Target};
use axum::http::HeaderMap;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// What podman does with a layer cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It asks for the images of steps.
    From,
    /// It leaves the images of steps.
    To,
}

/// A repository of the relay that stands for a layer cache; never one that is released to.
#[derive(Clone)]
pub struct Cache {
    target: Arc<dyn Target>,
    usage: Use,
    given_up: Arc<AtomicBool>,
}

impl Cache {
    /// The cache in this remote repository.
    pub fn new(target: Arc<dyn Target>, usage: Use) -> Self {
        Cache {
            target,
            usage,
            given_up: Arc::default(),
        }
    }

    /// What podman does with it.
    pub(super) fn usage(&self) -> Use {
        self.usage
    }

    /// Where blobs and manifests go: nowhere any more once it has failed. The relay then keeps them to itself, so that
    /// podman sees no failure.
    pub(super) fn targets(&self) -> Vec<Arc<dyn Target>> {
        match self.usage {
            Use::To if !self.has_failed() => vec![Arc::clone(&self.target)],
            _ => Vec::new(),
        }
    }

    fn has_failed(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// From here on it is as if the cache were empty and swallowed all; told once.
    fn give_up(&self, within: &Within, fault: &Fault) {
        // Whoever pushes to a release finds its fault there; a cache has none.
        drop(within.session.state().take_fault(&within.name));
        if fault.class == Class::Cancelled || self.given_up.swap(true, Ordering::Relaxed) {
            return;
        }
        let place = self.target.repository();
        let what = match self.usage {
            Use::From => "is not read from any more",
            Use::To => "is not written to any more",
        };
        let text = format!("the layer cache {place} {what}: {fault}");
        within.session.events.send(Event::Warning(text));
    }
}

impl Within {
    /// A fault of a cache is told and forgotten, and the question answered as an empty cache would.
    pub(super) fn forgiven<T>(&self, result: Result<Option<T>, Fault>) -> Result<Option<T>, Fault> {
        match (&self.cache, result) {
            (Some(cache), Err(fault)) => {
                cache.give_up(self, &fault);
                Ok(None)
            }
            (_, result) => result,
        }
    }

    /// GET and HEAD manifest of a cache that is read from.
    pub(super) async fn get_cached(&self, cache: &Cache, reference: &Reference) -> Answer {
        let found = if cache.has_failed() {
            None
        } else {
            let read = cache.target.read_manifest(reference).await;
            self.forgiven(read)
                .map_err(|fault| Refusal::of_fault(&fault))?
        };
        manifests::manifest(found, reference)
    }

    /// HEAD blob of a cache that is read from: only what podman has fetched in this run. podman asks so when it pushes,
    /// to take the blob over from here.
    pub(super) fn head_cached_blob(&self, digest: Digest) -> Answer {
        let blob = self.session.state().blob(digest);
        let blob = blob.ok_or_else(|| unknown_blob(digest))?;
        Ok(stream::head(digest, blob.size))
    }

    /// GET blob of a cache that is read from. It stays in the spool: what podman pushes afterwards is made of it, and
    /// need not be compressed again.
    pub(super) async fn get_cached_blob(
        &self,
        cache: &Cache,
        digest: Digest,
        headers: &HeaderMap,
    ) -> Answer {
        let fetched = if cache.has_failed() {
            None
        } else {
            self.forgiven(self.fetch(cache, digest).await)
                .map_err(|fault| Refusal::of_fault(&fault))?
        };
        let blob = fetched.ok_or_else(|| unknown_blob(digest))?;
        let sent = stream::from_spool(&blob, headers, &self.session.cancel).await;
        sent.map_err(|error| Refusal::of_fault(&self.session.disk_fault(&error)))?
    }

    async fn fetch(&self, cache: &Cache, digest: Digest) -> Result<Option<LocalBlob>, Fault> {
        let known = self.session.state().blob(digest);
        if known.is_some() {
            return Ok(known);
        }
        let Some((size, bytes)) = cache.target.read_blob(digest).await? else {
            return Ok(None);
        };
        let repository = cache.target.repository();
        let place = repository.at(&digest.into());
        let bad = |detail: String| {
            Fault::new(
                Class::Content,
                repository.to_string(),
                place.clone(),
                detail,
            )
        };
        let disk = |error| self.session.disk_fault(&error);
        if size > self.session.spool.free().map_err(disk)? {
            return Err(bad(format!("{size} bytes do not fit into the spool")));
        }
        let upload = Upload::new(self.name.clone(), &self.session.spool).map_err(disk)?;
        let upload = upload.append(bytes).await.map_err(|ended| match ended {
            Ended::Client(why) => bad(why),
            Ended::Disk(error) => disk(error),
        })?;
        let done = upload.finish();
        if done.digest != digest {
            return Err(bad(format!("its bytes have the digest {}", done.digest)));
        }
        let blob = self.session.keep(digest, done.size, done.file);
        let blob = blob.map_err(disk)?;
        self.session.state().add_holder(digest, repository);
        Ok(Some(blob))
    }

    /// PUT manifest to a cache that is written to: its blobs first, then it, and its tag. Whatever fails there, podman
    /// goes on.
    pub(super) async fn put_cached(
        &self,
        cache: &Cache,
        reference: &Reference,
        manifest: &RawManifest,
    ) {
        if cache.has_failed() {
            return;
        }
        let sent = self
            .session
            .send_manifest(&self.name, &self.targets, manifest)
            .await;
        let put = match sent {
            Ok(()) => cache.target.put_manifest(reference, manifest).await,
            Err(NotSent::Fault(fault)) => Err(fault),
            Err(NotSent::Missing(digest) | NotSent::Size(digest, _)) => {
                let repository = cache.target.repository();
                let detail = format!("{digest} is not there as the manifest says");
                Err(Fault::new(
                    Class::Content,
                    repository.to_string(),
                    repository.at(reference),
                    detail,
                ))
            }
        };
        if let Err(fault) = put {
            cache.give_up(self, &fault);
        }
    }
}
