//! Decides how tests run the real rpub on a project of their own, and what must be true after every run of it.
//! Must never leave an image, a process or a folder behind.

use super::engine::native;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// The login that tests use; neither it nor its encoded form may be seen anywhere.
pub(crate) const USER: &str = "somebody";
pub(crate) const PASSWORD: &str = "s3cret-Pa55word";
/// `base64("somebody:s3cret-Pa55word")`
pub(crate) const BASIC: &str = "c29tZWJvZHk6czNjcmV0LVBhNTV3b3Jk";

/// What an image is made of where it does not matter.
pub(crate) const PLAIN: &str = "FROM scratch\nCOPY text /text\nHEALTHCHECK CMD [\"/x\"]\n";

/// A folder with an rpub.toml, a Containerfile and a shell, and an image name that nobody else has.
pub(crate) struct Project {
    folder: TempDir,
    /// `XDG_CACHE_HOME`: in the environment of every process of a run, which is how they are told from all others.
    cache: TempDir,
    /// `XDG_STATE_HOME`: journals and locks of its runs alone.
    state: TempDir,
    /// podman's storage: with others in it, podman 4.3 fails when one of them removes an image.
    storage: TempDir,
    image: String,
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) pid: u32,
    /// None where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A run that has not ended.
pub(crate) struct Running {
    child: Child,
    pid: u32,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStderr>>,
    err: String,
}

impl Project {
    /// One image for this machine, made by `containerfile`; no failure is waited for.
    pub(crate) fn new(test: &str, containerfile: &str) -> Self {
        let project = Project {
            folder: tempfile::tempdir().unwrap(),
            cache: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
            storage: tempfile::tempdir().unwrap(),
            image: format!("bad-{test}-{}", std::process::id()),
        };
        let at = project.storage.path().display();
        let storage =
            format!("[storage]\ndriver = \"overlay\"\nrootless_storage_path = \"{at}/g\"\n");
        std::fs::write(project.storage_conf(), storage).unwrap();
        // The pause process that podman leaves for all of the user's later podmans must not be one of a run's.
        project.podman(&["unshare", "true"]);
        project.write("Containerfile", containerfile);
        project.write("text", test);
        std::fs::copy("/bin/busybox", project.path("busybox")).expect("busybox-static");
        let toml = format!(
            "[retry]\nfirst_delay = 0\n[[image]]\nname = \"{}\"\nplatforms = [\"{}\"]\n",
            project.image,
            native()
        );
        project.write("rpub.toml", &toml);
        project
    }

    /// An image of one small file.
    pub(crate) fn plain(test: &str) -> Self {
        Project::new(test, PLAIN)
    }

    /// The image's name.
    pub(crate) fn image(&self) -> &str {
        &self.image
    }

    /// A path in its folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// `XDG_CACHE_HOME` of its runs.
    pub(crate) fn cache(&self) -> &Path {
        self.cache.path()
    }

    /// `XDG_STATE_HOME` of its runs.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn write(&self, relative: &str, text: &str) {
        std::fs::write(self.path(relative), text).unwrap();
    }

    fn storage_conf(&self) -> PathBuf {
        self.storage.path().join("storage.conf")
    }

    /// podman's command line on the project's storage; what it printed.
    pub(crate) fn podman(&self, args: &[&str]) -> String {
        let output = std::process::Command::new("podman")
            .args(args)
            .env("CONTAINERS_STORAGE_CONF", self.storage_conf())
            .output()
            .expect("podman");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "podman {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A podman service on the project's storage that is none of a run's processes; it ends when it is dropped.
    pub(crate) async fn service(&self) -> (Child, PathBuf) {
        let socket = self.storage.path().join("s");
        let child = Command::new("podman")
            .args(["system", "service", "--time=0"])
            .arg(format!("unix://{}", socket.display()))
            .env("CONTAINERS_STORAGE_CONF", self.storage_conf())
            .kill_on_drop(true)
            .spawn()
            .expect("podman");
        super::engine::eventually("podman listens", || socket.exists()).await;
        (child, socket)
    }

    /// An auth file with the login for these hosts; its path.
    pub(crate) fn login(&self, hosts: &[&str]) -> String {
        let entries: Vec<String> = hosts
            .iter()
            .map(|host| format!("{host:?}: {{\"auth\": {BASIC:?}}}"))
            .collect();
        self.write(
            "auth.json",
            &format!("{{\"auths\": {{{}}}}}", entries.join(", ")),
        );
        self.path("auth.json").display().to_string()
    }

    /// rpub in the project's folder, with an environment that says nothing but where things are.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_by(env!("CARGO_BIN_EXE_rpub"), args)
    }

    /// The same, started by another program.
    pub(crate) fn command_by(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path());
        command.env_clear();
        for name in ["PATH", "HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("XDG_CACHE_HOME", self.cache());
        command.env("XDG_STATE_HOME", self.state());
        command.env("CONTAINERS_STORAGE_CONF", self.storage_conf());
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    /// Runs rpub to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Outcome {
        Running::start(self.command(args)).finish().await
    }

    /// Releases v1.2.3 to these registries, with the login for them.
    pub(crate) async fn release(&self, hosts: &[&str]) -> Outcome {
        self.run(&self.release_args(hosts).each()).await
    }

    /// The arguments of that.
    pub(crate) fn release_args(&self, hosts: &[&str]) -> ReleaseArgs {
        let to: Vec<String> = hosts.iter().map(|h| format!("http://{h}/ns")).collect();
        ReleaseArgs(to.join(","), self.login(hosts))
    }

    /// What must be true after any run, however it ended.
    pub(crate) fn is_clean_after(&self, run: &Outcome) {
        Project::tells_no_secret(run);
        self.holds_no_secret();
        // How Rust's Debug writes structs, options and the errors of its library.
        for debug in ["panicked", "Some(", "Err(", " { kind", "Os { ", "Custom {"] {
            assert!(!run.err.contains(debug), "{debug} in {}", run.err);
        }
        assert!(
            !self.cache().join("rpub").exists(),
            "the spool is left: {}",
            run.err
        );
        let images = self.podman(&["images", "-a", "--format", "{{.Repository}}:{{.Tag}}"]);
        let of_this_run = format!(":run-{:x}-", run.pid);
        assert!(!images.contains(&of_this_run), "{images} after {}", run.err);
        let processes = self.processes();
        assert!(processes.is_empty(), "{processes:?} after {}", run.err);
    }

    /// Checks a failure: exit code, the three parts with these words in them, and that nothing is left.
    pub(crate) fn failed(&self, run: &Outcome, code: i32, what: &str, at: &str, next: &str) {
        assert_eq!(run.code, Some(code), "{}\n{}", run.err, run.out);
        assert_eq!(run.out, "", "a failure has no result");
        for (part, words) in [("error: ", what), ("   at: ", at), (" next: ", next)] {
            let lines: Vec<&str> = run.err.lines().filter(|l| l.starts_with(part)).collect();
            assert_eq!(lines.len(), 1, "one line {part:?} in {}", run.err);
            assert!(
                lines[0].contains(words),
                "{words:?} in {part:?} of {}",
                run.err
            );
        }
        self.is_clean_after(run);
    }

    /// The processes of this project's runs: their ids and command lines.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let mark = format!("XDG_CACHE_HOME={}", self.cache().display());
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
                continue;
            };
            let read = |name| std::fs::read(entry.path().join(name)).unwrap_or_default();
            if String::from_utf8_lossy(&read("environ")).contains(&mark) {
                let line = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
                found.push((pid, line));
            }
        }
        found
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // podman mounts the storage on itself, and its files are its subordinate users'.
        let script = "umount -l \"$0/g/overlay\" 2>/dev/null; rm -rf \"$0/g\"";
        let _ = std::process::Command::new("podman")
            .args(["unshare", "sh", "-c", script])
            .arg(self.storage.path())
            .output();
    }
}

/// `release v1.2.3 --to … --authfile …`
pub(crate) struct ReleaseArgs(String, String);

impl ReleaseArgs {
    pub(crate) fn each(&self) -> [&str; 6] {
        ["release", "v1.2.3", "--to", &self.0, "--authfile", &self.1]
    }
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("rpub starts");
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Running {
            pid: child.id().unwrap(),
            child,
            lines,
            err: String::new(),
        }
    }

    /// Waits for a line of stderr that holds `text`.
    pub(crate) async fn until(&mut self, text: &str) {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            self.err.push_str(&line);
            self.err.push('\n');
            if line.contains(text) {
                return;
            }
        }
        panic!("it ended without saying {text:?}: {}", self.err);
    }

    /// Waits, with a bound, until something holds, while rpub runs.
    pub(crate) async fn while_not(&mut self, what: &str, mut holds: impl FnMut() -> bool) {
        let give_up = Instant::now() + Duration::from_mins(2);
        while !holds() {
            assert!(Instant::now() < give_up, "{what}: not after two minutes");
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut rest = String::new();
                while let Ok(Some(line)) = self.lines.next_line().await {
                    rest.push_str(&line);
                    rest.push('\n');
                }
                panic!("{what}: it ended before, {status}: {}{rest}", self.err);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal to it, and to it alone.
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn finish(mut self) -> Outcome {
        let mut out = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        let reading = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.err.push_str(&line);
                self.err.push('\n');
            }
        };
        let (read, ()) = tokio::join!(stdout.read_to_string(&mut out), reading);
        read.unwrap();
        let status = self.child.wait().await.unwrap();
        Outcome {
            pid: self.pid,
            code: status.code(),
            out,
            err: self.err,
        }
    }
}
