//! Decides how podman is told what of a folder is not in a build's context, path by path.
//! Must never let in what the ignore file leaves out: what cannot be told exactly goes by archive.

use crate::model::ignore::Ignore;
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

/// What an archive of the folder would not hold, as patterns that each mean one path and all beneath it, whatever podman's
/// own rules for patterns are. There is always one, so that podman does not look for an ignore file itself.
///
/// `None` where it takes too many, one cannot be told, or a folder cannot be read: packing an archive tells what is wrong.
pub(super) fn left_out(root: &Path, ignore: &Ignore) -> Option<Vec<String>> {
    // podman puts it before each pattern as it is.
    let root_text = root.to_str()?;
    if pattern(root_text)? != root_text {
        return None;
    }
    let mut out = vec![pattern(RESERVED)?];
    list(root, "", ignore, &mut out)?;
    let bytes: usize = out.iter().map(String::len).sum();
    (bytes <= LONGEST).then_some(out)
}

/// Whether anything in a folder is kept. What is left out is put to `out`, whole folders as one.
fn list(folder: &Path, within: &str, ignore: &Ignore, out: &mut Vec<String>) -> Option<bool> {
    let mut any = false;
    for entry in std::fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        let name = entry.file_name();
        let path = match within {
            "" => name.to_string_lossy().into_owned(),
            within => format!("{within}/{}", name.to_string_lossy()),
        };
        if path == RESERVED {
            continue;
        }
        let kind = entry.file_type().ok()?;
        let ignored = ignore.ignored(&path);
        let kept = if !kind.is_dir() {
            !ignored && (kind.is_file() || kind.is_symlink())
        } else if ignored && !ignore.may_hold_exceptions(&path) {
            false
        } else {
            let before = out.len();
            let kept = list(&entry.path(), &path, ignore, out)? || !ignored;
            if !kept {
                out.truncate(before);
            }
            kept
        };
        any |= kept;
        if !kept {
            // A name that is no text was matched by what stands for it.
            name.to_str()?;
            out.push(pattern(&path)?);
            if out.len() > MOST {
                return None;
            }
        }
    }
    Some(any)
}

/// A pattern that means this path alone: every podman takes a character after a `\` as it is.
fn pattern(path: &str) -> Option<String> {
    // podman trims patterns, and reads one from each line of a file.
    if path != path.trim() || path.contains(['\0', '\n']) {
        return None;
    }
    let mut out = String::new();
    for c in path.chars() {
        if c.is_ascii_punctuation() && !matches!(c, '/' | '_' | '-' | '.') {
            out.push('\\');
        }
        out.push(c);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn folder(paths: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        root
    }

    fn of(paths: &[&str], ignore: &str) -> Option<BTreeSet<String>> {
        let root = folder(paths);
        let found = left_out(root.path(), &Ignore::parse(ignore).unwrap());
        let mut found: BTreeSet<String> = found?.into_iter().collect();
        assert!(found.remove(RESERVED), "podman would read the ignore file");
        Some(found)
    }

    #[test]
    fn what_is_left_out_is_told_path_by_path_and_folder_by_folder() {
        let paths = ["a", "b.pem", "d/x", "d/y/k", "d/y/l", "e/f/g", RESERVED];
        for (ignore, expected) in [
            ("", ""),
            ("**/*.pem", "b.pem"),
            ("d", "d"),
            ("d\n!d/y/k", "d/x d/y/l"),
            // Nothing comes back, so the folder goes as a whole.
            ("d\n!d/z", "d"),
            ("d/y", "d/y"),
            ("*\n!e", "a b.pem d"),
            ("*\n!e/f/nothing", "a b.pem d e"),
            (".", ""),
        ] {
            let expected: BTreeSet<String> =
                expected.split_whitespace().map(str::to_owned).collect();
            assert_eq!(of(&paths, ignore), Some(expected), "{ignore:?}");
        }
    }

    #[test]
    fn a_path_is_no_pattern() {
        let found = of(&["!a*b?[c](d)+{e}|^$", "a.b-c_d"], "*").unwrap();
        let expected = ["\\!a\\*b\\?\\[c\\]\\(d\\)\\+\\{e\\}\\|\\^\\$", "a.b-c_d"];
        assert_eq!(found, expected.map(str::to_owned).into());
    }

    #[test]
    fn what_cannot_be_told_or_is_too_much_goes_by_archive() {
        assert_eq!(of(&["a "], "a*"), None);
        assert_eq!(of(&["a\nb"], "a*"), None);
        assert_eq!(of(&["a "], ""), Some(BTreeSet::new()));
        let many: Vec<String> = (0..=MOST).map(|number| format!("x{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(of(&many, "*"), None);
        assert!(of(&many, "x1").is_some());
        let deep = format!("{}/x", vec!["d".repeat(250); 15].join("/"));
        let deep: Vec<String> = (0..20).map(|number| format!("{number}/{deep}")).collect();
        let deep: Vec<&str> = deep.iter().map(String::as_str).collect();
        assert_eq!(of(&deep, "**/x"), None);
        assert!(of(&deep, "*").is_some());
        let nowhere = Path::new("/nowhere/at/all");
        assert_eq!(left_out(nowhere, &Ignore::default()), None);
        let root = folder(&["a[b]/c"]);
        let special = root.path().join("a[b]");
        assert_eq!(left_out(&special, &Ignore::default()), None);
    }
}
