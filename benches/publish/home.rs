//! Decides where the tools that are compared live: a home, a storage and a runtime folder that nobody else uses.
//! Must never touch the images or the memory of the user's own podman, nor leave anything of its own behind.

use super::run::run;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What every command of a run has around it.
pub(crate) struct Home {
    folder: TempDir,
    rpub: PathBuf,
}

impl Home {
    pub(crate) fn new(rpub: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home {
            folder,
            rpub: rpub.to_owned(),
        };
        for name in ["home/.config/containers", "run", "state"] {
            std::fs::create_dir_all(home.path(name)).unwrap();
        }
        // Debian's podman 4.3 falls back to vfs, which copies every layer whole.
        let conf = "[storage]\ndriver = \"overlay\"\n";
        std::fs::write(home.path("home/.config/containers/storage.conf"), conf).unwrap();
        let policy = "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}\n";
        std::fs::write(home.path("home/.config/containers/policy.json"), policy).unwrap();
        // The pause process, which the first podman makes, is part of no measurement.
        home.podman(&["unshare", "true"]);
        home
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// A program in this home; its output goes to a log that only a failure shows.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        for name in ["PATH", "USER", "LOGNAME", "TMPDIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("HOME", self.path("home"));
        command.env("XDG_RUNTIME_DIR", self.path("run"));
        command.env("XDG_STATE_HOME", self.path("state"));
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn rpub(&self, folder: &Path, args: &[&str]) -> Command {
        let mut command = self.command(&self.rpub.display().to_string());
        command.arg("-q").args(args).current_dir(folder);
        command
    }

    pub(crate) fn rpub_file(&self) -> &Path {
        &self.rpub
    }

    /// Runs podman on the home's storage; what it printed.
    pub(crate) fn podman(&self, args: &[&str]) -> String {
        let output = self.command("podman").args(args).output().expect("podman");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "podman {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn memory(&self) -> PathBuf {
        self.path("home/.local/share/containers/cache")
    }

    /// Lets podman, buildah and skopeo forget what they pushed and pulled: they share that memory.
    pub(crate) fn forget(&self) {
        // Missing where nothing was pushed yet.
        let _ = std::fs::remove_dir_all(self.memory());
    }

    /// Keeps what they remember now, for [`Home::recall`].
    pub(crate) fn remember(&self) {
        let _ = std::fs::remove_dir_all(self.path("memory"));
        copy_folder(&self.memory(), &self.path("memory"));
    }

    pub(crate) fn recall(&self) {
        self.forget();
        copy_folder(&self.path("memory"), &self.memory());
    }

    /// A storage that holds nothing, for the commands that [`Storage::of`] is put on.
    pub(crate) fn storage(&self) -> Storage<'_> {
        self.storage_in(self.folder.path(), "overlay")
    }

    /// The same in memory, by vfs: overlay cannot stack a thousand layers, and a disk takes minutes to sync each of them.
    pub(crate) fn storage_in_memory(&self) -> Storage<'_> {
        self.storage_in(Path::new("/dev/shm"), "vfs")
    }

    fn storage_in(&self, folder: &Path, driver: &str) -> Storage<'_> {
        let folder = tempfile::tempdir_in(folder).unwrap();
        let at = folder.path().display();
        let conf = format!(
            "[storage]\ndriver = \"{driver}\"\nrunroot = \"{at}/r\"\nrootless_storage_path = \"{at}/g\"\n"
        );
        std::fs::write(folder.path().join("storage.conf"), conf).unwrap();
        Storage { home: self, folder }
    }

    /// Removes folders whose files belong to the user's subordinate ids, and on which podman mounts.
    fn remove_storage(&self, folder: &Path) {
        let script = "umount -l \"$0/overlay\" 2>/dev/null; rm -rf \"$0\"";
        let mut command = self.command("podman");
        command.args(["unshare", "sh", "-c", script]).arg(folder);
        // What is left is in a temporary folder, and said by nobody.
        let _ = command.output();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.remove_storage(&self.path("home/.local/share/containers/storage"));
        // Ends the pause process; where it cannot, that is a process that waits for nothing.
        let mut command = self.command("podman");
        command.args(["system", "migrate"]).current_dir("/");
        let _ = command.output();
    }
}

/// A storage of its own in a home; gone when it is dropped.
pub(crate) struct Storage<'a> {
    home: &'a Home,
    folder: TempDir,
}

impl Storage<'_> {
    pub(crate) fn of(&self, mut command: Command) -> Command {
        let conf = self.folder.path().join("storage.conf");
        command.env("CONTAINERS_STORAGE_CONF", conf);
        command
    }

    pub(crate) fn podman(&self, args: &[&str]) {
        let mut command = self.of(self.home.command("podman"));
        command.args(args);
        run(&mut command).unwrap();
    }
}

impl Drop for Storage<'_> {
    fn drop(&mut self) {
        self.home.remove_storage(&self.folder.path().join("g"));
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).into_iter().flatten().flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
