//! Decides what the artifacts of a run are: named folders, each name once, kept over its attempts.
//! Must never let an upload change one that is there, unless it says that it overwrites.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use tempfile::TempDir;

/// Those of one run.
#[derive(Default)]
pub(crate) struct Artifacts(Mutex<BTreeMap<String, TempDir>>);

impl Artifacts {
    /// Why an upload is refused.
    pub(crate) fn upload(&self, name: &str, from: &Path, overwrite: bool) -> Result<(), String> {
        if !from.is_dir() || from.read_dir().unwrap().next().is_none() {
            return Err(format!("no files were found at {}", from.display()));
        }
        let mut all = self.0.lock().unwrap();
        if all.contains_key(name) && !overwrite {
            return Err(format!("an artifact {name:?} is there already"));
        }
        let copy = tempfile::tempdir().unwrap();
        copy_all(from, copy.path());
        all.insert(name.to_owned(), copy);
        Ok(())
    }

    /// The files of all artifacts whose names begin so, into one folder.
    pub(crate) fn download_merged(&self, start: &str, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for (name, folder) in self.0.lock().unwrap().iter() {
            if name.starts_with(start) {
                copy_all(folder.path(), to);
            }
        }
    }

    /// What they are called.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in from.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let copy = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(&copy).unwrap();
            copy_all(&path, &copy);
        } else {
            std::fs::copy(&path, &copy).unwrap();
        }
    }
}

#[test]
fn artifact_is_uploaded_once_unless_it_overwrites() {
    let (folder, artifacts) = (tempfile::tempdir().unwrap(), Artifacts::default());
    assert!(
        artifacts.upload("a-1", folder.path(), true).is_err(),
        "it is empty"
    );
    std::fs::write(folder.path().join("one"), "1").unwrap();
    artifacts.upload("a-1", folder.path(), false).unwrap();
    assert!(artifacts.upload("a-1", folder.path(), false).is_err());
    std::fs::write(folder.path().join("one"), "2").unwrap();
    artifacts.upload("a-1", folder.path(), true).unwrap();
    artifacts.upload("b", folder.path(), false).unwrap();
    assert_eq!(artifacts.names(), ["a-1", "b"]);
    let to = tempfile::tempdir().unwrap();
    artifacts.download_merged("a-", &to.path().join("x"));
    assert_eq!(std::fs::read(to.path().join("x/one")).unwrap(), b"2");
}
