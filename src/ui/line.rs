//! Decides the line that an event is told in, where it is told in one: on a log always, above live lines if it lasts.
//! Must never pass on what moves a terminal's cursor.

use super::{
    Style,
    plain::{printable, visible},
    seconds, size,
};
use crate::events::{Event, Sent};

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// They stay, and there is nothing else: a file, a pipe, a log of CI.
    Log,
    /// They stay above live lines, which show what goes on.
    AboveLive,
}

/// The line for an event; none where it is not worth one at this verbosity.
pub(super) fn line(event: &Event, style: Style, sort: Sort) -> Option<String> {
    let indent = "  ";
    // What live lines show, or a summary tells, is a line of its own only where it is asked for.
    let unless_live = i8::from(sort == Sort::AboveLive);
    let (needed, text) = match event {
        Event::Stage(stage) => (0, style.paint("1", &format!("==> {}", stage.name()))),
        Event::BuildLine {
            image,
            platform,
            line,
        } => {
            let who = style.paint("2", &format!("{image} {platform} |"));
            (
                unless_live,
                format!("{indent}{who} {}", printable(line).trim_end()),
            )
        }
        Event::Built {
            image,
            platform,
            id,
            size: s,
            took,
        } => {
            let id: String = id.trim_start_matches("sha256:").chars().take(12).collect();
            let (s, took) = (size(*s), seconds(took.as_secs_f64()));
            (
                0,
                format!("{indent}built {image} {platform}: {id}, {s} in {took}"),
            )
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
            let how = match sent {
                Sent::Uploaded => "uploaded",
                Sent::Mounted => "mounted",
                Sent::Present => "was there",
            };
            let (digest, s) = (digest.short(), size(*s));
            (1, format!("{indent}{place}: layer {digest} {how}, {s}"))
        }
        // Told by what becomes of them.
        Event::Building { .. }
        | Event::Step { .. }
        | Event::Pushing { .. }
        | Event::Expect { .. }
        | Event::Progress { .. }
        | Event::Settled { .. }
        | Event::Fact(_)
        | Event::Pushed { .. } => return None,
        Event::Manifest { place, digest } => (unless_live, format!("{indent}{place}@{digest}")),
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
            ..
        } => {
            let wait = seconds(delay.as_secs_f64());
            let reason = visible(reason);
            let text = format!("{indent}{host}: {reason}; trying again in {wait}");
            // Quiet or not, a log shows why nothing happens; on a terminal the registry's own line does.
            let needed = if sort == Sort::AboveLive { 1 } else { -1 };
            (needed, style.paint("33", &text))
        }
        Event::Warning(text) => (
            -1,
            format!("{} {}", style.paint("1;33", "warning:"), visible(text)),
        ),
        Event::Note(text) => (0, format!("{indent}{}", visible(text))),
    };
    (style.verbosity >= needed).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Stage;

    #[test]
    fn quiet_tells_warnings_and_waits_only() {
        let told = |event| line(&event, Style::plain(-1), Sort::Log);
        assert_eq!(told(Event::Stage(Stage::Push)), None);
        assert!(told(Event::Warning("x".to_owned())).is_some());
    }

    #[test]
    fn a_builds_output_cannot_move_the_cursor() {
        let event = Event::BuildLine {
            image: "a".to_owned(),
            platform: "linux/amd64".parse().unwrap(),
            line: "\u{1b}[2Jgo\u{202e}ne\r".to_owned(),
        };
        let told = line(&event, Style::plain(0), Sort::Log).unwrap();
        assert_eq!(told, "  a linux/amd64 | [2Jgone");
        let warning = line(
            &Event::Warning("a\u{1b}[A\rb\nc".to_owned()),
            Style::plain(0),
            Sort::Log,
        );
        assert_eq!(warning.unwrap(), "warning: a\\u{1b}[A\\rb\nc");
    }

    #[test]
    fn above_live_lines_only_what_lasts_is_told() {
        let event = Event::BuildLine {
            image: "a".to_owned(),
            platform: "linux/amd64".parse().unwrap(),
            line: "x".to_owned(),
        };
        assert_eq!(line(&event, Style::plain(0), Sort::AboveLive), None);
        assert!(line(&event, Style::plain(1), Sort::AboveLive).is_some());
    }
}
