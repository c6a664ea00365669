//! Decides how tests see what somebody before a real terminal sees: a program in a tmux of its own, its pane, its keys.
//! Must never leave a tmux behind, nor wait without an end.

use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command as Program;

/// Said when the program has ended, with its exit code.
const ENDED: &str = "== ended with ";

/// A terminal in which a program runs; both end when this is dropped.
pub(crate) struct Terminal {
    folder: TempDir,
}

impl Terminal {
    /// Starts `program`, with its own environment and no other, in a pane of so many columns and rows.
    pub(crate) fn start(program: &Program, (columns, rows): (usize, usize)) -> Self {
        let terminal = Terminal {
            folder: tempfile::tempdir().unwrap(),
        };
        let quoted = |word: &std::ffi::OsStr| {
            let word = word.to_str().unwrap();
            format!("'{}'", word.replace('\'', "'\\''"))
        };
        let program = program.as_std();
        let mut words = vec![
            "env".to_owned(),
            "-i".to_owned(),
            "TERM=\"$TERM\"".to_owned(),
        ];
        for (name, value) in program.get_envs() {
            let name = name.to_str().unwrap();
            words.extend(value.map(|value| format!("{name}={}", quoted(value))));
        }
        words.push(quoted(program.get_program()));
        words.extend(program.get_args().map(quoted));
        let script = terminal.folder.path().join("script");
        let folder = quoted(program.get_current_dir().unwrap().as_os_str());
        let text = format!(
            "cd {folder}\ntrap : INT\n{}\necho \"{ENDED}$?\"\nexec sleep 600\n",
            words.join(" ")
        );
        std::fs::write(&script, text).unwrap();
        let (x, y) = (columns.to_string(), rows.to_string());
        let script = format!("sh {}", script.display());
        terminal.tmux(&["new-session", "-d", "-x", &x, "-y", &y, &script]);
        terminal
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(self.folder.path().join("socket"))
            // No configuration; its status line would take a row.
            .args(["-f", "/dev/null", "-u"])
            .args(args)
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("tmux is installed");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {args:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What stands in the pane now.
    pub(crate) fn pane(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// All that was ever in it and not taken away; lines that the terminal broke are whole again.
    pub(crate) fn history(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-"])
    }

    /// Whether the cursor is seen.
    pub(crate) fn has_cursor(&self) -> bool {
        self.tmux(&["display", "-p", "#{cursor_flag}"]).trim() == "1"
    }

    /// Presses a key: `C-c`.
    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Makes the window as wide as this.
    pub(crate) fn resize(&self, columns: usize) {
        self.tmux(&["resize-window", "-x", &columns.to_string()]);
    }

    /// The exit code, once the program has ended.
    pub(crate) fn ended(&self) -> Option<i32> {
        let history = self.history();
        let (_, code) = history.rsplit_once(ENDED)?;
        Some(code.split_whitespace().next()?.parse().unwrap())
    }

    /// Looks at the pane again and again until `seen` is content with it, while the program runs.
    pub(crate) async fn until(&self, what: &str, mut seen: impl FnMut(&str) -> bool) {
        let give_up = Instant::now() + Duration::from_mins(2);
        while !seen(&self.pane()) {
            let history = self.history();
            assert!(self.ended().is_none(), "it ended without {what}: {history}");
            assert!(Instant::now() < give_up, "{what}: not in {history}");
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    /// Waits for the end of the program, and shows `look` the pane meanwhile; the exit code.
    pub(crate) async fn watched(&self, mut look: impl FnMut(&str)) -> i32 {
        let give_up = Instant::now() + Duration::from_mins(2);
        loop {
            look(&self.pane());
            if let Some(code) = self.ended() {
                return code;
            }
            let history = self.history();
            assert!(Instant::now() < give_up, "it does not end: {history}");
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It fails only where the server has ended by itself.
        let socket = self.folder.path().join("socket");
        let kill = Command::new("tmux")
            .arg("-S")
            .arg(socket)
            .arg("kill-server")
            .output();
        drop(kill);
    }
}
