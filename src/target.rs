//! Decides what every place that holds images must be able to do, be it a registry or a directory.
//! Must never know which kind of place it is; retries happen inside an implementation, not above it.

use crate::events::Sent;
use crate::model::{
    digest::Digest,
    fault::Fault,
    manifest::{Descriptor, RawManifest},
    reference::{Reference, Repository, RepositoryName, Tag},
    retention::{Deleted, Deletion, Refusal},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::watch;

/// A blob that lies complete and checked on this machine's disk.
#[derive(Debug, Clone)]
pub struct LocalBlob {
    /// Its digest, already verified.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The file; it stays until the last clone of its owner is gone.
    pub path: PathBuf,
}

/// A blob that is still being written to this machine's disk. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Growing {
    /// The file; it may have several readers, so that none may move its position.
    pub file: Arc<File>,
    /// How many bytes of it can be read by now; the sender goes when no more will come.
    pub written: watch::Receiver<u64>,
    /// Its digest, already verified, and its size in bytes, once it is whole. If the sender goes before: never mind it.
    pub whole: watch::Receiver<Option<(Digest, u64)>>,
}

/// One manifest as a place lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The manifest.
    pub digest: Digest,
    /// Every tag that names it.
    pub tags: Vec<Tag>,
    /// How long ago it was pushed, the last time that the place tells of, by the place's own clock; none where that clock
    /// is not known.
    pub age: Option<Duration>,
}

/// The tags of a repository.
#[derive(Debug, Clone)]
pub struct TagList {
    /// Sorted, each once; empty where the repository does not exist yet.
    pub tags: Vec<Tag>,
    /// Why there may be others, where the place does not let that be known.
    pub doubt: Option<Fault>,
}

impl TagList {
    /// All that there are.
    pub fn whole(tags: Vec<Tag>) -> Self {
        TagList { tags, doubt: None }
    }
}

/// Bytes as they come; an error ends the stream.
pub type ByteStream = BoxStream<'static, Result<Bytes, Fault>>;

/// One repository on one registry, or in one directory store.
///
/// Every method has finished its own retries when it returns an error.
#[async_trait]
pub trait Target: Send + Sync + 'static {
    /// Which repository this is.
    fn repository(&self) -> &Repository;

    /// Whether we may push there, as far as it can be known without pushing; leaves nothing behind.
    async fn may_push(&self) -> Result<(), Fault> {
        Ok(())
    }

    /// The size of a blob, if it is there (HEAD).
    async fn blob_size(&self, digest: Digest) -> Result<Option<u64>, Fault>;

    /// A blob's size and bytes, if it is there. Whoever reads must check the digest.
    async fn read_blob(&self, digest: Digest) -> Result<Option<(u64, ByteStream)>, Fault>;

    /// The first `count` bytes of a blob, if it is there; fewer where it is shorter.
    async fn peek_blob(&self, digest: Digest, count: usize) -> Result<Option<Bytes>, Fault>;

    /// Makes sure that the blob is there: finds it, takes it over from one of `mount_from`, or uploads it.
    async fn put_blob(
        &self,
        blob: &LocalBlob,
        mount_from: &[RepositoryName],
    ) -> Result<Sent, Fault>;

    /// Takes a blob over from another repository at the same place; false where that is not to be had.
    async fn mount_blob(&self, _digest: Digest, _from: &RepositoryName) -> Result<bool, Fault> {
        Ok(false)
    }

    /// Uploads a blob while it grows: one try, and nothing stays of it where that fails. False where the place has no use
    /// for that.
    async fn put_growing(&self, _growing: Growing) -> Result<bool, Fault> {
        Ok(false)
    }

    /// What a reference names now, if anything (HEAD; cheap).
    async fn resolve(&self, reference: &Reference) -> Result<Option<Digest>, Fault>;

    /// The manifest that a reference names, its digest checked; at most 4 MiB.
    async fn read_manifest(&self, reference: &Reference) -> Result<Option<RawManifest>, Fault>;

    /// Stores a manifest under its digest, or lets a tag name it; checks the digest that is answered.
    async fn put_manifest(
        &self,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), Fault>;

    /// All tags that it lists, sorted; empty where the repository does not exist yet.
    async fn tags(&self) -> Result<Vec<Tag>, Fault>;

    /// The same, with what is to be said against it: for whoever decides by a tag that is not there.
    async fn tag_list(&self) -> Result<TagList, Fault> {
        self.tags().await.map(TagList::whole)
    }

    /// Tags that the place's own API lists, beside its registry's list, which may lag behind.
    async fn more_tags(&self) -> Result<Vec<Tag>, Fault> {
        Ok(Vec::new())
    }

    /// Those of `tags` that the place's own settings do not let move once they are there, as far as it tells.
    async fn immutable(&self, _tags: &[Tag]) -> Result<Vec<Tag>, Fault> {
        Ok(Vec::new())
    }

    /// Takes a tag away, and nothing else. False where the place cannot do that without taking more; true too where there
    /// was none.
    async fn remove_tag(&self, tag: &Tag) -> Result<bool, Fault>;

    /// Every manifest that the place lists, with and without a tag; none where it does not list those without.
    async fn versions(&self) -> Result<Option<Vec<Version>>, Fault> {
        Ok(None)
    }

    /// What says of itself that it is about a manifest (OCI distribution-spec, "Listing Referrers"); none where the place
    /// has no such list, so that tags of the form `sha256-<hex>` stand in for it.
    async fn referrers(&self, _digest: Digest) -> Result<Option<Vec<Descriptor>>, Fault> {
        Ok(None)
    }

    /// Deletes one manifest, and with it the tags that the deletion names. A place that can tell looks again first, and
    /// refuses where another tag names it.
    async fn delete(&self, _deletion: &Deletion) -> Result<Deleted, Fault> {
        Ok(Deleted::Refused(Refusal::Never))
    }

    /// Takes a deletion back, where the place can do that by itself: true.
    async fn restore(&self, _digest: Digest) -> Result<bool, Fault> {
        Ok(false)
    }
}
