//! Decides what a report of a bug needs to know: this rpub, this machine, its podman, the configuration.
//! Must never hold a secret, start an engine, or wait long for a podman that hangs.

use super::plan::Env;
use crate::podman::Connect;
use std::{
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// `podman --version` reads no storage and takes no lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// A line for each.
pub fn text(config: &Path, env: &Env) -> String {
    let podman = podman().unwrap_or_else(str::to_owned);
    let lines = [
        ("rpub", env!("CARGO_PKG_VERSION").to_owned()),
        (
            "commit",
            option_env!("RPUB_COMMIT").unwrap_or("unknown").to_owned(),
        ),
        ("target", env!("RPUB_BUILT_FOR").to_owned()),
        (
            "rustc",
            env!("RPUB_BUILT_BY")
                .trim_start_matches("rustc ")
                .to_owned(),
        ),
        ("system", system()),
        ("podman", podman),
        ("socket", socket(env)),
        ("config", configuration(config)),
    ];
    let line = |(name, value): (&str, String)| format!("{name} {value}\n");
    lines.into_iter().map(line).collect()
}

/// podman's version, by its own word; else why there is none.
pub(super) fn podman() -> Result<String, &'static str> {
    let mut child = Command::new("podman")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|_| "not found")?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            _ => {
                // Killed, it is waited for without end no more.
                let _ = child.kill();
                let _ = child.wait();
                return Err("does not answer");
            }
        }
    };
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        // A child of its own may keep the pipe open: what is there is enough.
        let _ = read_some(stdout, &mut said);
    }
    let version = said.split_whitespace().last().filter(|_| status.success());
    version.map(str::to_owned).ok_or("does not work")
}

/// One read: a version is one line.
fn read_some(mut from: impl std::io::Read, into: &mut String) -> std::io::Result<()> {
    let mut bytes = [0; 512];
    let length = from.read(&mut bytes)?;
    into.push_str(&String::from_utf8_lossy(&bytes[..length]));
    Ok(())
}

/// The distribution's name for itself, and the kernel's.
fn system() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or("unknown", |name| name.trim_matches('"'));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{name}, Linux {}", kernel.trim())
}

/// Where rpub would look for the engine first.
fn socket(env: &Env) -> String {
    let named = ["RPUB_URL", "CONTAINER_HOST"].into_iter();
    let mut named = named.filter_map(|name| Some((name, env(name).filter(|url| !url.is_empty())?)));
    if let Some((name, url)) = named.next() {
        // Another URL may hold a login.
        let path = url.strip_prefix("unix://").unwrap_or(&url);
        return if path.starts_with('/') {
            format!("{path} ({name}, {})", there(Path::new(path)))
        } else {
            format!("{name} names no unix socket")
        };
    }
    let Some(folder) = Connect::from_env(None).runtime_dir else {
        return "none: XDG_RUNTIME_DIR is not set".to_owned();
    };
    let path = folder.join("podman/podman.sock");
    format!("{} ({})", path.display(), there(&path))
}

fn there(socket: &Path) -> &'static str {
    match std::fs::metadata(socket) {
        Ok(found) if found.file_type().is_socket() => "there",
        Ok(_) => "no socket",
        Err(_) => "not there",
    }
}

fn configuration(path: &Path) -> String {
    let path: PathBuf = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = if path.is_file() { "there" } else { "not there" };
    format!("{} ({found})", path.display())
}
