//! Decides what of a folder is sent to podman as a build's context, and packs it while it is sent.
//! Must never hold more than a few chunks in memory, follow a symlink, or send what the ignore file leaves out.

use super::left_out::{RESERVED, left_out};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::model::ignore::Ignore;
use bytes::{Bytes, BytesMut};
use futures::Stream;
use std::fs::{DirEntry, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;

/// Bytes per chunk, and chunks on their way: all the memory that a context of any size takes.
const CHUNK: usize = 128 * 1024;
const CHUNKS: usize = 4;

/// A build context, decided but not yet packed.
#[derive(Debug)]
pub(super) struct Context {
    root: PathBuf,
    ignore: Ignore,
    /// The Containerfile's text, as it stands.
    text: String,
    /// What podman is told to leave out where it is given the folder itself.
    left_out: Option<Vec<String>>,
}

/// Why packing stopped, once it has; the request then fails with a broken body.
pub(super) type Trouble = Arc<OnceLock<Error>>;

fn trouble(what: impl Into<String>, path: &Path, hint: &str) -> Error {
    Error::new(Kind::Build, what, path.display().to_string(), hint)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "check the path; it must be there while the build runs",
        io::ErrorKind::PermissionDenied => "make it readable, or leave it out in .containerignore",
        _ => "check that path and run it again",
    };
    trouble(format!("cannot read it: {error}"), path, hint).caused_by(Some(error))
}

impl Context {
    /// Reads the ignore file and the Containerfile. `containerfile` is absolute, or relative to `root`; `as_folder` says
    /// whether podman can be given the folder itself.
    ///
    /// # Errors
    /// [`Kind::Build`]: the folder, the Containerfile or the ignore file cannot be read; a pattern is none.
    pub(super) fn prepare(root: &Path, containerfile: &Path, as_folder: bool) -> Result<Self> {
        let found = std::fs::metadata(root).map_err(|error| unreadable(root, &error))?;
        if !found.is_dir() {
            return Err(trouble(
                "the build context is not a folder",
                root,
                "name a folder",
            ));
        }
        let root = root
            .canonicalize()
            .map_err(|error| unreadable(root, &error))?;
        let wanted = root.join(containerfile);
        // Its real path: a link may lead out of the context, where podman could not follow it.
        let real = wanted.canonicalize().map_err(|error| {
            let what = format!("there is no Containerfile to read: {error}");
            trouble(what, &wanted, "check `containerfile` in rpub.toml")
        })?;
        let text = files::read(&real).map_err(|error| unreadable(&wanted, &error))?;
        let ignore = read_ignore(&root, &wanted)?;
        Ok(Context {
            left_out: as_folder.then(|| left_out(&root, &ignore)).flatten(),
            ignore,
            root,
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }

    /// The folder, by its real and absolute path.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What podman is told to leave out where it is given the folder itself; `None`: it is given an archive.
    pub(super) fn left_out(&self) -> Option<&[String]> {
        self.left_out.as_deref()
    }

    /// The Containerfile's text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The archive, packed by a thread as fast as the receiver takes it; dropping the stream ends the thread.
    ///
    /// `containerfile` is the text that podman builds from.
    pub(super) fn stream(
        self,
        containerfile: String,
    ) -> (
        impl Stream<Item = io::Result<Bytes>> + Send + use<>,
        Trouble,
    ) {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let trouble = Trouble::default();
        let told = Arc::clone(&trouble);
        tokio::task::spawn_blocking(move || {
            let sink = Sink {
                sender: sender.clone(),
                chunk: BytesMut::new(),
            };
            if let Err(error) = self.pack(sink, &containerfile) {
                // The first cause is kept; the broken body is only what ends the request. Whoever hung up has no ears.
                let _ = told.set(error);
                let _ = sender.blocking_send(Err(io::Error::other("packing failed")));
            }
        });
        let chunks = futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        });
        (chunks, trouble)
    }

    fn pack(&self, sink: Sink, containerfile: &str) -> Result<()> {
        let mut packer = Packer {
            context: self,
            archive: tar::Builder::new(sink),
            waiting: Vec::new(),
        };
        packer.folder(&self.root, Path::new(""))?;
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(containerfile.len() as u64);
        let text = containerfile.as_bytes();
        let sent = packer.archive.append_data(&mut header, RESERVED, text);
        sent.map_err(|error| unreadable(&self.root, &error))?;
        let sent = packer.archive.into_inner();
        let sent = sent.and_then(|mut sink| sink.flush());
        sent.map_err(|error| unreadable(&self.root, &error))
    }
}

/// The rules: those beside the Containerfile, else the context's own; Docker's name counts where podman's is missing.
fn read_ignore(root: &Path, containerfile: &Path) -> Result<Ignore> {
    let beside = |suffix: &str| {
        let mut name = containerfile.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let candidates = [
        // podman looks for these two from 4.4 on, Docker for the first; sent as rules, they hold for 4.3 as well.
        beside(".dockerignore"),
        beside(".containerignore"),
        root.join(".containerignore"),
        root.join(".dockerignore"),
    ];
    for path in candidates {
        let text = match files::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&path, &error)),
        };
        return Ignore::parse(&String::from_utf8_lossy(&text)).map_err(|bad| {
            let place = PathBuf::from(format!("{}:{}", path.display(), bad.line));
            trouble(
                bad.to_string(),
                &place,
                "mend that line; a \\ makes the next character plain",
            )
        });
    }
    Ok(Ignore::default())
}

/// The archive's bytes, handed on in chunks; waits while the receiver is busy.
struct Sink {
    sender: mpsc::Sender<io::Result<Bytes>>,
    chunk: BytesMut,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK - self.chunk.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.chunk.extend_from_slice(taken);
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk).freeze();
        self.sender
            .blocking_send(Ok(chunk))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

struct Packer<'a> {
    context: &'a Context,
    archive: tar::Builder<Sink>,
    /// Folders that are left out themselves, and are sent only once something in them is.
    waiting: Vec<(PathBuf, Metadata)>,
}

impl Packer<'_> {
    /// Packs what is in a folder, in the order of names, so that the same folder makes the same archive.
    fn folder(&mut self, folder: &Path, within: &Path) -> Result<()> {
        let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries: Vec<DirEntry> = entries.map_err(|error| unreadable(folder, &error))?;
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), within.join(entry.file_name()));
            let found = entry
                .metadata()
                .map_err(|error| unreadable(&path, &error))?;
            self.entry(&path, &name, &found)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &Path, found: &Metadata) -> Result<()> {
        let text = name.to_string_lossy();
        if text == RESERVED {
            return Ok(());
        }
        let ignored = self.context.ignore.ignored(&text);
        let kind = found.file_type();
        if kind.is_dir() {
            if ignored && !self.context.ignore.may_hold_exceptions(&text) {
                return Ok(());
            }
            self.waiting.push((name.to_owned(), found.clone()));
            if !ignored {
                self.waiting_folders(path)?;
            }
            let depth = self.waiting.len();
            self.folder(path, name)?;
            // Still waiting: nothing in it was sent.
            if ignored && self.waiting.len() == depth {
                self.waiting.pop();
            }
            return Ok(());
        }
        if ignored {
            return Ok(());
        }
        if kind.is_symlink() {
            self.waiting_folders(path)?;
            self.symlink(path, name, found)
        } else if kind.is_file() {
            self.waiting_folders(path)?;
            self.file(path, name)
        } else {
            tracing::debug!(path = %path.display(), "a socket, pipe or device is not sent");
            Ok(())
        }
    }

    /// Sends the folders that were waiting for something to be in them.
    fn waiting_folders(&mut self, path: &Path) -> Result<()> {
        for (name, found) in std::mem::take(&mut self.waiting) {
            let mut header = header(&found, tar::EntryType::Directory, 0);
            let sent = self.archive.append_data(&mut header, &name, io::empty());
            sent.map_err(|error| unreadable(path, &error))?;
        }
        Ok(())
    }

    fn symlink(&mut self, path: &Path, name: &Path, found: &Metadata) -> Result<()> {
        let target = std::fs::read_link(path).map_err(|error| unreadable(path, &error))?;
        if leads_out(name, &target) {
            return Err(trouble(
                "this symlink points out of the context, and podman refuses such an archive",
                path,
                "leave it out in .containerignore, or make its target absolute or within the context",
            ));
        }
        let mut header = header(found, tar::EntryType::Symlink, 0);
        // Literally, as it stands on disk, where the header has room for it.
        let sent = match header.set_link_name_literal(target.as_os_str().as_encoded_bytes()) {
            Ok(()) => self.archive.append_data(&mut header, name, io::empty()),
            Err(_) => self.archive.append_link(&mut header, name, &target),
        };
        sent.map_err(|error| unreadable(path, &error))
    }

    fn file(&mut self, path: &Path, name: &Path) -> Result<()> {
        // It may have been replaced since it was listed: by a link, or by a pipe that would never end.
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
        let open = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = open.map_err(|error| unreadable(path, &error))?;
        let found = file.metadata().map_err(|error| unreadable(path, &error))?;
        if !found.is_file() {
            return Err(changed(path));
        }
        let mut header = header(&found, tar::EntryType::Regular, found.len());
        let mut reader = Exactly {
            file,
            left: found.len(),
            changed: false,
        };
        let sent = self.archive.append_data(&mut header, name, &mut reader);
        if reader.changed {
            return Err(changed(path));
        }
        sent.map_err(|error| unreadable(path, &error))
    }
}

/// Whether a relative target climbs above the context's root, by its text alone, as podman looks at it.
fn leads_out(name: &Path, target: &Path) -> bool {
    let mut depth = name.components().count().saturating_sub(1);
    if target.is_absolute() {
        return false;
    }
    for component in target.components() {
        match component {
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    false
}

fn changed(path: &Path) -> Error {
    trouble(
        "it changed while it was packed",
        path,
        "leave files that change out in .containerignore, or stop what writes it",
    )
}

/// Owner 0, so that the archive does not depend on who packs it; podman maps owners by itself.
fn header(found: &Metadata, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(found.mode() & 0o7777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(found.mtime()).unwrap_or(0));
    header.set_size(size);
    header
}

/// A file of the size that was announced; one that has become shorter or longer is an error, not a broken archive.
struct Exactly {
    file: File,
    left: u64,
    changed: bool,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let room = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        // At the end one byte more is asked for, to see that there is none.
        let mut probe = [0];
        let target = match room {
            0 => &mut probe[..],
            _ => buffer.get_mut(..room).unwrap_or_default(),
        };
        let count = self.file.read(target)?;
        if (count == 0) != (self.left == 0) {
            self.changed = true;
            return Err(io::Error::other("it changed while it was packed"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
