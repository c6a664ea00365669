//! Decides how a file comes to lie on the disk: whole, after any crash the old one or the new one.
//! Must never write into a file that has its final name.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
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
