//! Decides how a layout's files come to lie on the disk: whole or not at all, under their final names.
//! Must never write into a file that has its final name. All of it blocks on the disk.

use super::index::{Index, LIMIT};
use crate::model::{
    digest::Digest,
    fault::{Class, Fault},
    manifest::{MANIFEST_LIMIT, RawManifest, media_type},
    reference::{RepositoryName, Tag},
};
use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How the name of a file begins that is being written.
const WRITING: &str = ".writing-";
/// Who writes changes a file all the time: one that nobody has changed for so long is a killed writer's.
const STALE: Duration = Duration::from_hours(24);
const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// What becomes of a file that has the name already.
#[derive(Debug, Clone, Copy)]
enum Placing {
    /// It is replaced.
    Over,
    /// It stays.
    New,
}

/// One layout's folder.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// `DIR/<name…>`
    root: PathBuf,
    name: RepositoryName,
    /// The store as the user wrote it, for faults.
    store: String,
}

impl Files {
    pub(super) fn new(store: &Path, name: &RepositoryName) -> Self {
        Files {
            root: store.join(name.as_str()),
            name: name.clone(),
            store: store.display().to_string(),
        }
    }

    /// The layout's folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The store, as people wrote it.
    pub(super) fn shown(&self) -> &str {
        &self.store
    }

    /// Whether it is a layout already.
    pub(super) fn exist(&self) -> bool {
        self.root.join("oci-layout").is_file()
    }

    /// Where blobs lie.
    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// A blob's path, be it there or not.
    pub(super) fn blob(&self, digest: Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// A fault of the disk.
    pub(super) fn disk(&self, doing: &str, path: &Path, error: &io::Error) -> Fault {
        let request = format!("{doing} {}", path.display());
        Fault::new(Class::Storage, &self.store, request, error.to_string()).caused_by(Some(error))
    }

    /// A fault of what lies there.
    pub(super) fn content(&self, path: &Path, why: &str) -> Fault {
        let request = format!("reading {}", path.display());
        Fault::new(Class::Content, &self.store, request, why)
    }

    /// What was asked for is not possible.
    pub(super) fn refused(&self, class: Class, code: &str, why: &str) -> Fault {
        let request = format!("writing {}", self.root.display());
        let mut fault = Fault::new(class, &self.store, request, why);
        fault.code = Some(code.to_owned());
        fault
    }

    /// A blob's size, if it is there.
    pub(super) fn size(&self, digest: Digest) -> Result<Option<u64>, Fault> {
        let path = self.blob(digest);
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => Ok(Some(meta.len())),
            Ok(_) => Err(self.content(&path, "it is not a file")),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.disk("reading", &path, &error)),
        }
    }

    /// Makes the folders and `oci-layout` where they are missing.
    pub(super) fn prepare(&self) -> Result<(), Fault> {
        let blobs = self.blobs();
        // `a/blobs` beside `a` would make folders where readers of `a` expect files.
        let mut inner = self.name.as_str().split('/').skip(1);
        if inner.any(|part| matches!(part, "blobs" | "index.json" | "oci-layout")) {
            let why = "no part of the name after the first may be blobs, index.json or oci-layout";
            return Err(self.refused(Class::Refused, "NAME_INVALID", why));
        }
        fs::create_dir_all(&blobs).map_err(|e| self.disk("making", &blobs, &e))?;
        self.sweep();
        let layout = self.root.join("oci-layout");
        if !layout.is_file() {
            self.write(&layout, LAYOUT.as_bytes())?;
        }
        let index = self.root.join("index.json");
        if index.exists() {
            return Ok(());
        }
        let empty = Index::empty().bytes();
        let made = self.place(&index, |file| file.write_all(&empty), Placing::New);
        made.map_err(|error| self.disk("writing", &index, &error))
    }

    /// Removes what killed writers left. Best effort: what cannot be removed waits for the next time.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else {
            return;
        };
        for entry in entries.flatten() {
            let stale = entry.metadata().is_ok_and(|meta| {
                let age = meta.modified().ok().and_then(|then| then.elapsed().ok());
                meta.is_file() && age.is_some_and(|age| age > STALE)
            });
            if stale && entry.file_name().to_string_lossy().starts_with(WRITING) {
                tracing::debug!(path = %entry.path().display(), "removing what a killed run left");
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Writes a file whole: beside its place, synced, then renamed.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Fault> {
        self.place(path, |file| file.write_all(bytes), Placing::Over)
            .map_err(|error| self.disk("writing", path, &error))
    }

    /// Takes a file over as a blob: as a hard link where the disk is the same, else as a copy. The source is synced.
    pub(super) fn take_over(&self, source: &Path, digest: Digest, size: u64) -> Result<(), Fault> {
        let path = self.blob(digest);
        let disk = |error: io::Error| self.disk("writing", &path, &error);
        let mut from = File::open(source).map_err(disk)?;
        let length = from.metadata().map_err(disk)?.len();
        if length != size {
            return Err(self.content(source, &format!("it has {length} bytes, not {size}")));
        }
        from.sync_all().map_err(disk)?;
        if self.size(digest)?.is_some() {
            // It has another size, or we would not be here: what lies there is no blob.
            fs::remove_file(&path).map_err(disk)?;
        }
        match fs::hard_link(source, &path) {
            Ok(()) => sync_folder(&path).map_err(disk),
            // Another rpub was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // Another disk, or one that knows no links, or one that protects this file from them.
            Err(_) => self
                .place(
                    &path,
                    |file| io::copy(&mut from, file).map(|_| ()),
                    Placing::Over,
                )
                .map_err(disk),
        }
    }

    fn place(
        &self,
        path: &Path,
        content: impl FnOnce(&mut File) -> io::Result<()>,
        placing: Placing,
    ) -> io::Result<()> {
        // In the layout's own folder: what a killed writer leaves is not among the blobs, and renaming stays atomic.
        let mut file = tempfile::Builder::new()
            .prefix(WRITING)
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(&self.root)?;
        content(file.as_file_mut())?;
        file.as_file().sync_all()?;
        let placed = match placing {
            Placing::Over => file.persist(path),
            Placing::New => file.persist_noclobber(path),
        };
        match placed {
            // Another rpub was quicker.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => return Err(error.error),
            Ok(_) => {}
        }
        sync_folder(path)
    }

    /// A file's bytes if it is there; at most `limit`.
    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Fault> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(self.disk("reading", path, &error)),
        };
        let mut bytes = Vec::new();
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| self.disk("reading", path, &error))?;
        if bytes.len() as u64 > limit {
            return Err(self.content(path, &format!("it is larger than {limit} bytes")));
        }
        Ok(Some(bytes))
    }

    /// The first bytes of a blob.
    pub(super) fn peek(&self, digest: Digest, count: usize) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.blob(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(self.disk("reading", &path, &error)),
        };
        let mut bytes = Vec::new();
        file.take(count as u64)
            .read_to_end(&mut bytes)
            .map_err(|error| self.disk("reading", &path, &error))?;
        Ok(Some(bytes))
    }

    /// The layout's index; an empty one where there is none.
    pub(super) fn index(&self) -> Result<Index, Fault> {
        let path = self.root.join("index.json");
        match self.read(&path, LIMIT)? {
            Some(bytes) => Index::parse(&bytes).map_err(|why| self.content(&path, &why)),
            None => Ok(Index::empty()),
        }
    }

    /// Lets a tag name a manifest; it is this writer's turn.
    pub(super) fn tag(&self, tag: &Tag, manifest: &RawManifest) -> Result<(), Fault> {
        let mut index = self.index()?;
        index.tag(tag, manifest);
        self.write_index(&index)
    }

    /// Writes the layout's index; it is this writer's turn.
    pub(super) fn write_index(&self, index: &Index) -> Result<(), Fault> {
        self.write(&self.root.join("index.json"), &index.bytes())
    }

    /// Takes a tag away; what it named stays. It is this writer's turn.
    pub(super) fn untag(&self, tag: &Tag) -> Result<(), Fault> {
        let mut index = self.index()?;
        index.untag(tag);
        self.write_index(&index)
    }

    /// What a tag names, with the media type that the index tells.
    pub(super) fn find(&self, tag: &Tag) -> Result<Option<super::index::Entry>, Fault> {
        let path = self.root.join("index.json");
        self.index()?
            .find(tag)
            .map_err(|why| self.content(&path, &why))
    }

    /// A manifest by its digest, checked; None where there is no such blob, or where it is no manifest.
    pub(super) fn manifest(
        &self,
        digest: Digest,
        declared: &str,
    ) -> Result<Option<RawManifest>, Fault> {
        let path = self.blob(digest);
        if self
            .size(digest)?
            .is_some_and(|size| size > MANIFEST_LIMIT as u64)
        {
            return Ok(None);
        }
        let Some(bytes) = self.read(&path, MANIFEST_LIMIT as u64)? else {
            return Ok(None);
        };
        if Digest::of(&bytes) != digest {
            return Err(self.content(&path, "its bytes have another digest"));
        }
        // OCI lets a manifest leave its own media type out; then its shape tells (each type fits one shape only).
        let found = [
            declared,
            "",
            media_type::OCI_MANIFEST,
            media_type::OCI_INDEX,
        ]
        .into_iter()
        .find_map(|kind| RawManifest::parse(bytes.clone(), kind).ok());
        Ok(found)
    }
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(error.kind(), E::NotFound | E::NotADirectory)
}

/// A rename or link survives a power cut only when its folder is synced too.
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
