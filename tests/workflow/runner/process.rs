//! Decides how a step's process runs and ends, and what a cancelled one is sent.
//! Must never signal more than GitHub does: the step's first process alone, until all of it is killed.

use super::machine::Machine;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What comes after the first signal, when what was sent before has not ended it.
const SIGNALS: [(Signal, Duration); 2] = [
    (Signal::SIGINT, Duration::from_millis(7500)),
    (Signal::SIGTERM, Duration::from_millis(2500)),
];

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// None: by a signal that was not ours.
    Exited(Option<i32>),
    Cancelled,
}

/// Runs a command to its end; all that it says goes into `log`.
pub(crate) fn run(
    mut command: Command,
    log: &File,
    machine: &Machine,
    cancel: &CancellationToken,
) -> End {
    command
        .stdout(log.try_clone().unwrap())
        .stderr(log.try_clone().unwrap());
    let mut child = command.spawn().expect("scripts/rootless starts");
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return End::Exited(status.code());
        }
        if cancel.is_cancelled() {
            end(&mut child);
            machine.kill_all();
            let _ = child.wait();
            return End::Cancelled;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn end(child: &mut Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    for (signal, patience) in SIGNALS {
        // It is not waited for yet, so the id is still its own.
        kill(pid, signal).unwrap();
        let give_up = Instant::now() + patience;
        while Instant::now() < give_up {
            if child.try_wait().unwrap().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
