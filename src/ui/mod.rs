//! Decides how events, results and errors look; the only room that prints.
//! Must never decide anything about a release, or put anything but results on stdout.

mod answer;
mod ask;
mod board;
mod doctor;
mod failure;
mod github;
mod line;
mod plain;
mod progress;
mod pruned;
mod rate;
mod recorder;
mod released;
mod report;
mod screen;
mod traffic;

pub use answer::Answer;
pub use ask::{YesNo, ask, can_ask};
pub use github::GitHub;
pub use progress::Progress;
pub use recorder::Recorder;
pub use report::ReportFile;

use crate::{error::Error, model::trace::Trace};
use clap::ValueEnum;
use std::io::{IsTerminal as _, Write as _};

/// How results are given on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// For programs: one JSON document, its form versioned by "schema".
    Json,
    /// For the matrix of a GitHub workflow, on one line; rpub plan only.
    GithubMatrix,
}

/// When to use colours on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or TERM is dumb.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How much to say, and whether in colours.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// -1 quiet, 0 usual, 1 and more: verbose.
    pub verbosity: i8,
    /// Whether stderr takes colours.
    pub color: bool,
}

impl Style {
    /// Without colours, for tests.
    #[cfg(test)]
    pub(crate) fn plain(verbosity: i8) -> Self {
        Self {
            verbosity,
            color: false,
        }
    }

    /// From the flags and the environment.
    pub fn new(verbose: u8, quiet: bool, color: Color) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                std::io::stderr().is_terminal() && !set("NO_COLOR") && !dumb
            }
        };
        let verbosity = if quiet {
            -1
        } else {
            i8::try_from(verbose).unwrap_or(i8::MAX)
        };
        Style { verbosity, color }
    }

    /// `text` in an ANSI style (`1` bold, `31` red …) where colours are on.
    fn paint(self, style: &str, text: &str) -> String {
        if self.color {
            format!("\u{1b}[{style}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A result, on stdout; for GitHub also outputs and summary. A reader that has gone away is no failure.
pub fn print(answer: &Answer, format: Format, style: Style, github: Option<&GitHub>) {
    let references = answer.references().filter(|_| style.verbosity < 0);
    let mut text = match format {
        Format::Human => references.unwrap_or_else(|| answer.human(columns())),
        Format::Json | Format::GithubMatrix => answer.json(),
    };
    // What rpub itself wrote for another program is no command, and must not be changed.
    let is_text = matches!(answer, Answer::Text(_));
    if !is_text {
        text = match format {
            Format::Human => plain::visible(&text),
            Format::Json | Format::GithubMatrix => plain::json(&text),
        };
    }
    if github.is_some() && !is_text {
        let harmless = github::harmless(&text);
        if harmless != text {
            text = match format {
                Format::Human => harmless,
                // The same document: a # stands in its strings only.
                Format::Json | Format::GithubMatrix => text.replace('#', "\\u0023"),
            };
        }
    }
    screen::aside(|| {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    });
    tell(
        &github
            .map(|github| github.result(answer))
            .unwrap_or_default(),
    );
}

/// How wide the terminal is that stdout is; None where it is none.
fn columns() -> Option<usize> {
    let size = console::Term::stdout().size_checked();
    let (_, columns) = size.filter(|_| std::io::stdout().is_terminal())?;
    Some(columns.into()).filter(|columns| *columns > 0)
}

/// A failure, on stderr: what, where, what to do; for GitHub also annotation and summary.
pub fn print_error(error: &Error, style: Style, github: Option<&GitHub>) {
    let text = failure::text(error, style);
    let Some(github) = github else {
        screen::aside(|| drop(std::io::stderr().lock().write_all(text.as_bytes())));
        return;
    };
    let mut lines = vec![github::harmless(text.trim_end())];
    lines.extend(github.failure(error));
    tell(&lines);
}

/// The HTML report of a run, however it ended; one that cannot be written is a warning.
pub fn leave_report(
    file: &ReportFile,
    trace: &Trace,
    result: Result<&Answer, &Error>,
    style: Style,
    github: Option<&GitHub>,
) {
    let Err(error) = file.write(trace, result) else {
        return;
    };
    let error = plain::visible(&error.to_string());
    let line = match github {
        Some(_) => github::warning(&error),
        None => format!("{} {error}", style.paint("1;33", "warning:")),
    };
    tell(&[line]);
}

/// What clap has to say: help and version on stdout, a wrong word on stderr; for GitHub also an annotation.
pub fn print_words(error: &clap::Error, github: Option<&GitHub>) {
    if !error.use_stderr() {
        let _ = error.print();
        return;
    }
    let text = error.render().to_string();
    let Some(github) = github else {
        // As clap paints it, but for words that would paint themselves.
        let told = plain::visible(&text);
        if told == text {
            let _ = error.print();
        } else {
            tell(&[told.trim_end().to_owned()]);
        }
        return;
    };
    let mut lines = vec![github::harmless(text.trim_end())];
    lines.extend(github.failure(&failure::of_words(&text)));
    tell(&lines);
}

fn tell(lines: &[String]) {
    let mut err = std::io::stderr().lock();
    for line in lines {
        let _ = writeln!(err, "{line}");
    }
}

/// Where tracing writes: stderr. In GitHub Actions no line of it can be a command.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// Whether this is GitHub Actions.
    pub github: bool,
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // tracing hands over whole events.
        let text = plain::log(&String::from_utf8_lossy(bytes));
        if self.github {
            let text = github::harmless(&text);
            std::io::stderr().lock().write_all(text.as_bytes())?;
        } else {
            screen::aside(|| std::io::stderr().lock().write_all(text.as_bytes()))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Bytes for people: `512 B`, `1.5 KiB`, `2.4 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Precision is lost far below what one decimal shows.
    #[allow(clippy::cast_precision_loss)]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Seconds for people: `0.3 s`, `2 min 5 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    // Positive and far below u64's end: stages take minutes.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = seconds.round() as u64;
    format!("{} min {} s", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_and_times_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (2_576_980_378, "2.4 GiB"),
        ] {
            assert_eq!(super::size(bytes), text);
        }
        assert_eq!(super::seconds(0.26), "0.3 s");
        assert_eq!(super::seconds(125.0), "2 min 5 s");
    }
}
