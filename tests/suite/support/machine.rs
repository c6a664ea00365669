//! Decides how a test gets a machine of its own: a home, runtime and temporary folders, and so a podman storage that
//! nobody else uses.
//! Must never leave a process, an image or a file behind, nor hand the test's own environment to what it starts.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A private home on this computer.
pub(crate) struct Machine(TempDir);

impl Machine {
    /// Panics for root, whose podman would look elsewhere.
    pub(crate) fn new() -> Self {
        assert!(
            !nix::unistd::geteuid().is_root(),
            "run it in scripts/rootless"
        );
        let root = tempfile::Builder::new().prefix("m-").tempdir().unwrap();
        for folder in ["home/.config/containers", "run", "tmp"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        fs::set_permissions(root.path().join("run"), Permissions::from_mode(0o700)).unwrap();
        // What scripts/rootless writes too: 4.3 would take vfs.
        let storage = root.path().join("home/.config/containers/storage.conf");
        fs::write(storage, "[storage]\ndriver = \"overlay\"\n").unwrap();
        Machine(root)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.0.path().join("home")
    }

    /// A command that lives on this machine.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        for name in ["PATH", "USER", "LOGNAME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command
            .env("HOME", self.0.path().join("home"))
            .env("XDG_RUNTIME_DIR", self.0.path().join("run"))
            .env("TMPDIR", self.0.path().join("tmp"))
            // Without git the time of a build is the clock's, and no two images would be the same.
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .stdin(Stdio::null());
        command
    }

    /// rpub in a folder, running.
    pub(crate) fn start(&self, folder: &Path, args: &[&str]) -> Running {
        self.start_in(folder, args, &[])
    }

    fn start_in(&self, folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Running {
        // Not on the machine: they would be files that somebody left there.
        let log = || tempfile::NamedTempFile::new().unwrap();
        let (stdout, stderr) = (log(), log());
        let child = self
            .command(env!("CARGO_BIN_EXE_rpub"))
            .current_dir(folder)
            .args(args)
            .envs(env.iter().copied())
            .stdout(stdout.reopen().unwrap())
            .stderr(stderr.reopen().unwrap())
            .spawn()
            .unwrap();
        Running {
            child,
            stdout,
            stderr,
        }
    }

    /// rpub in a folder, to its end.
    pub(crate) fn rpub(&self, folder: &Path, args: &[&str]) -> Ran {
        self.start(folder, args).wait()
    }

    /// The same, with more in its environment.
    pub(crate) fn rpub_with(&self, folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Ran {
        self.start_in(folder, args, env).wait()
    }

    /// What podman prints; it must succeed.
    pub(crate) fn podman(&self, args: &[&str]) -> String {
        let mut command = self.command("podman");
        // podman 5.6 and newer reads it too, and takes no --timestamp beside it.
        command.env_remove("SOURCE_DATE_EPOCH");
        let output = command.args(args).output().expect("podman");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "podman {args:?}: {complaint}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What podman says of an image.
    pub(crate) fn image(&self, reference: &str) -> Value {
        let text = self.podman(&["image", "inspect", reference]);
        serde_json::from_str::<Value>(&text).unwrap()[0].take()
    }

    /// Everything that somebody could have left here: podman's images and containers, files, processes.
    pub(crate) fn inventory(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let format = "{{.ID}} {{.Names}} {{.Size}}";
        for image in self
            .podman(&["images", "-a", "--no-trunc", "--format", format])
            .lines()
        {
            found.insert(format!("image {image}"));
        }
        for container in self.podman(&["ps", "-aq", "--external"]).lines() {
            found.insert(format!("container {container}"));
        }
        for file in self.files() {
            found.insert(format!("file {}", file.display()));
        }
        for (_, line) in self.processes() {
            found.insert(format!("process {line}"));
        }
        found
    }

    /// All files but podman's own: its storage, its runtime state, its lock for short names.
    fn files(&self) -> Vec<PathBuf> {
        let podmans = [
            "home/.local/share/containers",
            "home/.cache/containers",
            "run/libpod",
            "run/containers",
            "run/crun",
        ];
        let podmans = podmans.map(|path| self.0.path().join(path));
        let (mut todo, mut found) = (vec![self.0.path().to_owned()], Vec::new());
        while let Some(folder) = todo.pop() {
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if podmans.contains(&path) {
                    continue;
                }
                found.push(path.clone());
                if entry.file_type().unwrap().is_dir() {
                    todo.push(path);
                }
            }
        }
        found
    }

    /// The processes that were started on this machine, known by their environment; podman's pause process is its own
    /// affair. Whatever listens here is one of them.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let mut found = self.all_processes();
        found.retain(|(_, line)| !is_pause(line));
        found
    }

    fn all_processes(&self) -> Vec<(i32, String)> {
        let home = format!("HOME={}\0", self.0.path().join("home").display());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
                continue;
            };
            // Other users' processes cannot be read, and some end while we look.
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if String::from_utf8_lossy(&environment).contains(&home) {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                found.push((pid, line));
            }
        }
        found
    }
}

fn is_pause(line: &str) -> bool {
    line.starts_with("podman pause") || line.contains("catatonit -P")
}

impl Drop for Machine {
    fn drop(&mut self) {
        let storage = self.0.path().join("home/.local/share/containers");
        // Files of subordinate users can be removed only in podman's user namespace.
        let _ = self
            .command("podman")
            .args(["unshare", "rm", "-rf"])
            .arg(storage)
            .output();
        for (pid, _) in self.all_processes() {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// An rpub that runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: tempfile::NamedTempFile,
    stderr: tempfile::NamedTempFile,
}

impl Running {
    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ran {
        let mut peak_kib = 0;
        let status = loop {
            // Gone as soon as the process has ended; the highest that was seen counts.
            let peak = peak_of(&self.child.id().to_string());
            peak_kib = peak_kib.max(peak.unwrap_or(0));
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Ran {
            status,
            stdout: fs::read_to_string(self.stdout.path()).unwrap(),
            stderr: fs::read_to_string(self.stderr.path()).unwrap(),
            peak_kib,
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed on stdout so far.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(self.stdout.path()).unwrap()
    }

    /// Asks it to stop, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An rpub that has run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The most memory that it had at a time.
    pub(crate) peak_kib: u64,
}

impl Ran {
    /// It went well.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert!(self.status.success(), "{}\n{}", self.status, self.stderr);
        self
    }

    /// It ended with this exit code.
    #[track_caller]
    pub(crate) fn exit(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}", self.stderr);
        self
    }

    /// Its result, of `--format json`.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).expect("a JSON document on stdout")
    }
}

/// A folder with an rpub.toml and what it needs.
pub(crate) struct Project(TempDir);

impl Project {
    /// One image, `app`, for these platforms, of this Containerfile.
    pub(crate) fn new(platforms: &[&str], containerfile: &str) -> Self {
        let project = Project(tempfile::tempdir().unwrap());
        project.write("Containerfile", containerfile);
        project.write(
            "rpub.toml",
            &format!(
                "[[image]]\nname = \"app\"\ncontainerfile = \"Containerfile\"\nplatforms = {platforms:?}\n"
            ),
        );
        project
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    /// A file that does not compress, and that is the same for the same seed.
    pub(crate) fn noise(&self, name: &str, bytes: usize, seed: u64) {
        noise(&self.0.path().join(name), bytes, seed);
    }
}

/// The same at any path.
pub(crate) fn noise(path: &Path, bytes: usize, seed: u64) {
    let mut state = seed | 1;
    let noise = (0..bytes).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    });
    fs::write(path, noise.collect::<Vec<u8>>()).unwrap();
}

/// The most memory that a process ever had in use, in KiB; none of one that is gone.
fn peak_of(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim_end_matches("kB").trim().parse().ok()
}

/// The same of the process that the test runs in.
pub(crate) fn peak_memory() -> u64 {
    peak_of("self").unwrap()
}
