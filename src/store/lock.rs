//! Decides how writers of a layout take turns, and how long one waits for another.
//! Must never wait without an end or a word, nor write for a caller who has given up.

use super::{Files, Layout};
use crate::model::fault::{Class, Fault, one_line};
use std::{
    fs::{self, File, Permissions, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// A writer holds the lock for as long as it takes to write a small file: who has to wait longer is told why.
const A_MOMENT: Duration = Duration::from_secs(2);
/// The longest wait.
const PATIENCE: Duration = Duration::from_mins(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

impl Layout {
    /// Runs `work` while no other rpub writes here; readers need no turn, because files change by renaming.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let waited = tokio::time::timeout(PATIENCE, self.turn()).await;
        let turn = waited.unwrap_or_else(|_| Err(self.files.held()))?;
        self.blocking(move |files| {
            let done = work(files);
            drop(turn);
            done
        })
        .await
    }

    /// Waits for the lock. Not in a thread that blocks: whoever drops this must not be written for later.
    async fn turn(&self) -> Result<File, Fault> {
        let told = tokio::time::Instant::now() + A_MOMENT;
        let mut told = Some(told);
        loop {
            if let Some(lock) = self.blocking(Files::try_lock).await? {
                return Ok(lock);
            }
            let now = tokio::time::Instant::now();
            if told.take_if(|told| now > *told).is_some() {
                let seconds = PATIENCE.as_secs();
                let held = self.files.held();
                tracing::warn!("{held}: waiting for up to {seconds} s");
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
}

impl Files {
    fn lock_file(&self) -> PathBuf {
        self.root().join(".lock")
    }

    /// The lock, where nobody holds it.
    fn try_lock(&self) -> Result<Option<File>, Fault> {
        let path = self.lock_file();
        let lock = || {
            let mut options = File::options();
            let file = options
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o660)
                .open(&path)?;
            only_of_writers(&file);
            match file.try_lock() {
                Ok(()) => Ok(Some(file)),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(error),
            }
        };
        lock().map_err(|error: io::Error| self.disk("locking", &path, &error))
    }

    /// Another process holds the lock.
    fn held(&self) -> Fault {
        let path = self.lock_file();
        let by = holder(&path).unwrap_or_else(|| "another process".to_owned());
        let request = format!("locking {}", path.display());
        Fault::new(Class::Busy, self.shown(), request, format!("{by} holds it"))
    }
}

/// Whoever can open a file can lock it: those who cannot write here anyway get no chance to.
fn only_of_writers(file: &File) {
    let mode = file.metadata().map_or(0, |found| found.mode());
    if mode & 0o007 != 0 {
        // Only its owner may; then somebody else's lock is waited for, which ends too.
        let _ = file.set_permissions(Permissions::from_mode(mode & 0o770));
    }
}

/// The process that holds the lock of a file, where the system tells: its id, its name and its user.
pub fn holder(path: &Path) -> Option<String> {
    let file = fs::metadata(path).ok()?;
    let (major, minor) = (
        nix::sys::stat::major(file.dev()),
        nix::sys::stat::minor(file.dev()),
    );
    let file = format!("{major:02x}:{minor:02x}:{}", file.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 4711 fe:01:131074 0 EOF`
    let process = locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&file.as_str());
        words.get(4).filter(|_| is_it)?.parse::<u32>().ok()
    })?;
    let about = PathBuf::from(format!("/proc/{process}"));
    let user = fs::metadata(&about).ok()?.uid();
    let name = fs::read_to_string(about.join("comm")).unwrap_or_default();
    let name = one_line(&name);
    Some(format!("process {process} ({name}) of user {user}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::manifest::RawManifest, store::Store, target::Target as _};

    fn manifest() -> RawManifest {
        let kind = "application/vnd.oci.image.index.v1+json";
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[]}}"#);
        RawManifest::parse(text.into_bytes(), kind).unwrap()
    }

    /// A layout with a tag, and its lock, which is held.
    async fn held() -> (tempfile::TempDir, Layout, File) {
        let folder = tempfile::tempdir().unwrap();
        let layout = Store::new(folder.path()).repository(&"app".parse().unwrap());
        layout
            .put_manifest(&"v1".parse().unwrap(), &manifest())
            .await
            .unwrap();
        let lock = File::open(layout.files.lock_file()).unwrap();
        lock.lock().unwrap();
        (folder, layout, lock)
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_lock_is_waited_for_with_an_end_and_who_holds_it_is_named() {
        let (_folder, layout, lock) = held().await;
        let fault = layout.remove_tag(&"v1".parse().unwrap()).await;
        let fault = fault.unwrap_err();
        assert_eq!(fault.class, Class::Busy);
        assert!(!fault.temporary());
        assert!(fault.request.ends_with("app/.lock"), "{fault}");
        let process = format!("process {} (", std::process::id());
        assert!(fault.detail.starts_with(&process), "{fault}");
        drop(lock);
        assert!(layout.remove_tag(&"v1".parse().unwrap()).await.unwrap());
        assert_eq!(layout.tags().await.unwrap(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_writes_nothing_later() {
        let (_folder, layout, lock) = held().await;
        let tag = "v1".parse().unwrap();
        let waiting = tokio::time::timeout(A_MOMENT, layout.remove_tag(&tag));
        assert!(waiting.await.is_err());
        drop(lock);
        tokio::time::sleep(2 * PATIENCE).await;
        assert_eq!(layout.tags().await.unwrap(), [tag]);
    }

    #[tokio::test]
    async fn a_lock_is_of_those_who_may_write() {
        let (_folder, layout, lock) = held().await;
        drop(lock);
        let mode = || layout.files.lock_file().metadata().unwrap().mode() & 0o777;
        assert_eq!(mode() & 0o007, 0, "{:o}", mode());
        // As earlier versions made it.
        fs::set_permissions(layout.files.lock_file(), Permissions::from_mode(0o644)).unwrap();
        layout.remove_tag(&"v1".parse().unwrap()).await.unwrap();
        assert_eq!(mode(), 0o640);
    }
}
