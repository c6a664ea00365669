//! Decides how rpub's own `podman system service` is started: with a private socket, in the user's namespace.
//! Must never outlive rpub, nor call podman well before it answers.

use super::child::{self, Child};
use super::connect::Connect;
use super::engine_error;
use super::libpod::Libpod;
use super::network::closing_loopback;
use super::peer::Peer;
use super::views;
use crate::error::{Error, Result};
use crate::model::fault::one_line;
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A socket's path may have 107 bytes; this leaves room for the file's name.
const FOLDER_LIMIT: usize = 80;
/// What of podman's stderr is told.
const COMPLAINT_LIMIT: u64 = 8 * 1024;

/// A running `podman system service` that is ours; dropping it ends it and waits for that.
pub(super) struct Service {
    child: Child,
    /// How it was started.
    connect: Connect,
    /// PATH, where that is not rpub's own: in it slirp4netns closes this machine's loopback.
    path: Option<OsString>,
    folder: TempDir,
}

impl Service {
    /// Starts one and waits until it answers.
    pub(super) async fn start(connect: &Connect) -> Result<(Self, Peer)> {
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
        let peer = service.wait_until_it_answers(connect.patience).await?;
        Ok((service, peer))
    }

    fn socket(&self) -> PathBuf {
        socket_in(self.folder.path())
    }

    /// podman once more, as the service was started: the same one, for the same storage.
    pub(super) fn command(&self) -> Command {
        command(&self.connect, self.path.as_ref())
    }

    /// Whether a slirp4netns that it starts closes this machine's loopback.
    pub(super) fn closes_loopback(&self) -> bool {
        self.path.is_some()
    }

    /// Ends the commands of steps that it builds.
    pub(super) fn stop_steps(&self) {
        self.child.stop_steps();
    }

    /// Where the socket is: nobody else can enter, and it is removed with the service.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether podman finds the same files in a folder, by its real path. It joins the user's namespace, where that may be
    /// another folder, or none: that of a service with a `/tmp` of its own, for one.
    pub(super) fn sees(&self, folder: &Path) -> bool {
        views::sees(self.child.pid(), folder)
    }

    async fn wait_until_it_answers(&self, patience: Duration) -> Result<Peer> {
        let give_up = Instant::now() + patience;
        loop {
            if let Ok(peer) = Peer::at(&self.socket(), patience).await
                && Libpod::new(&peer)?.ping(patience).await.is_ok()
            {
                return Ok(peer);
            }
            let gone = self.child.end().is_some();
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

/// podman, with that PATH if any.
fn command(connect: &Connect, path: Option<&OsString>) -> Command {
    let mut command = child::command(connect);
    command.envs(path.map(|path| ("PATH", path)));
    command
}

fn spawn(connect: &Connect, folder: TempDir) -> Result<Service> {
    let path = closing_loopback(folder.path());
    let open = || -> Result<Command> {
        let stderr = stderr_in(folder.path());
        let open = File::options().create(true).append(true).open(&stderr);
        let stderr = open.map_err(|error| Error::io("write", &stderr, &error))?;
        let mut command = command(connect, path.as_ref());
        command.stderr(stderr);
        Ok(command)
    };
    let mut service = open()?;
    service
        .args(["system", "service", "--time=0"])
        .arg(format!("unix://{}", socket_in(folder.path()).display()));
    // podman takes some 30 ms to find that out.
    let there = connect.runtime_dir.as_deref().is_some_and(has_namespace);
    let namespace = open()?;
    let patience = connect.patience;
    let before = move || {
        if !there {
            make_namespace(namespace, patience);
        }
    };
    match Child::start(service, Signal::SIGTERM, before) {
        Ok(child) => Ok(Service {
            child,
            connect: connect.clone(),
            path,
            folder,
        }),
        Err(error) => Err(not_started(connect, &error)),
    }
}

/// Why podman could not be started.
fn not_started(connect: &Connect, error: &io::Error) -> Error {
    let place = connect.podman.display().to_string();
    if error.kind() == io::ErrorKind::NotFound {
        return engine_error(
            "podman is not installed",
            place,
            "install it (Debian, Ubuntu: `sudo apt-get install podman uidmap slirp4netns`; Fedora: `sudo dnf install podman`), or name a running one with --url",
        );
    }
    engine_error(
        format!("podman cannot be started: {error}"),
        place,
        "run `podman info` as this user to see why",
    )
}

/// Whether the user's namespace is there: podman notes which process keeps it.
fn has_namespace(runtime_dir: &Path) -> bool {
    let keeper = std::fs::read_to_string(runtime_dir.join("libpod/tmp/pause.pid"));
    let keeper = keeper.ok().and_then(|id| id.trim().parse::<u32>().ok());
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/user")).ok();
    let theirs = keeper.and_then(|keeper| namespace(&keeper.to_string()));
    theirs.is_some() && theirs != namespace("self")
}

/// Lets podman make the user's namespace, where this is its first call since the machine started.
///
/// Otherwise the service would make it, and run as a second process from then on, which podman 4.3 leaves behind when
/// the first one dies with rpub. With the namespace there, the service is one process.
fn make_namespace(mut command: Command, patience: Duration) {
    child::die_with_this_thread(&mut command, Signal::SIGTERM);
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
