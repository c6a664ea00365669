//! Decides how rpub's own `podman system service` lives: private socket, own process group, and an end with rpub's.
//! Must never outlive rpub, nor hand podman rpub's environment: that may hold registry tokens.

use super::engine_error;
use super::libpod::Libpod;
use super::processes::{Process, processes};
use super::socket::Connect;
use crate::error::{Error, Result};
use crate::model::fault::one_line;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::{File, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long podman gets to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);
/// A socket's path may have 107 bytes; this leaves room for the file's name.
const FOLDER_LIMIT: usize = 80;
/// What of podman's stderr is told.
const COMPLAINT_LIMIT: u64 = 8 * 1024;

/// What of rpub's environment podman needs: where things are and how to reach the network; no tokens.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "LANG",
    "DBUS_SESSION_BUS_ADDRESS",
    "REGISTRY_AUTH_FILE",
    "DOCKER_CONFIG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
/// … and all that begin like this.
const PASSED_ON_PREFIXES: &[&str] = &[
    "XDG_",
    "LC_",
    "CONTAINERS_",
    "STORAGE_",
    "BUILDAH_",
    "_CONTAINERS_",
];

/// A running `podman system service` that is ours; dropping it ends it and waits for that.
pub(super) struct Service {
    pid: Pid,
    /// Closed (with nothing sent) when the process has been reaped.
    ended: mpsc::Receiver<std::convert::Infallible>,
    /// Tells the reaping thread that nobody will signal the process any more.
    release: Option<mpsc::Sender<std::convert::Infallible>>,
    folder: TempDir,
}

impl Service {
    /// Starts one and waits until it answers.
    pub(super) async fn start(connect: &Connect) -> Result<Self> {
        let folder = private_folder(connect)?;
        let own = connect.clone();
        let spawned = tokio::task::spawn_blocking(move || spawn(&own, folder)).await;
        let service = spawned.map_err(|error| {
            engine_error(
                format!("starting podman broke off: {error}"),
                "podman system service",
                "report this: it is a mistake in rpub",
            )
        })??;
        service.wait_until_it_answers(connect.patience).await?;
        Ok(service)
    }

    pub(super) fn socket(&self) -> PathBuf {
        socket_in(self.folder.path())
    }

    /// Where the socket is: nobody else can enter, and it is removed with the service.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether podman finds the same folder at a path. It joins the user's namespace, where that path may be another
    /// folder, or none: that of a service with a `/tmp` of its own, for one.
    pub(super) fn sees(&self, folder: &Path) -> bool {
        let relative = folder.strip_prefix("/").unwrap_or(folder);
        let theirs = format!("/proc/{}/root", self.pid);
        let theirs = std::fs::metadata(Path::new(&theirs).join(relative));
        let known = |found: Metadata| (found.dev(), found.ino());
        match (std::fs::metadata(folder), theirs) {
            (Ok(ours), Ok(theirs)) => known(ours) == known(theirs),
            _ => false,
        }
    }

    async fn wait_until_it_answers(&self, patience: Duration) -> Result<()> {
        let libpod = Libpod::new(&self.socket())?;
        let give_up = Instant::now() + patience;
        loop {
            if self.socket().exists() && libpod.ping(patience).await.is_ok() {
                return Ok(());
            }
            let gone = self.has_ended();
            if gone || Instant::now() > give_up {
                let what = if gone {
                    "podman ended as soon as it was started"
                } else {
                    "podman was started but does not answer"
                };
                return Err(self.complaint(what));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn has_ended(&self) -> bool {
        // The child stays a zombie until it is reaped, and it is reaped only after `release`: so its id stays ours.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(
            waitid(Id::Pid(self.pid), flags),
            Ok(nix::sys::wait::WaitStatus::StillAlive)
        )
    }

    /// What podman wrote to stderr, as an error.
    fn complaint(&self, what: &str) -> Error {
        use std::io::Read as _;
        let mut words = Vec::new();
        if let Ok(file) = File::open(stderr_in(self.folder.path())) {
            // A file that cannot be read leaves the error without podman's words, and still an error.
            let _ = file.take(COMPLAINT_LIMIT).read_to_end(&mut words);
        }
        let words = String::from_utf8_lossy(&words);
        let lines: Vec<String> = words
            .lines()
            .map(one_line)
            .filter(|line| !line.is_empty())
            .collect();
        let what = lines
            .last()
            .map_or_else(|| what.to_owned(), |last| format!("{what}: {last}"));
        let tail = lines.iter().rev().take(20).rev().cloned().collect();
        engine_error(
            what,
            "podman system service",
            "run `podman info` as this user: what it complains about keeps rpub from working too",
        )
        .with_tail(tail)
    }
}

impl Service {
    /// Ends the commands of steps that are being built, so that podman sees the step fail and tidies up: hanging up
    /// does not do that, podman 4.3 builds on to the end for nobody.
    ///
    /// What runs a step's container is not told to stop as long as its command can be: told so in the moment after the
    /// start it dies without a word, and the command runs on, nobody's child.
    pub(super) fn stop_steps(&self) {
        let all = processes();
        for step in self.steps_among(&all) {
            let of_container = step.name.starts_with(b"buildah-oci-runtime");
            let commands = all
                .iter()
                .filter(|process| process.parent == step.pid && process.session == process.pid);
            let mut found = false;
            let mut ours = true;
            for command in commands {
                found = true;
                // It may have ended since it was seen; another user's, in the container, is not ours to kill.
                ours &= kill(command.pid, Signal::SIGKILL) != Err(Errno::EPERM);
            }
            if !of_container || found && !ours {
                let _ = kill(step.pid, Signal::SIGTERM);
            }
        }
    }

    /// What podman has started for the steps that are being built: buildah-oci-runtime, buildah-copier, …
    fn steps_among<'p>(&self, all: &'p [Process]) -> impl Iterator<Item = &'p Process> {
        let group = self.pid;
        all.iter()
            .filter(move |process| process.group == group && process.name.starts_with(b"buildah-"))
    }

    /// podman itself and its helpers; not what runs a step's container, which would leave that running.
    fn others_among<'p>(&self, all: &'p [Process]) -> impl Iterator<Item = &'p Process> {
        let group = self.pid;
        let of_step = |name: &[u8]| {
            name.starts_with(b"buildah-") || name.ends_with(b"crun") || name.ends_with(b"runc")
        };
        all.iter()
            .filter(move |process| process.group == group && !of_step(&process.name))
    }

    /// Whether any process of the service's group lives.
    ///
    /// The service is not reaped before it is released, so the group's id stays ours.
    fn lives(&self) -> bool {
        processes().iter().any(|process| process.group == self.pid)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Signals may fail only because the processes have ended, which is what they are for.
        for process in self.others_among(&processes()) {
            let _ = kill(process.pid, Signal::SIGTERM);
        }
        let give_up = Instant::now() + GRACE;
        // A step may begin even now: podman does not look back when it is told to end.
        while self.lives() && Instant::now() < give_up {
            self.stop_steps();
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = killpg(self.pid, Signal::SIGKILL);
        drop(self.release.take());
        // The channel closes when the thread has reaped it.
        let _ = self.ended.recv_timeout(GRACE);
    }
}

fn socket_in(folder: &Path) -> PathBuf {
    folder.join("podman.sock")
}

fn stderr_in(folder: &Path) -> PathBuf {
    folder.join("stderr")
}

/// A new folder that nobody else can enter, under the runtime folder where the socket's path fits there.
fn private_folder(connect: &Connect) -> Result<TempDir> {
    let parent = connect
        .runtime_dir
        .as_deref()
        .filter(|folder| folder.as_os_str().len() <= FOLDER_LIMIT)
        .unwrap_or(&connect.temp_dir);
    tempfile::Builder::new()
        .prefix("rpub-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(|error| Error::io("make a folder for podman's socket", parent, &error))
}

/// Starts the process on a thread of its own.
///
/// "Dies with its parent" means, to the kernel, with the *thread* that forked it: so that thread does nothing else than
/// to start the process and wait for it, and lives until it is gone.
fn spawn(connect: &Connect, folder: TempDir) -> Result<Service> {
    let mut command = command(connect, folder.path())?;
    command
        .args(["system", "service", "--time=0"])
        .arg(format!("unix://{}", socket_in(folder.path()).display()));
    let namespace = self::command(connect, folder.path())?;
    let patience = connect.patience;
    let (tell, told) = mpsc::channel::<std::io::Result<Pid>>();
    let (release, released) = mpsc::channel::<std::convert::Infallible>();
    let (ending, ended) = mpsc::channel::<std::convert::Infallible>();
    let thread = std::thread::Builder::new().name("podman-service".to_owned());
    let spawned = thread.spawn(move || {
        let _ending = ending;
        make_namespace(namespace, patience);
        let mut child: Child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                // Nobody listens only where the engine was dropped meanwhile.
                let _ = tell.send(Err(error));
                return;
            }
        };
        let pid = i32::try_from(child.id()).map(Pid::from_raw);
        let _ = tell.send(pid.map_err(std::io::Error::other));
        // Not reaped before the owner is done with its id: it could be another process's by then.
        let _ = released.recv();
        if let Err(error) = child.wait() {
            tracing::warn!(%error, "podman's end was not seen");
        }
    });
    let started = spawned.and_then(|_| {
        told.recv()
            .unwrap_or_else(|_| Err(std::io::Error::other("its thread ended")))
    });
    match started {
        Ok(pid) => Ok(Service {
            pid,
            ended,
            release: Some(release),
            folder,
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(engine_error(
            "podman is not installed",
            connect.podman.display().to_string(),
            "install it (Debian, Ubuntu: `sudo apt-get install podman uidmap slirp4netns`; Fedora: `sudo dnf install podman`), or name a running one with --url",
        )),
        Err(error) => Err(engine_error(
            format!("podman cannot be started: {error}"),
            connect.podman.display().to_string(),
            "run `podman info` as this user to see why",
        )),
    }
}

/// Lets podman make the user's namespace, where this is its first call since the machine started.
///
/// Otherwise the service would make it, and run as a second process from then on, which podman 4.3 leaves behind when
/// the first one dies with rpub. With the namespace there, the service is one process.
fn make_namespace(mut command: Command, patience: Duration) {
    // What is wrong, if anything is, the service's own start tells better.
    let Ok(mut child) = command.args(["unshare", "true"]).spawn() else {
        return;
    };
    let give_up = Instant::now() + patience;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > give_up {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What of rpub's environment a podman is given.
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(key, _)| {
        let key = key.to_string_lossy();
        PASSED_ON.contains(&key.as_ref())
            || PASSED_ON_PREFIXES
                .iter()
                .any(|prefix| key.starts_with(prefix))
    })
}

/// podman, with neither arguments yet nor rpub's secrets, in a process group of its own.
fn command(connect: &Connect, folder: &Path) -> Result<Command> {
    let stderr = stderr_in(folder);
    let open = File::options().create(true).append(true).open(&stderr);
    let stderr = open.map_err(|error| Error::io("write", &stderr, &error))?;
    let mut command = Command::new(&connect.podman);
    command
        .env_clear()
        .envs(environment())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        // A terminal's Ctrl-C must reach rpub, which then ends podman in order.
        .process_group(0);
    if let Some(runtime_dir) = &connect.runtime_dir {
        command.env("XDG_RUNTIME_DIR", runtime_dir);
    }
    die_with_this_thread(&mut command);
    Ok(command)
}

/// Lets the kernel end the process when the thread that starts it ends, however that happens.
#[allow(unsafe_code)]
fn die_with_this_thread(command: &mut Command) {
    let parent = nix::unistd::getpid();
    let set = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
        // The parent may have died before the call: then nothing would ever be sent.
        if nix::unistd::getppid() == parent {
            Ok(())
        } else {
            Err(std::io::Error::from(nix::Error::ESRCH))
        }
    };
    // SAFETY: between fork and exec `set` makes two system calls, prctl and getppid, both async-signal-safe; it
    // allocates nothing, takes no lock, and touches no memory but its own copy of `parent`.
    unsafe {
        command.pre_exec(set);
    }
}
