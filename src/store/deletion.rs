//! Decides what goes from a layout with a manifest: its entry, its file, and the blobs that nothing else names.
//! Must never take what another manifest names, nor touch a layout in which somebody keeps things in his own way.

use super::files::Files;
use crate::model::{
    digest::Digest,
    fault::Fault,
    manifest::RawManifest,
    retention::{Deleted, Deletion, Refusal},
};
use crate::target::Version;
use std::{collections::BTreeSet, fs, io};

impl Files {
    /// Every manifest that lies there, with the tags that name it.
    pub(super) fn versions(&self) -> Result<Vec<Version>, Fault> {
        let index = self.index()?;
        let mut versions = Vec::new();
        for manifest in self.manifests()? {
            let path = self.blob(manifest.digest());
            let written = fs::metadata(&path).and_then(|meta| meta.modified());
            let written = written.map_err(|error| self.disk("reading", &path, &error))?;
            versions.push(Version {
                digest: manifest.digest(),
                tags: index.tags_of(manifest.digest()),
                // This machine's clock is the folder's own. What is of a time to come is young, and stays.
                age: Some(written.elapsed().unwrap_or_default()),
            });
        }
        Ok(versions)
    }

    fn manifests(&self) -> Result<Vec<RawManifest>, Fault> {
        let folder = self.blobs();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.disk("reading", &folder, &error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.disk("reading", &folder, &error))?;
            let name = entry.file_name().into_string().unwrap_or_default();
            let Ok(digest) = format!("sha256:{name}").parse::<Digest>() else {
                continue;
            };
            // Layers are not read: a manifest is JSON.
            if self.peek(digest, 1)?.is_some_and(|first| first == b"{") {
                found.extend(self.manifest(digest, "")?);
            }
        }
        Ok(found)
    }

    /// It is this writer's turn.
    pub(super) fn delete(&self, deletion: &Deletion) -> Result<Deleted, Fault> {
        let digest = deletion.digest();
        if self.size(digest)?.is_none() {
            return Ok(Deleted::Before);
        }
        let mut index = self.index()?;
        if index.has_strangers() {
            let why = "index.json has entries that are no tags";
            return Ok(Deleted::Refused(Refusal::InUse(why.to_owned())));
        }
        let tags = index.tags_of(digest);
        let others = tags.iter().filter(|tag| !deletion.tags().contains(tag));
        let others: Vec<_> = others.cloned().collect();
        if !others.is_empty() {
            return Ok(Deleted::Refused(Refusal::Tagged(others)));
        }
        let (going, rest): (Vec<_>, Vec<_>) = self
            .manifests()?
            .into_iter()
            .partition(|manifest| manifest.digest() == digest);
        // First nobody can find it, then it goes; what a crash leaves is only lost space.
        for tag in &tags {
            index.untag(tag);
        }
        if !tags.is_empty() {
            self.write_index(&index)?;
        }
        self.remove(digest)?;
        let named = rest.iter().flat_map(RawManifest::blobs);
        let named: BTreeSet<Digest> = named.map(|blob| blob.digest).collect();
        let kept = rest.iter().map(RawManifest::digest);
        let kept: BTreeSet<Digest> = kept.chain(named).collect();
        for blob in going.iter().flat_map(RawManifest::blobs) {
            if !kept.contains(&blob.digest) {
                self.remove(blob.digest)?;
            }
        }
        Ok(Deleted::Now)
    }

    fn remove(&self, digest: Digest) -> Result<(), Fault> {
        let path = self.blob(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.disk("removing", &path, &error))
            }
            _ => Ok(()),
        }
    }
}
