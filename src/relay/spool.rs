//! Decides where blobs lie on this machine between podman and the targets, and that nothing of it stays behind.
//! Must never remove a folder that a living rpub holds, nor one of another user.

use crate::error::{Error, Result};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
};
use tempfile::{NamedTempFile, TempDir};

const PREFIX: &str = "spool-";
const LOCK: &str = "lock";

/// Sweeps away what killed runs left under `parent`, for a run that needs no spool of its own. Blocks on the disk.
///
/// Best effort: what cannot be removed waits for the next run.
pub fn sweep_spools(parent: &Path) {
    // Under the parent's own lock, as in [`Spool::create`].
    let Ok(lock) = File::open(parent) else { return };
    if lock.lock().is_ok() {
        sweep(parent);
        // It stays where another run has its spool in it.
        let _ = fs::remove_dir(parent);
    }
}

/// A folder `spool-<random>`, mode 700, held by a lock for as long as this process lives.
pub(super) struct Spool {
    path: PathBuf,
    /// Taken out when the folder is removed; dropping it removes the folder too.
    held: Mutex<Option<(TempDir, File)>>,
}

impl Spool {
    /// Sweeps away what killed runs left under `parent`, and makes a new folder there. Blocks on the disk.
    pub(super) fn create(parent: &Path) -> Result<Self> {
        let io = |error| Error::io("make the spool folder", parent, &error);
        fs::create_dir_all(parent).map_err(io)?;
        // Under the parent's own lock, so that nobody sweeps a folder that is made but not locked yet.
        let parent_lock = File::open(parent).map_err(io)?;
        parent_lock.lock().map_err(io)?;
        sweep(parent);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(io)?;
        let lock = File::create_new(folder.path().join(LOCK)).map_err(io)?;
        lock.try_lock().map_err(|error| io(error.into()))?;
        Ok(Spool {
            path: folder.path().to_owned(),
            held: Mutex::new(Some((folder, lock))),
        })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A new file for an upload; it is gone when the value is dropped.
    pub(super) fn new_file(&self) -> io::Result<NamedTempFile> {
        // A directory store takes finished blobs over as hard links, so their mode is that of ordinary files. Nobody
        // else can reach them here: the folder is ours alone.
        tempfile::Builder::new()
            .prefix("upload-")
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(&self.path)
    }

    /// Bytes that we could still write there.
    pub(super) fn free(&self) -> io::Result<u64> {
        let stat = nix::sys::statvfs::statvfs(&self.path)?;
        Ok(stat.blocks_available() * stat.fragment_size())
    }

    /// Removes the folder and all in it; a second call does nothing. Blocks on the disk.
    pub(super) fn remove(&self) {
        let held = self
            .held
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some((folder, lock)) = held
            && let Err(error) = folder.close()
        {
            // The next run sweeps it: its lock is free as soon as we are gone.
            tracing::debug!(path = %self.path.display(), %error, "the spool folder stays");
            drop(lock);
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Removes the spool folders under `parent` whose owner lives no more. Best effort: what cannot be removed stays.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        // symlink_metadata: a link named spool-… must not lead us elsewhere.
        let ours = fs::symlink_metadata(&path).is_ok_and(|meta| {
            meta.is_dir() && meta.uid() == nix::unistd::Uid::effective().as_raw()
        });
        if ours && entry.file_name().to_string_lossy().starts_with(PREFIX) && is_stale(&path) {
            tracing::debug!(path = %path.display(), "removing what a killed run left");
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::debug!(path = %path.display(), %error, "it stays");
            }
        }
    }
}

/// Whether nobody holds its lock. A folder without one was left between being made and being locked.
fn is_stale(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relay_spool_is_private_and_goes_with_its_owner() {
        let parent = tempfile::tempdir().unwrap();
        let spool = Spool::create(parent.path()).unwrap();
        let mode = fs::metadata(spool.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(spool.free().unwrap() > 0);
        drop(spool);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn relay_spool_sweeps_the_stale_and_leaves_the_living() {
        let parent = tempfile::tempdir().unwrap();
        let living = Spool::create(parent.path()).unwrap();
        for (folder, lock) in [("spool-killed", true), ("spool-unlocked", false)] {
            fs::create_dir(parent.path().join(folder)).unwrap();
            fs::write(parent.path().join(folder).join("blob"), b"x").unwrap();
            if lock {
                fs::write(parent.path().join(folder).join(LOCK), b"").unwrap();
            }
        }
        fs::create_dir(parent.path().join("other")).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), parent.path().join("spool-link")).unwrap();
        let second = Spool::create(parent.path()).unwrap();
        assert!(living.path().is_dir());
        assert!(second.path().is_dir());
        assert!(parent.path().join("other").is_dir());
        assert!(elsewhere.path().is_dir());
        assert!(!parent.path().join("spool-killed").exists());
        assert!(!parent.path().join("spool-unlocked").exists());
    }
}
