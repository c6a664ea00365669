//! Decides how another program is asked something: without rpub's secrets, and not for ever.
//! Must never wait for one that hangs, nor leave it running.

use crate::{model::fault::one_line, podman};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::process::Command;

/// podman, with what a podman of rpub's is given.
pub(super) fn podman(runtime_dir: Option<&Path>, args: &[&str]) -> Command {
    let mut command = Command::new("podman");
    command.args(args).env_clear().envs(podman::environment());
    if let Some(folder) = runtime_dir {
        command.env("XDG_RUNTIME_DIR", folder);
    }
    command
}

/// A program, with the same environment.
pub(super) fn program(path: &str, args: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(args).env_clear().envs(podman::environment());
    command
}

/// A remedy, as the user's shell would run it.
pub(super) fn shell(text: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", text]);
    command
}

/// What it prints; where it fails, the last line of its complaint.
pub(super) async fn run(mut command: Command, patience: Duration) -> Result<String, String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let running = async { command.output().await.map_err(|error| error.to_string()) };
    let output = tokio::time::timeout(patience, running).await;
    let output = output.map_err(|_| format!("no answer in {} s", patience.as_secs()))??;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said
        .lines()
        .rev()
        .map(one_line)
        .find(|line| !line.is_empty());
    Err(last.unwrap_or_else(|| output.status.to_string()))
}
