//! Decides how podman is told what of a folder is not in a build's context: by the ignore file's own rules.
//! Must never tell it of paths instead: what appears while podman builds would get in. Other rules go by archive.

use crate::model::{
    excludes::{literal, patterns},
    ignore::Ignore,
};
use std::path::Path;

/// What the Containerfile is called in the archive: a copy of its own, with the labels in it.
///
/// podman must be told to leave it out of COPY and ADD. That is also what keeps it from reading the ignore file again,
/// by rules of its own version; the rest of what is ignored is not in the archive at all.
pub(super) const RESERVED: &str = ".rpub-containerfile";
/// podman tries each of them on each file.
const MOST: usize = 256;
/// Bytes of all of them: they are part of a query, and podman reads at most 1 MiB of that, escaped.
const LONGEST: usize = 64 * 1024;

/// What an archive of the folder would not hold, as patterns: the rules, and the pipes and devices that are there. There is
/// always one, so that podman does not look for an ignore file itself.
///
/// `None` where podman may read a rule in another way, it takes too many, or a folder cannot be read: packing an archive
/// tells what is wrong.
pub(super) fn left_out(root: &Path, ignore: &Ignore) -> Option<Vec<String>> {
    // podman puts it before what COPY and ADD name, as it is.
    let root_text = root.to_str()?;
    if literal(root_text)? != root_text {
        return None;
    }
    let mut out = vec![literal(RESERVED)?];
    out.extend(patterns(ignore)?);
    let rules = out.len() > 1;
    special(root, "", ignore, rules, &mut out)?;
    let bytes: usize = out.iter().map(String::len).sum();
    (out.len() <= MOST && bytes <= LONGEST).then_some(out)
}

/// Puts what an archive has no room for to `out`.
fn special(
    folder: &Path,
    within: &str,
    ignore: &Ignore,
    rules: bool,
    out: &mut Vec<String>,
) -> Option<()> {
    for entry in std::fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        let name = entry.file_name();
        // Where a name holds a line break, or is no text, podman's `**` and rpub's may differ.
        if rules && name.to_str().is_none_or(|name| name.contains('\n')) {
            return None;
        }
        let path = match within {
            "" => name.to_string_lossy().into_owned(),
            within => format!("{within}/{}", name.to_string_lossy()),
        };
        // Without exceptions, all that is in an ignored folder is ignored.
        if path == RESERVED || ignore.ignored(&path) {
            continue;
        }
        let kind = entry.file_type().ok()?;
        if kind.is_dir() {
            special(&entry.path(), &path, ignore, rules, out)?;
        } else if !kind.is_file() && !kind.is_symlink() {
            name.to_str()?;
            out.push(literal(&path)?);
            if out.len() > MOST {
                return None;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(paths: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        root
    }

    fn told(root: &Path, ignore: &str) -> Option<String> {
        let found = left_out(root, &Ignore::parse(ignore).unwrap())?;
        let (first, rest) = found.split_first().unwrap();
        assert_eq!(first, RESERVED, "podman would read the ignore file");
        Some(rest.join(" "))
    }

    #[test]
    fn the_rules_are_told_whatever_is_in_the_folder() {
        let root = folder(&["a", "b.pem", "d/x", RESERVED]);
        for (ignore, expected) in [
            ("", Some("")),
            ("**/*.pem\nd", Some("**/*.pem d")),
            ("nothing/like/it", Some("nothing/like/it")),
            ("*\n!a", None),
        ] {
            assert_eq!(told(root.path(), ignore).as_deref(), expected, "{ignore:?}");
        }
    }

    #[test]
    fn what_an_archive_has_no_room_for_is_told_by_its_path() {
        let root = folder(&["d/x", "ignored/x"]);
        for name in ["d/a*b", "ignored/pipe"] {
            let path = root.path().join(name);
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        let found = told(root.path(), "ignored").unwrap();
        assert_eq!(found, "ignored d/a\\*b");
    }

    #[test]
    fn what_cannot_be_told_or_is_too_much_goes_by_archive() {
        let root = folder(&["a\nb"]);
        assert_eq!(told(root.path(), "**/x"), None);
        assert_eq!(told(root.path(), ""), Some(String::new()));
        let many = vec!["x"; MOST].join("\n");
        assert_eq!(told(root.path(), &many), None);
        let long = vec!["x".repeat(LONGEST / 2); 2].join("\n");
        assert_eq!(told(folder(&["a"]).path(), &long), None);
        assert_eq!(told(Path::new("/nowhere/at/all"), ""), None);
        let special = folder(&["a[b]/c"]);
        assert_eq!(told(&special.path().join("a[b]"), ""), None);
    }
}
