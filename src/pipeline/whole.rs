//! Decides how a file comes to lie on the disk: whole, after any crash the old one or the new one.
//! Must never write into a file that has its final name.

use std::{
    fs::{self, File, Permissions},
    io::{self, Seek as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// Beside it, flushed to the disk, renamed over it, the folder flushed. Folders are made where they are missing.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (file, folder) = beside(path, bytes, mode)?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// The same, but only where nothing is yet; else [`io::ErrorKind::AlreadyExists`].
pub(super) fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (file, folder) = beside(path, bytes, mode)?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// What will be the file, flushed to the disk, and the folder that both are in.
fn beside<'p>(path: &'p Path, bytes: &[u8], mode: u32) -> io::Result<(NamedTempFile, &'p Path)> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok((file, folder))
}

/// A file that is written again and again with the descriptors that it has: where there are no more, and where the disk is
/// full, it can still be written. Two files take turns, of which one has the name.
#[derive(Debug)]
pub(super) struct Rewritten {
    path: PathBuf,
    folder: File,
    /// What has the name.
    named: File,
    /// What will have it next; it lies beside.
    next: File,
}

impl Rewritten {
    /// Writes the file as [`write()`] does, and makes ready for the next time.
    pub(super) fn new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        Self::sweep(path);
        let folder = File::open(folder)?;
        let make = || {
            let mut options = File::options();
            options.write(true).create_new(true).mode(mode);
            let mut file = options.open(next_of(path))?;
            file.write_all(bytes)?;
            file.sync_all()?;
            Ok::<_, io::Error>(file)
        };
        let named = make()?;
        fs::rename(next_of(path), path)?;
        let next = make()?;
        folder.sync_all()?;
        Ok(Rewritten {
            path: path.to_owned(),
            folder,
            named,
            next,
        })
    }

    /// The same without a new descriptor. After an error the file is whole, and this value is of no more use.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.next.rewind()?;
        self.next.write_all(bytes)?;
        self.next.set_len(bytes.len() as u64)?;
        self.next.sync_all()?;
        // So that the one that has the name now keeps another, and is the next.
        fs::hard_link(&self.path, last_of(&self.path))?;
        fs::rename(next_of(&self.path), &self.path)?;
        fs::rename(last_of(&self.path), next_of(&self.path))?;
        self.folder.sync_all()?;
        std::mem::swap(&mut self.named, &mut self.next);
        Ok(())
    }

    /// Removes what a killed run left beside a file.
    pub(super) fn sweep(path: &Path) {
        for beside in [next_of(path), last_of(path)] {
            // It is rarely there. A file that cannot be removed is reported when it is made anew.
            let _ = fs::remove_file(beside);
        }
    }
}

impl Drop for Rewritten {
    fn drop(&mut self) {
        Self::sweep(&self.path);
    }
}

fn next_of(path: &Path) -> PathBuf {
    path.with_extension("next")
}

fn last_of(path: &Path) -> PathBuf {
    path.with_extension("last")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, os::unix::fs::MetadataExt as _};

    #[test]
    fn a_file_is_rewritten_by_two_that_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/journal.json");
        // As a killed run leaves it.
        fs::create_dir(folder.path().join("made")).unwrap();
        fs::write(last_of(&path), "old").unwrap();
        let mut file = Rewritten::new(&path, b"first", 0o600).unwrap();
        let mut inodes = BTreeSet::new();
        for text in ["longer than before", "short", "", "last"] {
            file.write(text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            let found = fs::metadata(&path).unwrap();
            assert_eq!(found.mode() & 0o777, 0o600);
            inodes.insert(found.ino());
        }
        assert_eq!(inodes.len(), 2);
        drop(file);
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }
}
