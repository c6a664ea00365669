//! Decides how events look on stderr while the work goes on.
//! Must never slow the work: it reads a channel, and nobody waits for it but the end.

use super::{GitHub, Style, size};
use crate::events::{Event, Sent};
use std::{io::Write as _, sync::Arc};
use tokio::{sync::mpsc::UnboundedReceiver, task::JoinHandle};

/// The task that tells events until all senders are gone.
pub struct Progress(JoinHandle<()>);

impl Progress {
    /// Begins to tell what `receiver` gives.
    pub fn start(
        mut receiver: UnboundedReceiver<Event>,
        style: Style,
        github: Option<Arc<GitHub>>,
    ) -> Self {
        Progress(tokio::spawn(async move {
            // Nobody reads stderr any more: there is nobody to tell.
            let tell = |line: &str| drop(writeln!(std::io::stderr().lock(), "{line}"));
            while let Some(event) = receiver.recv().await {
                let line = line(&event, style);
                let line = match &github {
                    Some(github) => github.line(&event, line),
                    None => line,
                };
                if let Some(line) = line {
                    tell(&line);
                }
            }
            if let Some(end) = github.as_deref().and_then(GitHub::end) {
                tell(end);
            }
        }))
    }

    /// Waits until everything has been told. All senders must be gone or going.
    pub async fn finish(self) {
        // A panic in the task has printed itself; there is nothing else to tell.
        let _ = self.0.await;
    }
}

/// The line for an event; none where it is not worth one at this verbosity.
fn line(event: &Event, style: Style) -> Option<String> {
    let indent = "  ";
    let (needed, text) = match event {
        Event::Stage(stage) => (0, style.paint("1", &format!("==> {}", stage.name()))),
        Event::BuildLine {
            image,
            platform,
            line,
        } => {
            let who = style.paint("2", &format!("{image} {platform} |"));
            (0, format!("{indent}{who} {}", printable(line)))
        }
        Event::Built {
            image,
            platform,
            id,
        } => {
            let short: String = id.trim_start_matches("sha256:").chars().take(12).collect();
            (0, format!("{indent}built {image} {platform}: {short}"))
        }
        Event::Received { digest, size: s } => (
            1,
            format!("{indent}podman sent {} {}", digest.short(), size(*s)),
        ),
        Event::Blob {
            place,
            digest,
            size: s,
            sent,
        } => {
            let (needed, how) = match sent {
                Sent::Uploaded => (0, "uploaded"),
                Sent::Mounted => (0, "mounted"),
                Sent::Present => (1, "was there"),
            };
            (
                needed,
                format!(
                    "{indent}{place}: layer {} {how}, {}",
                    digest.short(),
                    size(*s)
                ),
            )
        }
        Event::Progress { .. } | Event::Fact(_) => return None,
        Event::Manifest { place, digest } => (0, format!("{indent}{place}@{digest}")),
        Event::Tagged { place, tag, digest } => {
            (0, format!("{indent}{place}:{tag} -> {}", digest.short()))
        }
        Event::Deleted {
            place,
            digest,
            reason,
        } => (
            0,
            format!("{indent}{place}@{} deleted: {reason}", digest.short()),
        ),
        Event::Waiting {
            host,
            delay,
            reason,
        } => {
            let wait = super::seconds(delay.as_secs_f64());
            let text = format!("{indent}{host}: {reason}; trying again in {wait}");
            (-1, style.paint("33", &text))
        }
        Event::Warning(text) => (-1, format!("{} {text}", style.paint("1;33", "warning:"))),
        Event::Note(text) => (0, format!("{indent}{text}")),
    };
    (style.verbosity >= needed).then_some(text)
}

/// A line of somebody else's output, without what would move the cursor.
fn printable(line: &str) -> String {
    line.chars()
        .filter(|c| !c.is_control() || *c == '\t')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Stage;

    #[test]
    fn quiet_tells_warnings_and_waits_only() {
        let quiet = Style {
            verbosity: -1,
            color: false,
        };
        assert_eq!(line(&Event::Stage(Stage::Push), quiet), None);
        assert!(line(&Event::Warning("x".to_owned()), quiet).is_some());
    }

    #[test]
    fn a_builds_output_cannot_move_the_cursor() {
        let event = Event::BuildLine {
            image: "a".to_owned(),
            platform: "linux/amd64".parse().unwrap(),
            line: "\u{1b}[2Jgone\r".to_owned(),
        };
        let style = Style {
            verbosity: 0,
            color: false,
        };
        assert_eq!(line(&event, style).unwrap(), "  a linux/amd64 | [2Jgone");
    }
}
