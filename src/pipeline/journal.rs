//! Decides where journals and locks lie on disk, and that what was written survives a crash.
//! Must never leave half a journal, nor touch one of a release that is still running.

use super::{plan::Env, publish::Ledger, whole::Rewritten};
use crate::{
    error::{Error, Kind, Result},
    events::{Event, Events},
    model::{
        digest::Digest,
        journal::Journal,
        plan::Plan,
        reference::{Place, Repository},
    },
    store::holder,
};
use async_trait::async_trait;
use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// No journal is larger, by far: it holds some manifests.
const LIMIT: u64 = 256 * 1024 * 1024;
const PREFIX: &str = "journal-";

/// The folder of journals and locks: `$XDG_STATE_HOME/rpub`, else `~/.local/state/rpub`.
pub fn folder(env: &Env) -> Result<PathBuf> {
    let absolute = |name: &str| env(name).filter(|path| Path::new(path).is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&absolute("HOME")?).join(".local/state")));
    state.map(|state| state.join("rpub")).ok_or_else(|| {
        Error::usage(
            "there is no folder for journals",
            "the environment",
            "set HOME or XDG_STATE_HOME",
        )
    })
}

/// What identifies a repository among all of this user's: a directory store's is its absolute path.
pub(super) fn key(text: &str) -> String {
    Digest::of(text.as_bytes()).hex()[..16].to_owned()
}

/// A repository among all of this user's: as he writes it, one in a folder by absolute path.
pub fn identity(repository: &Repository, root: &Path) -> String {
    match &repository.place {
        Place::Registry(_) => repository.to_string(),
        Place::Directory(path) => format!("oci:{}/{}", root.join(path).display(), repository.name),
    }
}

/// The repositories of a plan, sorted, each once; those in folders by absolute path.
pub fn repositories(plan: &Plan, root: &Path) -> Vec<String> {
    let places = plan.images.iter().flat_map(|image| &image.repositories);
    let mut out: Vec<String> = places
        .map(|(_, repository)| identity(repository, root))
        .collect();
    out.sort();
    out.dedup();
    out
}

/// The journal of releases to one set of repositories. Once it is there it can always be written: the first time is before
/// tags move, and all that the others need is opened then.
#[derive(Debug)]
pub struct DiskLedger {
    path: PathBuf,
    open: Mutex<Option<Rewritten>>,
}

impl DiskLedger {
    /// The ledger for a set of repositories, as [`repositories`] gives them.
    pub fn of(folder: &Path, repositories: &[String]) -> Self {
        let name = format!("{PREFIX}{}.json", key(&repositories.join("\n")));
        Self::at(folder.join(name))
    }

    /// The ledger in a file that [`unfinished`] found.
    pub fn at(path: PathBuf) -> Self {
        DiskLedger {
            path,
            open: Mutex::default(),
        }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[async_trait]
impl Ledger for DiskLedger {
    async fn write(&self, journal: &Journal) -> Result<()> {
        // Texts and numbers, which JSON always can say.
        let text = serde_json::to_vec(journal).unwrap_or_default();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Some disks know no second name of a file: there every time is the first.
        if open.as_mut().is_some_and(|file| file.write(&text).is_ok()) {
            return Ok(());
        }
        *open = None;
        let file = Rewritten::new(&self.path, &text, 0o600);
        *open = Some(file.map_err(|e| Error::io("write the journal", &self.path, &e))?);
        Ok(())
    }

    async fn read(&self) -> Result<Option<Journal>> {
        read(&self.path)
    }

    async fn close(&self) -> Result<()> {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Rewritten::sweep(&self.path);
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove the journal", &self.path, &e))
            }
            _ => Ok(()),
        }
    }
}

fn read(path: &Path) -> Result<Option<Journal>> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(LIMIT).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read the journal", path, &e)),
    }
    Journal::parse(&text).map(Some).map_err(|error| {
        Error::new(
            Kind::RollbackIncomplete,
            error.to_string(),
            path.display().to_string(),
            "compare the tags on the registries by hand (rpub verify), then remove the file",
        )
    })
}

/// Every journal of a release that did not end, with its file.
pub fn unfinished(folder: &Path) -> Result<Vec<(PathBuf, Journal)>> {
    let mut paths = Vec::new();
    match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read the journals", folder, &e)),
        Ok(entries) => {
            for entry in entries.flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.starts_with(PREFIX) && name.ends_with(".json") {
                    paths.push(entry.path());
                }
            }
        }
    }
    paths.sort();
    let mut out = Vec::new();
    for path in paths {
        if let Some(journal) = read(&path)? {
            out.push((path, journal));
        }
    }
    Ok(out)
}

/// Holds repositories for this process, so that two rpub never publish one of them from this machine at once.
#[derive(Debug)]
pub struct Locks {
    folder: PathBuf,
    held: Vec<(PathBuf, File)>,
}

impl Locks {
    /// Waits until each of `repositories` is free, and holds it until the value is dropped. They are sorted, so that two
    /// who want several never wait for each other.
    pub async fn take(
        folder: &Path,
        repositories: &[String],
        stop: &CancellationToken,
        events: &Events,
    ) -> Result<Locks> {
        let mut locks = Locks {
            folder: folder.to_owned(),
            held: Vec::new(),
        };
        for repository in repositories {
            let path = folder.join(format!("lock-{}", key(repository)));
            let mut told = false;
            loop {
                let taken = try_lock(folder, &path);
                if let Some(file) =
                    taken.map_err(|e| Error::io("lock the repository", &path, &e))?
                {
                    locks.held.push((path, file));
                    break;
                }
                if !told {
                    let by = holder(&path).map_or_else(String::new, |by| format!(" ({by})"));
                    let note = format!("{repository}: waiting for another rpub to finish{by}");
                    events.send(Event::Note(note));
                    told = true;
                }
                tokio::select! {
                    () = stop.cancelled() => return Err(Error::interrupted()),
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                }
            }
        }
        Ok(locks)
    }
}

/// The locked file; none where somebody else holds it, or has just taken it away.
fn try_lock(folder: &Path, path: &Path) -> io::Result<Option<File>> {
    fs::create_dir_all(folder)?;
    // Whoever can open it can lock it: nobody else may.
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = match options.open(path) {
        // Who was here last has removed the empty folder in between.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(e)) => return Err(e),
    }
    // Removed by who held it before, while we waited: then this is a lock on nothing.
    let still_there = fs::metadata(path).is_ok_and(|there| {
        file.metadata()
            .is_ok_and(|ours| ours.ino() == there.ino() && ours.dev() == there.dev())
    });
    Ok(still_there.then_some(file))
}

impl Drop for Locks {
    fn drop(&mut self) {
        // While they are held, so that nobody's lock is taken away; what cannot be removed is only an empty file.
        for (path, file) in self.held.drain(..) {
            let _ = fs::remove_file(path);
            drop(file);
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Journal {
        Journal {
            schema: 1,
            git_ref: "refs/tags/v1.2.3".to_owned(),
            revision: None,
            images: vec![],
            steps: vec![],
        }
    }

    #[tokio::test]
    async fn a_journal_is_there_from_write_to_close() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = DiskLedger::of(&folder.path().join("rpub"), &["ghcr.io/o/app".to_owned()]);
        assert_eq!(ledger.read().await.unwrap(), None);
        ledger.close().await.unwrap();
        ledger.write(&journal()).await.unwrap();
        assert_eq!(ledger.read().await.unwrap(), Some(journal()));
        assert_eq!(unfinished(&folder.path().join("rpub")).unwrap().len(), 1);
        ledger.close().await.unwrap();
        assert_eq!(unfinished(&folder.path().join("rpub")).unwrap().len(), 0);
    }

    #[tokio::test]
    async fn half_a_journal_is_told_and_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = DiskLedger::of(folder.path(), &[]);
        fs::write(&ledger.path, "{\"schema\":1,").unwrap();
        assert_eq!(
            ledger.read().await.unwrap_err().kind,
            Kind::RollbackIncomplete
        );
    }

    #[tokio::test]
    async fn a_repository_is_held_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let take = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let path = folder.path().to_owned();
            async move {
                let stop = CancellationToken::new();
                let events = Events::default();
                let waiting = Locks::take(&path, &names, &stop, &events);
                tokio::time::timeout(Duration::from_millis(500), waiting).await
            }
        };
        let first = take(&["a", "b"]).await.unwrap().unwrap();
        assert!(take(&["b", "c"]).await.is_err(), "b is held");
        assert!(take(&["c"]).await.unwrap().is_ok());
        // Another user can lock what can be opened.
        for entry in fs::read_dir(folder.path()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
        }
        drop(first);
        assert!(take(&["b", "c"]).await.unwrap().is_ok());
    }
}
