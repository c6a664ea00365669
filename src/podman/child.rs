//! Decides how a podman that rpub starts lives: a process group of its own, and an end with rpub's.
//! Must never outlive rpub, nor hand podman rpub's environment: that may hold registry tokens.

use super::connect::Connect;
use super::processes::{Process, processes};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long podman gets to end.
const GRACE: Duration = Duration::from_secs(10);

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

/// A running podman that is ours; dropping it ends it and waits for that.
pub(super) struct Child {
    pid: Pid,
    ending: Signal,
    /// Closed (with nothing sent) when the process has been reaped.
    ended: mpsc::Receiver<Infallible>,
    /// Tells the reaping thread that nobody will signal the process any more.
    release: Option<mpsc::Sender<Infallible>>,
}

impl Child {
    /// Starts the process on a thread of its own, after `before`. It ends by `ending`: when it is dropped, and when rpub is
    /// gone, however that happens.
    ///
    /// "Dies with its parent" means, to the kernel, with the *thread* that forked it: so that thread does nothing else
    /// than to start the process and wait for it, and lives until it is gone.
    pub(super) fn start(
        mut command: Command,
        ending: Signal,
        before: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        die_with_this_thread(&mut command, ending);
        let (tell, told) = mpsc::channel::<io::Result<Pid>>();
        let (release, released) = mpsc::channel::<Infallible>();
        let (reaping, ended) = mpsc::channel::<Infallible>();
        let thread = std::thread::Builder::new().name("podman".to_owned());
        let spawned = thread.spawn(move || {
            let _reaping = reaping;
            before();
            let spawned = command.spawn();
            // It holds what it gave the process: a pipe's end, which the process alone shall hold.
            drop(command);
            let mut child = match spawned {
                Ok(child) => child,
                Err(error) => {
                    // Nobody listens only where the engine was dropped meanwhile.
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            let pid = i32::try_from(child.id()).map(Pid::from_raw);
            let _ = tell.send(pid.map_err(io::Error::other));
            // Not reaped before the owner is done with its id: it could be another process's by then.
            let _ = released.recv();
            if let Err(error) = child.wait() {
                tracing::warn!(%error, "podman's end was not seen");
            }
        });
        spawned?;
        let pid = told
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("its thread ended")))?;
        Ok(Child {
            pid,
            ending,
            ended,
            release: Some(release),
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended; none as long as it runs.
    pub(super) fn end(&self) -> Option<WaitStatus> {
        // It stays a zombie until it is reaped, and it is reaped only after `release`: so its id stays ours.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.pid), flags) {
            Ok(WaitStatus::StillAlive) => None,
            Ok(status) => Some(status),
            // There is no such child any more, as far as the kernel says.
            Err(_) => Some(WaitStatus::Exited(self.pid, -1)),
        }
    }

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

    /// Whether any process of its group lives.
    ///
    /// It is not reaped before it is released, so the group's id stays ours.
    fn lives(&self) -> bool {
        processes().iter().any(|process| process.group == self.pid)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Signals may fail only because the processes have ended, which is what they are for.
        for process in self.others_among(&processes()) {
            let _ = kill(process.pid, self.ending);
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

/// podman, with neither arguments nor outputs yet, nor rpub's secrets, in a process group of its own.
pub(super) fn command(connect: &Connect) -> Command {
    let mut command = Command::new(&connect.podman);
    command
        .env_clear()
        .envs(environment())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A terminal's Ctrl-C must reach rpub, which then ends podman in order.
        .process_group(0);
    if let Some(runtime_dir) = &connect.runtime_dir {
        command.env("XDG_RUNTIME_DIR", runtime_dir);
    }
    command
}

/// Lets the kernel send the process this signal when the thread that starts it ends, however that happens.
#[allow(unsafe_code)]
pub(super) fn die_with_this_thread(command: &mut Command, signal: Signal) {
    let parent = nix::unistd::getpid();
    let set = move || {
        nix::sys::prctl::set_pdeathsig(signal)?;
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
