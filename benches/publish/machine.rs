//! Decides what is said of the machine and of the programs that were measured.
//! Must never tell what names the machine or its user.

use super::results::Machine;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

pub(crate) fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%d %H:%M UTC")
        .to_string()
}

/// The load averages of 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let words: Vec<&str> = text.split(' ').take(3).collect();
    words.join(" ")
}

pub(crate) fn here() -> Machine {
    let memory = value("/proc/meminfo", "MemTotal", ':').unwrap_or_default();
    let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
    Machine {
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        cpu: value("/proc/cpuinfo", "model name", ':').unwrap_or("unknown".to_owned()),
        memory_gib: (kib + 512 * 1024) / (1024 * 1024),
        system: value("/etc/os-release", "PRETTY_NAME", '=').unwrap_or("unknown".to_owned()),
        kernel: first_line(Command::new("uname").arg("-r")).unwrap_or_default(),
    }
}

/// What programs say of themselves; those that are missing are not there.
pub(crate) fn versions(rpub: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for name in ["podman", "buildah", "skopeo", "docker-registry", "crun"] {
        if let Some(line) = first_line(Command::new(name).arg("--version")) {
            found.insert(name.to_owned(), number(&line));
        }
    }
    if let Some(line) = first_line(Command::new(rpub).arg("--version")) {
        found.insert("rpub".to_owned(), number(&line));
    }
    if let Some(program) = super::build::docker() {
        for (name, args) in [
            ("docker", ["version", "--format={{.Server.Version}}"]),
            ("buildx", ["buildx", "version"]),
        ] {
            if let Some(line) = first_line(Command::new(&program).args(args)) {
                found.insert(name.to_owned(), number(&line));
            }
        }
    }
    found
}

/// Whether podman can be told how hard to compress: from 4.6 on.
pub(crate) fn podman_has_levels() -> bool {
    let line = first_line(Command::new("podman").arg("--version"));
    let version = line.and_then(|line| semver::Version::parse(&number(&line)).ok());
    version.is_some_and(|version| (version.major, version.minor) >= (4, 6))
}

/// The first word of a line that is a version: `podman version 4.3.1`.
fn number(line: &str) -> String {
    let mut words = line.split(' ');
    let digit = |word: &&str| {
        word.trim_start_matches('v')
            .starts_with(|c: char| c.is_ascii_digit())
    };
    words
        .find(digit)
        .unwrap_or(line)
        .trim_end_matches(',')
        .to_owned()
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim().to_owned())
}

/// What a file of `key: value` or `key=value` says of a key.
fn value(file: &str, key: &str, separator: char) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(separator)?;
        (found.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
    })
}
