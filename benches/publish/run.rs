//! Decides how long a command takes, and what it needs of memory and processor.
//! Must never time a command that failed as if it had done its work.

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a run needed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// User and system time of the process and of all that it waited for.
    pub(crate) cpu: f64,
    /// The most memory that the process itself had, in MiB.
    pub(crate) peak: f64,
    /// The most that any of those that were watched had.
    pub(crate) largest: f64,
}

/// Runs a command to its end; how many seconds it took, or the last that it said.
pub(crate) fn run(command: &mut Command) -> Result<f64, String> {
    let begun = Instant::now();
    let (mut child, log) = spawn(command)?;
    let status = child.wait().map_err(|error| error.to_string())?;
    let wall = begun.elapsed().as_secs_f64();
    if status.success() {
        return Ok(wall);
    }
    Err(last_words(command, &log))
}

/// A release's seconds, and how many of them its builds took, as its own report says.
pub(crate) fn run_release(command: &mut Command) -> Result<(f64, f64), String> {
    let begun = Instant::now();
    let output = command.args(["--format", "json"]).output();
    let output = output.map_err(|error| error.to_string())?;
    let wall = begun.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut stages = report["stages"].as_array().unwrap().iter();
    let build = stages.find(|stage| stage["name"] == "build").unwrap();
    Ok((wall, build["seconds"].as_f64().unwrap()))
}

/// Runs a command to its end; what it needed. For `largest` those that descend from `watched` are looked at, else from it.
pub(crate) fn run_watched(command: &mut Command, watched: Option<u32>) -> Result<Taken, String> {
    let (mut child, log) = spawn(command)?;
    let pid = child.id();
    let done = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut peaks = (0.0_f64, 0.0_f64);
            while !done.load(Ordering::Relaxed) {
                let family = family(watched.unwrap_or(pid)).into_iter();
                let largest = family.map(peak_of).fold(0.0, f64::max);
                peaks = (peaks.0.max(peak_of(pid)), peaks.1.max(largest));
                std::thread::sleep(Duration::from_millis(50));
            }
            peaks
        });
        // Left unreaped, so that what it took can still be read.
        let all = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        let ended = waitid(Id::Pid(Pid::from_raw(pid.cast_signed())), all);
        done.store(true, Ordering::Relaxed);
        let cpu = cpu_of(pid);
        let (peak, largest) = looking.join().unwrap_or_default();
        ended.map(|_| Taken { cpu, peak, largest })
    });
    if !child.wait().is_ok_and(|status| status.success()) {
        return Err(last_words(command, &log));
    }
    taken.map_err(|error| error.to_string())
}

fn spawn(command: &mut Command) -> Result<(Child, File), String> {
    let log = tempfile::tempfile().map_err(|error| error.to_string())?;
    let both = || log.try_clone().map_err(|error| error.to_string());
    command.stdout(both()?).stderr(both()?);
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command
        .spawn()
        .map_err(|error| format!("{name}: {error}"))?;
    Ok((child, log))
}

fn last_words(command: &Command, log: &File) -> String {
    let mut text = String::new();
    let mut log = log;
    // A log that cannot be read leaves the failure without words.
    let _ = log.rewind();
    let _ = log.read_to_string(&mut text);
    let from = text.lines().count().saturating_sub(8);
    let words: Vec<&str> = text.lines().skip(from).collect();
    let args: Vec<_> = command
        .get_args()
        .map(|arg| arg.to_string_lossy())
        .collect();
    let program = command.get_program().to_string_lossy();
    format!(
        "`{program} {}` failed: {}",
        args.join(" "),
        words.join(" / ")
    )
}

/// `VmHWM` of a process, in MiB; 0 of one that is gone.
fn peak_of(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok());
    kib.map_or(0.0, |kib: f64| kib / 1024.0)
}

/// The fields of /proc/PID/stat after the name, which may hold spaces: state, parent, …
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Seconds of processor that a process and those it waited for have had.
pub(crate) fn cpu_of(pid: u32) -> f64 {
    let fields = stat(pid).unwrap_or_default();
    let ticks = fields.iter().skip(11).take(4);
    let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0 // USER_HZ, the same on every Linux that Debian runs on
}

/// A process and all that descend from it.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let parent = pid.and_then(stat);
        let parent = parent.and_then(|fields| fields.get(1)?.parse::<u32>().ok());
        parents.extend(pid.zip(parent));
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let children = parents.iter().filter(|(_, of)| *of == parent);
        found.extend(children.map(|(pid, _)| *pid));
    }
    found
}

/// Seconds of processor of a process and all that descend from it.
pub(crate) fn cpu_of_family(root: u32) -> f64 {
    family(root).into_iter().map(cpu_of).sum()
}
