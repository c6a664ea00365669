//! Decides whether another process finds the same files below a folder, whose namespace may have other mounts.
//! Must never say yes where that cannot be known.

use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether the process finds the same folder at this real path, and everything in it that is mounted there for us.
///
/// What is mounted in it for the process alone does not count: podman mounts its storage on itself.
pub(super) fn sees(process: Pid, folder: &Path) -> bool {
    let relative = folder.strip_prefix("/").unwrap_or(folder);
    let theirs = fs::metadata(Path::new(&format!("/proc/{process}/root")).join(relative));
    let known = |found: Metadata| (found.dev(), found.ino());
    let same = match (fs::metadata(folder), theirs) {
        (Ok(ours), Ok(theirs)) => known(ours) == known(theirs),
        _ => false,
    };
    let mounts = |process: &str| fs::read(format!("/proc/{process}/mountinfo"));
    let below = match (mounts("self"), mounts(&process.to_string())) {
        (Ok(ours), Ok(theirs)) => below(&ours, folder).is_subset(&below(&theirs, folder)),
        _ => false,
    };
    same && below
}

/// The mounts below a folder: device, what of it, and where. Lines as `proc_pid_mountinfo(5)` says.
fn below<'m>(mountinfo: &'m [u8], folder: &Path) -> BTreeSet<[&'m [u8]; 3]> {
    let mut start = escaped(folder.as_os_str().as_bytes());
    if !start.ends_with(b"/") {
        start.push(b'/');
    }
    let lines = mountinfo.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ').skip(2);
            Some([fields.next()?, fields.next()?, fields.next()?])
        })
        .filter(|[.., at]| at.len() > start.len() && at.starts_with(&start))
        .collect()
}

/// As the kernel writes a path where fields are parted by spaces.
fn escaped(path: &[u8]) -> Vec<u8> {
    let escaped = path.iter().flat_map(|byte| match byte {
        b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
        other => vec![*other],
    });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        22 1 254:0 / / rw,relatime - ext4 /dev/root rw\n\
        30 22 0:26 / /home/a\\040b/inner rw shared:7 - tmpfs tmpfs rw\n\
        31 22 254:0 /data /home/a\\040b rw - ext4 /dev/root rw\n\
        32 22 0:27 / /home/a\\040bc rw - tmpfs tmpfs rw\n\
        broken\n";

    #[test]
    fn mounts_below_a_folder_are_those_within_it() {
        let at = |folder: &str| -> Vec<String> {
            let found = below(MOUNTS.as_bytes(), Path::new(folder));
            let words = found.iter().map(|mount| mount.join(&b' '));
            words
                .map(|mount| String::from_utf8(mount).unwrap())
                .collect()
        };
        assert_eq!(at("/home/a b"), ["0:26 / /home/a\\040b/inner"]);
        assert_eq!(at("/home").len(), 3);
        assert_eq!(at("/").len(), 3);
        assert_eq!(at("/home/a b/inner"), Vec::<String>::new());
    }

    #[test]
    fn a_process_sees_what_it_sees_itself_and_nobody_what_is_not_there() {
        let this = Pid::this();
        for folder in ["/", "/proc", env!("CARGO_MANIFEST_DIR")] {
            assert!(sees(this, Path::new(folder)), "{folder}");
        }
        assert!(!sees(this, Path::new("/there/is/none")));
        assert!(!sees(Pid::from_raw(i32::MAX), Path::new("/")));
    }
}
