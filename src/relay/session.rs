//! Decides what the relay remembers of a run: blobs in the spool, uploads, manifests, tags, confirmations, faults.
//! Must never talk to a target: it is memory only, and its lock is never held across an await.

use super::{Received, Routes, path::UploadId, spool::Spool, upload::Upload};
use crate::events::{Event, Events};
use crate::model::{
    digest::Digest,
    fault::{Class, Fault},
    manifest::RawManifest,
    reference::{Place, Reference, Repository, RepositoryName, Tag},
};
use crate::target::LocalBlob;
use futures::future::{BoxFuture, Shared};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Blobs that go to one target at the same time.
const PARALLEL: usize = 4;
/// And before they are whole, beside those: podman sends six layers at once.
const AHEAD: usize = 6;

/// Whether a blob arrived on all targets of a repository; may be awaited by many.
pub(super) type Outcome = Shared<BoxFuture<'static, Result<(), Fault>>>;

/// One run's memory, shared by all requests and background tasks.
pub(super) struct Session {
    pub(super) routes: Arc<dyn Routes>,
    pub(super) events: Events,
    pub(super) cancel: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) spool: Spool,
    state: Mutex<State>,
}

/// A blob that was not received, but that every target of a repository says it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Confirmed {
    /// Its size in bytes.
    pub(super) size: u64,
    /// Whether podman may be told of it: it is a compressed layer, or the config that is expected.
    pub(super) reusable: bool,
}

/// What is remembered; reached through [`Session::state`].
#[derive(Default)]
pub(super) struct State {
    blobs: HashMap<Digest, LocalBlob>,
    uploads: HashMap<UploadId, Upload>,
    repositories: HashMap<RepositoryName, Memory>,
    /// Who is known to hold a blob, so that others may mount it from there.
    holders: HashMap<Digest, BTreeSet<Repository>>,
    permits: HashMap<Repository, Arc<Semaphore>>,
    ahead: HashMap<Repository, Arc<Semaphore>>,
    turns: HashMap<(Place, Digest), Arc<tokio::sync::Mutex<()>>>,
    received: Received,
}

/// What is remembered of one repository.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) expected_configs: HashSet<Digest>,
    /// The configs of steps, which stay here.
    pub(super) steps: HashSet<Digest>,
    pub(super) confirmed: HashMap<Digest, Confirmed>,
    pub(super) sendings: HashMap<Digest, Outcome>,
    /// Only what every target has confirmed.
    manifests: HashMap<Digest, RawManifest>,
    tags: BTreeMap<Tag, Digest>,
    fault: Option<Fault>,
}

impl Session {
    pub(super) fn new(
        routes: Arc<dyn Routes>,
        events: Events,
        cancel: CancellationToken,
        spool: Spool,
    ) -> Self {
        Session {
            routes,
            events,
            cancel,
            tasks: TaskTracker::new(),
            spool,
            state: Mutex::default(),
        }
    }

    /// The memory, locked: for a moment only.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one insertion or removal, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A finished and checked upload becomes a blob of the spool.
    pub(super) fn adopt(
        &self,
        digest: Digest,
        size: u64,
        file: NamedTempFile,
    ) -> io::Result<LocalBlob> {
        let blob = self.keep(digest, size, file)?;
        let mut state = self.state();
        state.received.blobs += 1;
        state.received.bytes += size;
        drop(state);
        self.events.send(Event::Received { digest, size });
        Ok(blob)
    }

    /// A checked file becomes a blob of the spool; one file for each digest.
    pub(super) fn keep(
        &self,
        digest: Digest,
        size: u64,
        file: NamedTempFile,
    ) -> io::Result<LocalBlob> {
        let mut state = self.state();
        if let Some(blob) = state.blobs.get(&digest) {
            return Ok(blob.clone());
        }
        let path = self.spool.path().join(digest.hex());
        file.persist(&path).map_err(|e| e.error)?;
        let blob = LocalBlob { digest, size, path };
        state.blobs.insert(digest, blob.clone());
        Ok(blob)
    }

    /// Remembers the first fault of a repository.
    pub(super) fn record(&self, name: &RepositoryName, fault: &Fault) {
        tracing::debug!(%name, %fault, "a push fails");
        self.state()
            .memory(name)
            .fault
            .get_or_insert_with(|| fault.clone());
    }

    /// The fault of this machine's disk.
    pub(super) fn disk_fault(&self, error: &io::Error) -> Fault {
        let path = self.spool.path().display().to_string();
        Fault::new(
            Class::Storage,
            path.clone(),
            format!("writing to the spool {path}"),
            error.to_string(),
        )
    }
}

impl State {
    /// What is remembered of `name`.
    pub(super) fn memory(&mut self, name: &RepositoryName) -> &mut Memory {
        self.repositories.entry(name.clone()).or_default()
    }

    /// Whether a config is a step's.
    pub(super) fn is_of_step(&self, name: &RepositoryName, config: Digest) -> bool {
        let memory = self.repositories.get(name);
        memory.is_some_and(|memory| memory.steps.contains(&config))
    }

    /// A blob of the spool.
    pub(super) fn blob(&self, digest: Digest) -> Option<LocalBlob> {
        self.blobs.get(&digest).cloned()
    }

    /// The fault that stands against `name`.
    pub(super) fn fault(&self, name: &RepositoryName) -> Option<Fault> {
        self.repositories.get(name)?.fault.clone()
    }

    /// Takes it.
    pub(super) fn take_fault(&mut self, name: &RepositoryName) -> Option<Fault> {
        self.repositories.get_mut(name)?.fault.take()
    }

    /// What came as uploads.
    pub(super) fn received(&self) -> Received {
        self.received
    }

    /// Takes an upload out, so that one request at a time works on it, and that it is gone if that request breaks off.
    pub(super) fn take_upload(&mut self, name: &RepositoryName, id: UploadId) -> Option<Upload> {
        if self.uploads.get(&id)?.repository == *name {
            self.uploads.remove(&id)
        } else {
            None
        }
    }

    /// Puts an upload (back) in.
    pub(super) fn put_upload(&mut self, id: UploadId, upload: Upload) {
        self.uploads.insert(id, upload);
    }

    /// How far an upload is.
    pub(super) fn upload_range(&self, name: &RepositoryName, id: UploadId) -> Option<String> {
        let upload = self.uploads.get(&id)?;
        (upload.repository == *name).then(|| upload.range())
    }

    /// Remembers a manifest that every target has confirmed, and the tag that podman gave it towards us.
    pub(super) fn keep_manifest(
        &mut self,
        name: &RepositoryName,
        reference: &Reference,
        manifest: RawManifest,
    ) {
        let memory = self.memory(name);
        if let Reference::Tag(tag) = reference {
            memory.tags.insert(tag.clone(), manifest.digest());
        }
        memory.manifests.insert(manifest.digest(), manifest);
    }

    /// A manifest that was pushed in this session.
    pub(super) fn manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Option<RawManifest> {
        let memory = self.repositories.get(name)?;
        let digest = match reference {
            Reference::Digest(digest) => digest,
            Reference::Tag(tag) => memory.tags.get(tag)?,
        };
        memory.manifests.get(digest).cloned()
    }

    /// The tags that podman gave in this session, sorted.
    pub(super) fn tags(&self, name: &RepositoryName) -> Vec<Tag> {
        let memory = self.repositories.get(name);
        memory.map_or_else(Vec::new, |memory| memory.tags.keys().cloned().collect())
    }

    /// Remembers that a repository holds a blob.
    pub(super) fn add_holder(&mut self, digest: Digest, repository: &Repository) {
        let holders = self.holders.entry(digest).or_default();
        holders.insert(repository.clone());
    }

    /// Other repositories at the same place that hold the blob.
    pub(super) fn mount_from(&self, digest: Digest, to: &Repository) -> Vec<RepositoryName> {
        let holders = self.holders.get(&digest).into_iter().flatten();
        holders
            .filter(|holder| holder.place == to.place && holder.name != to.name)
            .map(|holder| holder.name.clone())
            .collect()
    }

    /// How many blobs may go to this target at once.
    pub(super) fn permits(&mut self, repository: &Repository) -> Arc<Semaphore> {
        let entry = self.permits.entry(repository.clone());
        Arc::clone(entry.or_insert_with(|| Arc::new(Semaphore::new(PARALLEL))))
    }

    /// How many blobs may go to this target at once before they are whole.
    pub(super) fn permits_ahead(&mut self, repository: &Repository) -> Arc<Semaphore> {
        let entry = self.ahead.entry(repository.clone());
        Arc::clone(entry.or_insert_with(|| Arc::new(Semaphore::new(AHEAD))))
    }

    /// One blob goes to one place once at a time: the second repository that needs it waits, and then mounts it.
    pub(super) fn turn(&mut self, place: &Place, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let entry = self.turns.entry((place.clone(), digest));
        Arc::clone(entry.or_default())
    }
}
