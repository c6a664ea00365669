//! Decides what a directory store is: an OCI image layout per repository, `DIR/<name>/{oci-layout,index.json,blobs/}`.
//! Must never let a reader (skopeo, podman, another rpub) see a half-written file, or a manifest without its parts.

mod deletion;
mod files;
mod index;
mod lock;

use crate::events::Sent;
use crate::model::{
    digest::Digest,
    fault::{Class, Fault},
    manifest::RawManifest,
    reference::{Place, Reference, Repository, RepositoryName, Tag},
    retention::{Deleted, Deletion},
};
use crate::target::{ByteStream, LocalBlob, Target, Version};
use async_trait::async_trait;
use bytes::Bytes;
use files::Files;
use futures::{StreamExt, TryStreamExt};
pub use lock::holder;
use std::path::{Path, PathBuf};
use tokio_util::io::ReaderStream;

const CHUNK: usize = 256 * 1024;

/// A directory of layouts.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    shown: String,
}

impl Store {
    /// The store in `dir`, as the user wrote it. Touches nothing: folders are made by the first write.
    pub fn new(dir: &Path) -> Self {
        Store {
            root: dir.to_owned(),
            shown: dir.display().to_string(),
        }
    }

    /// The same store, told to people as `shown`: a relative path as they wrote it.
    #[must_use]
    pub fn shown_as(mut self, shown: &str) -> Self {
        shown.clone_into(&mut self.shown);
        self
    }

    /// Every repository that is there, sorted. Looks at the disk.
    pub fn names(&self) -> std::io::Result<Vec<RepositoryName>> {
        let mut names = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(self.root.join(&folder))? {
                let entry = entry?;
                let text = match entry.file_name().into_string() {
                    Ok(text) if folder.is_empty() => text,
                    Ok(text) => format!("{folder}/{text}"),
                    Err(_) => continue,
                };
                // What is no repository's name is none of ours; symbolic links could lead in circles.
                let Ok(name) = text.parse::<RepositoryName>() else {
                    continue;
                };
                if entry.file_type()?.is_dir() {
                    if self.existing(&name).is_some() {
                        names.push(name);
                    }
                    // A layout's own folder is called "blobs"; a repository may be called so too.
                    if !(text.ends_with("/blobs") && entry.path().join("sha256").is_dir()) {
                        folders.push(text);
                    }
                }
            }
        }
        names.sort();
        Ok(names)
    }

    /// A repository of it, be it there or not.
    pub fn repository(&self, name: &RepositoryName) -> Layout {
        Layout {
            repository: Repository {
                place: Place::Directory(self.shown.clone()),
                name: name.clone(),
            },
            store: self.root.clone(),
            files: Files::new(&self.root, name),
        }
    }

    /// A repository of it, if it is there. Looks at the disk once.
    pub fn existing(&self, name: &RepositoryName) -> Option<Layout> {
        let layout = self.repository(name);
        layout.files.exist().then_some(layout)
    }
}

/// One repository of a [`Store`]: an OCI image layout.
#[derive(Debug, Clone)]
pub struct Layout {
    repository: Repository,
    store: PathBuf,
    files: Files,
}

impl Layout {
    /// Runs `work` where blocking on the disk hurts nobody.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let files = self.files.clone();
        let done = tokio::task::spawn_blocking(move || work(&files)).await;
        // The task is never aborted: what fails here is a panic in it, or a runtime that ends.
        done.unwrap_or_else(|error| {
            Err(self.files.refused(Class::Cancelled, "", &error.to_string()))
        })
    }
}

#[async_trait]
impl Target for Layout {
    fn repository(&self) -> &Repository {
        &self.repository
    }

    async fn blob_size(&self, digest: Digest) -> Result<Option<u64>, Fault> {
        self.blocking(move |files| files.size(digest)).await
    }

    async fn read_blob(&self, digest: Digest) -> Result<Option<(u64, ByteStream)>, Fault> {
        let Some(size) = self.blob_size(digest).await? else {
            return Ok(None);
        };
        let path = self.files.blob(digest);
        let files = self.files.clone();
        let broken = move |error| files.disk("reading", &files.blob(digest), &error);
        let file = tokio::fs::File::open(&path).await.map_err(&broken)?;
        let bytes = ReaderStream::with_capacity(file, CHUNK).map_err(broken);
        Ok(Some((size, bytes.boxed())))
    }

    async fn peek_blob(&self, digest: Digest, count: usize) -> Result<Option<Bytes>, Fault> {
        let start = self.blocking(move |files| files.peek(digest, count));
        Ok(start.await?.map(Bytes::from))
    }

    async fn put_blob(
        &self,
        blob: &LocalBlob,
        mount_from: &[RepositoryName],
    ) -> Result<Sent, Fault> {
        let blob = blob.clone();
        let neighbours = mount_from.iter().map(|name| Files::new(&self.store, name));
        let neighbours: Vec<Files> = neighbours.collect();
        self.blocking(move |files| {
            files.prepare()?;
            if files.size(blob.digest)? == Some(blob.size) {
                return Ok(Sent::Present);
            }
            // A neighbour's blob is on the same disk for sure; the spool perhaps not.
            for neighbour in neighbours {
                let there = neighbour.size(blob.digest).unwrap_or_default();
                let source = neighbour.blob(blob.digest);
                if there == Some(blob.size)
                    && files.take_over(&source, blob.digest, blob.size).is_ok()
                {
                    return Ok(Sent::Mounted);
                }
            }
            files.take_over(&blob.path, blob.digest, blob.size)?;
            Ok(Sent::Uploaded)
        })
        .await
    }

    async fn resolve(&self, reference: &Reference) -> Result<Option<Digest>, Fault> {
        let found = self.read_manifest(reference).await?;
        Ok(found.map(|manifest| manifest.digest()))
    }

    async fn read_manifest(&self, reference: &Reference) -> Result<Option<RawManifest>, Fault> {
        let reference = reference.clone();
        self.blocking(move |files| match reference {
            Reference::Digest(digest) => files.manifest(digest, ""),
            Reference::Tag(tag) => {
                let Some(entry) = files.find(&tag)? else {
                    return Ok(None);
                };
                let found = files.manifest(entry.digest, &entry.media_type)?;
                let path = files.blob(entry.digest);
                let why = format!("{tag} names it, and it is no manifest");
                found.map(Some).ok_or_else(|| files.content(&path, &why))
            }
        })
        .await
    }

    async fn put_manifest(
        &self,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), Fault> {
        let (asked, stored) = (reference.clone(), manifest.clone());
        self.blocking(move |files| {
            let (digest, manifest) = (stored.digest(), stored);
            if let Reference::Digest(asked) = asked
                && asked != digest
            {
                let why = format!("the manifest has the digest {digest}, not {asked}");
                return Err(files.refused(Class::Refused, "DIGEST_INVALID", &why));
            }
            for part in manifest.blobs().into_iter().chain(manifest.children()) {
                if files.size(part.digest)? != Some(part.size) {
                    let why = format!("{} is not there", part.digest);
                    return Err(files.refused(Class::NotFound, "MANIFEST_BLOB_UNKNOWN", &why));
                }
            }
            files.prepare()?;
            if files
                .manifest(digest, manifest.media_type())
                .ok()
                .flatten()
                .is_none()
            {
                files.write(&files.blob(digest), manifest.bytes())?;
            }
            Ok(())
        })
        .await?;
        match reference.clone() {
            Reference::Tag(tag) => {
                let manifest = manifest.clone();
                self.in_turn(move |files| files.tag(&tag, &manifest)).await
            }
            Reference::Digest(_) => Ok(()),
        }
    }

    async fn tags(&self) -> Result<Vec<Tag>, Fault> {
        self.blocking(|files| Ok(files.index()?.tags())).await
    }

    async fn remove_tag(&self, tag: &Tag) -> Result<bool, Fault> {
        let tag = tag.clone();
        if self.blocking(|files| Ok(files.exist())).await? {
            self.in_turn(move |files| files.untag(&tag)).await?;
        }
        Ok(true)
    }

    async fn versions(&self) -> Result<Option<Vec<Version>>, Fault> {
        self.blocking(|files| files.versions().map(Some)).await
    }

    async fn delete(&self, deletion: &Deletion) -> Result<Deleted, Fault> {
        let deletion = deletion.clone();
        let digest = deletion.digest();
        if self.blob_size(digest).await?.is_none() {
            return Ok(Deleted::Before);
        }
        self.in_turn(move |files| files.delete(&deletion)).await
    }
}
