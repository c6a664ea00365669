//! Decides how a file that others may have made is read: an ordinary one, in one piece, up to a size.
//! Must never wait for a pipe, nor read one that has no end.

mod fence;

pub use fence::{Fence, LeadsOut};

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// No file that people write, or that holds their logins or certificates, is larger.
pub const LIMIT: u64 = 4 << 20;

/// The bytes of an ordinary file.
///
/// # Errors
/// It cannot be read, is a pipe, a device or a folder, or is larger than [`LIMIT`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // To open a pipe waits for its other end, but for this flag.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NONBLOCK);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        let what = "it is no ordinary file";
        return Err(io::Error::new(ErrorKind::InvalidInput, what));
    }
    let mut bytes = Vec::new();
    // One that grows while it is read ends here too.
    file.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        let what = format!("it is longer than {} MiB", LIMIT >> 20);
        return Err(io::Error::new(ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

/// The same as text.
///
/// # Errors
/// Also [`ErrorKind::InvalidData`]: it is not UTF-8.
pub fn text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| {
        let what = "stream did not contain valid UTF-8";
        io::Error::new(ErrorKind::InvalidData, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ordinary_file_is_read_and_only_so_much_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        assert_eq!(text(&at("link")).unwrap(), "text");
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (name, target) in [("zero", "/dev/zero"), ("pipe-link", "pipe"), ("up", "..")] {
            std::os::unix::fs::symlink(target, at(name)).unwrap();
            let error = read(&at(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}: {error}");
        }
        let large = std::fs::File::create(at("large")).unwrap();
        large.set_len(LIMIT).unwrap();
        assert_eq!(read(&at("large")).unwrap().len() as u64, LIMIT);
        // A hole as large as a disk.
        large.set_len(1 << 40).unwrap();
        let error = read(&at("large")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        std::fs::write(at("latin"), b"caf\xe9").unwrap();
        let error = text(&at("latin")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
