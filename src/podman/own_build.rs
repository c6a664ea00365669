//! Decides how podman builds as a process of rpub's own, from the folder itself, and what of its output is its last word.
//! Must never hand it a secret in an argument, nor wait for what outlives it.

use super::child::Child;
use super::libpod::{Failure, Progress};
use super::request::BuildRequest;
use super::service::Service;
use bytes::BytesMut;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use secrecy::ExposeSecret;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// How often podman is looked for while it says nothing: what a step left running holds the pipe open.
const LOOK: Duration = Duration::from_millis(200);
/// How often, where it is about to end.
const SOON: Duration = Duration::from_millis(5);
/// A longer line is passed on in pieces.
const PIECE: usize = 64 * 1024;
/// At SIGTERM a `podman build` is gone at once, and the command of its step runs on, nobody's child. SIGHUP it knows only while
/// a step runs, and passes that on.
const ENDING: Signal = Signal::SIGHUP;
/// How podman begins its last word where it fails.
const LAST_WORD: &str = "Error: ";

/// A `podman build` that runs, and what it says; dropping it ends it.
pub(super) struct OwnBuild {
    child: Child,
    said: pipe::Receiver,
    buffer: BytesMut,
    /// What may be podman's last word: that shows when nothing comes after it.
    held: Option<String>,
    /// What it reads; it goes when podman has.
    _files: TempDir,
}

/// What podman reads beside the folder.
pub(super) struct Files<'a> {
    pub(super) containerfile: &'a str,
    /// Patterns.
    pub(super) left_out: &'a [String],
}

impl OwnBuild {
    /// Starts podman as the service was started, whose version this is.
    pub(super) fn start(
        service: &Service,
        version: &str,
        request: &BuildRequest,
        context: &Path,
        files: &Files<'_>,
    ) -> io::Result<Self> {
        // Nobody else can enter the service's folder.
        let folder = TempDir::new_in(service.folder())?;
        let mut command = service.command();
        // What it warns of, a service keeps to itself as well.
        command
            .args(["--log-level=error", "build"])
            .args(request.options(version));
        let mut written = |option: &str, text: &str| {
            let path = folder.path().join(option.trim_start_matches('-'));
            std::fs::write(&path, text)?;
            command.arg(option).arg(path);
            io::Result::Ok(())
        };
        written("--file", files.containerfile)?;
        written("--ignorefile", &files.left_out.join("\n"))?;
        if let Some(cache) = request.usable_cache() {
            // Nobody else is asked in such a build, so nobody else's login is known to it.
            written("--authfile", cache.login_file().expose_secret())?;
        }
        command.arg(context);
        Self::of(command, folder)
    }

    /// Starts a process that reads these files.
    fn of(mut command: Command, files: TempDir) -> io::Result<Self> {
        let (said, says) = io::pipe()?;
        command.stdout(says.try_clone()?).stderr(says);
        Ok(OwnBuild {
            child: Child::start(command, ENDING, || ())?,
            said: pipe::Receiver::from_owned_fd(said.into())?,
            buffer: BytesMut::new(),
            held: None,
            _files: files,
        })
    }

    /// Ends the commands of steps that it builds.
    pub(super) fn stop_steps(&self) {
        self.child.stop_steps();
    }

    /// What it says next, in whole lines where they are not too long; none at the end. A call that is given up loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Progress>, Failure> {
        loop {
            let line = match self.line(false) {
                Some(line) => line,
                None if self.hear().await? => continue,
                None => match self.line(true) {
                    Some(line) => line,
                    None => return self.last().await,
                },
            };
            let mut stream = self.held.take().unwrap_or_default();
            if line.starts_with(LAST_WORD) {
                self.held = Some(line);
            } else {
                stream.push_str(&line);
            }
            if !stream.is_empty() {
                return Ok(Some(said(stream)));
            }
        }
    }

    /// The next line of what was heard, with its line break; at the end what is left, too.
    fn line(&mut self, at_end: bool) -> Option<String> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n');
        let length = match end {
            Some(end) => end + 1,
            None if at_end || self.buffer.len() > PIECE => self.buffer.len(),
            None => 0,
        };
        let line = self.buffer.split_to(length);
        (length > 0).then(|| String::from_utf8_lossy(&line).into_owned())
    }

    /// Waits until podman says more; false when it will not any more.
    async fn hear(&mut self) -> Result<bool, Failure> {
        loop {
            // Looked at before it is listened to: what it said before its end is heard then.
            let ended = self.child.end().is_some();
            let hearing = self.said.read_buf(&mut self.buffer);
            match tokio::time::timeout(LOOK, hearing).await {
                Ok(Ok(bytes)) => return Ok(bytes > 0),
                Ok(Err(error)) => return Err(broken_off(error.to_string())),
                Err(_) if ended => return Ok(false),
                Err(_) => {}
            }
        }
    }

    /// What was held back, at podman's end: why it failed, where it did.
    async fn last(&mut self) -> Result<Option<Progress>, Failure> {
        let end = loop {
            match self.child.end() {
                Some(end) => break end,
                // It says nothing any more, so it is about to.
                None => tokio::time::sleep(SOON).await,
            }
        };
        let held = self.held.take();
        if matches!(end, WaitStatus::Exited(_, 0)) {
            return Ok(held.map(said));
        }
        let words = held
            .as_deref()
            .and_then(|line| line.strip_prefix(LAST_WORD));
        match (words, end) {
            (Some(words), _) => Ok(Some(Progress {
                stream: String::new(),
                error: words.to_owned(),
            })),
            (None, WaitStatus::Signaled(_, signal, _)) => {
                Err(broken_off(format!("{signal} ended it")))
            }
            (None, WaitStatus::Exited(_, code)) => {
                Err(broken_off(format!("it ended with exit code {code}")))
            }
            (None, _) => Err(broken_off("its end was not seen".to_owned())),
        }
    }
}

fn said(stream: String) -> Progress {
    Progress {
        stream,
        error: String::new(),
    }
}

fn broken_off(words: String) -> Failure {
    Failure {
        status: None,
        words,
        causes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;

    /// All that a shell says with this script, and how it ended.
    async fn heard(script: &str) -> (String, Result<String, String>) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0);
        let mut build = OwnBuild::of(command, tempfile::tempdir().unwrap()).unwrap();
        let mut all = String::new();
        loop {
            match build.next().await {
                Ok(Some(progress)) if !progress.error.is_empty() => {
                    return (all, Ok(progress.error));
                }
                Ok(Some(progress)) => all.push_str(&progress.stream),
                Ok(None) => return (all, Ok(String::new())),
                Err(failure) => return (all, Err(failure.words)),
            }
        }
    }

    #[tokio::test]
    async fn only_the_last_word_of_what_failed_is_its_error() {
        for (script, said, ended) in [
            ("printf 'a\nb'", "a\nb", Ok("")),
            ("echo a; echo 'Error: no' >&2; exit 1", "a\n", Ok("no\n")),
            (
                "echo 'Error: one'; echo 'Error: two'; echo a; exit 3",
                "Error: one\nError: two\na\n",
                Err("it ended with exit code 3"),
            ),
            ("echo 'Error: no'", "Error: no\n", Ok("")),
            ("kill -9 $$", "", Err("SIGKILL ended it")),
            // Who lives on with the pipe is not waited for.
            ("sleep 1000 & echo a", "a\n", Ok("")),
        ] {
            let ended = ended.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(heard(script).await, (said.to_owned(), ended), "{script}");
        }
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_no_matter_of_memory() {
        let (said, ended) = heard("head -c 1000000 /dev/zero | tr '\\0' x").await;
        assert_eq!((said.len(), ended), (1_000_000, Ok(String::new())));
    }
}
