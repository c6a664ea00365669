//! Decides what of the environment says where the engine is, and how one is started.
//! Must never look at the environment twice: tests choose what it says.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// All that decides where the engine is; looked up once, by [`Connect::from_env`], so that tests can choose.
#[derive(Debug, Clone)]
pub struct Connect {
    /// `--url`: `unix:///path` or a path.
    pub url: Option<String>,
    /// `CONTAINER_HOST`, of the same form.
    pub container_host: Option<String>,
    /// `XDG_RUNTIME_DIR`, or where a login puts it if it is there.
    pub runtime_dir: Option<PathBuf>,
    /// Where the socket goes if the runtime folder's path is too long for one.
    pub temp_dir: PathBuf,
    /// The podman that is started where no engine runs; looked up in `PATH`.
    pub podman: PathBuf,
    /// Asked to start the user's podman.socket first; `None` never asks.
    pub systemctl: Option<PathBuf>,
    /// How long an engine may take to answer.
    pub patience: Duration,
}

impl Connect {
    /// What the environment says, with `--url` where it was given.
    pub fn from_env(url: Option<String>) -> Self {
        let text = |key| std::env::var(key).ok().filter(|value| !value.is_empty());
        let usual = PathBuf::from(format!("/run/user/{}", nix::unistd::geteuid()));
        Connect {
            url,
            container_host: text("CONTAINER_HOST"),
            // `su` and cron leave the variable out; the folder is there all the same if the user has a session.
            runtime_dir: text("XDG_RUNTIME_DIR")
                .map(PathBuf::from)
                .or_else(|| is_ours(&usual).then_some(usual)),
            temp_dir: std::env::temp_dir(),
            podman: PathBuf::from("podman"),
            systemctl: Some(PathBuf::from("systemctl")),
            patience: Duration::from_secs(20),
        }
    }
}

/// Whether it is a folder that belongs to this user.
pub(super) fn is_ours(folder: &Path) -> bool {
    std::fs::metadata(folder)
        .is_ok_and(|found| found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw())
}
