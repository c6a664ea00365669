//! Decides what a fresh runner machine is here: folders, a home and so a podman storage of its own, for an unprivileged user.
//! Must never leave a process or a file of a job behind.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Lives as long as its job.
pub(crate) struct Machine {
    user: &'static str,
    folder: TempDir,
}

impl Machine {
    /// An empty one for `user`, who is made where there is none.
    pub(crate) fn start(user: &'static str) -> Machine {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests change users: run scripts/test, or the binary `workflow` as root"
        );
        let folder = tempfile::Builder::new().prefix("gh-").tempdir().unwrap();
        let machine = Machine { user, folder };
        std::fs::set_permissions(machine.folder.path(), Permissions::from_mode(0o755)).unwrap();
        for part in ["home/.config/containers", "run", "tmp", "work", "files"] {
            std::fs::create_dir_all(machine.path(part)).unwrap();
        }
        std::fs::set_permissions(machine.path("run"), Permissions::from_mode(0o700)).unwrap();
        // Debian's podman 4.3 would take vfs.
        let storage = machine.path("home/.config/containers/storage.conf");
        std::fs::write(storage, "[storage]\ndriver = \"overlay\"\n").unwrap();
        let made = machine
            .command(&BTreeMap::new(), Path::new("/"), &["true"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "scripts/rootless: {said}");
        machine.hand_over();
        machine
    }

    /// A path on it.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// The checkout.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.path("work")
    }

    /// Gives everything on it to its user: what the runner itself has put there was root's.
    pub(crate) fn hand_over(&self) {
        let owner = format!("{0}:{0}", self.user);
        let mut chown = Command::new("chown");
        let status = chown
            .args(["-R", "--no-dereference", &owner])
            .arg(self.folder.path())
            .status();
        assert!(status.unwrap().success());
    }

    /// A command of its user in a folder of it, with this environment and where things are on it, and no more.
    pub(crate) fn command<S: AsRef<OsStr>>(
        &self,
        env: &BTreeMap<String, String>,
        folder: &Path,
        words: &[S],
    ) -> Command {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/rootless"));
        command
            .env("RPUB_ROOTLESS_USER", self.user)
            .current_dir(folder);
        // Each of these becomes the next by exec: the process that is started here is the one of `words`.
        command.args(["env", "-i"]);
        let own = |name: &str, value: &Path| format!("{name}={}", value.display());
        command.arg(own("HOME", &self.path("home")));
        command.arg(own("TMPDIR", &self.path("tmp")));
        command.arg(self.mark());
        for name in ["USER", "LOGNAME"] {
            command.arg(format!("{name}={}", self.user));
        }
        command.args(env.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(words).stdin(Stdio::null());
        command
    }

    /// Stands in the environment of all that was started on it, podman's helpers too.
    fn mark(&self) -> String {
        format!("XDG_RUNTIME_DIR={}", self.path("run").display())
    }

    /// What GitHub's runner does with what a step or a job leaves.
    pub(crate) fn kill_all(&self) {
        let mark = self.mark();
        for round in 0.. {
            let mut found = 0;
            for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                let pid = entry
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse().ok());
                let Some(pid) = pid else { continue };
                // A process that has ended meanwhile, or is a zombie, has none.
                let env = std::fs::read(entry.path().join("environ")).unwrap_or_default();
                if env
                    .split(|byte| *byte == 0)
                    .any(|one| one == mark.as_bytes())
                {
                    found += 1;
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
            if found == 0 {
                return;
            }
            assert!(round < 3000, "{found} processes with {mark} do not end");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill_all();
    }
}
