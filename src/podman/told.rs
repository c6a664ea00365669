//! Decides how a build's output becomes lines, and its failure an error: the step, and what that printed last.
//! Must never pass a control character on to a terminal, nor grow with the output.

use super::id::ImageId;
use super::request::BuildRequest;
use super::steps::instruction;
use crate::error::{Error, Kind};
use crate::model::{platform::Platform, spec::Network, step_network};
use std::collections::VecDeque;

/// Lines of a failing step that are told.
const TAIL: usize = 20;
/// No line of a build's output is told longer.
const LINE_LIMIT: usize = 8 * 1024;

/// What a build has said so far: the step it is at, and the last lines of it.
pub(super) struct Told {
    containerfile: String,
    platform: Platform,
    network: Network,
    /// Whether a step asked for this machine's network that must not have it.
    pub(super) breaks_out: bool,
    /// `STEP 3/7: RUN …`
    step: String,
    tail: VecDeque<String>,
    /// A line whose end has not come yet.
    open: String,
    /// The last line, where it was an image's id.
    pub(super) id: Option<ImageId>,
}

impl Told {
    pub(super) fn new(request: &BuildRequest) -> Self {
        Told {
            containerfile: request.containerfile.display().to_string(),
            platform: request.platform.clone(),
            network: request.network,
            breaks_out: false,
            step: String::new(),
            tail: VecDeque::new(),
            open: String::new(),
            id: None,
        }
    }

    /// Takes a piece of output, whatever lines it begins or ends.
    pub(super) fn hear(&mut self, piece: &str, on_line: &mut (dyn FnMut(&str) + Send)) {
        for part in piece.split_inclusive(['\n', '\r']) {
            let text = part.trim_end_matches(['\n', '\r']);
            let room = LINE_LIMIT.saturating_sub(self.open.len());
            self.open.extend(text.chars().take(room));
            if text.len() < part.len() {
                self.end_line(on_line);
            }
        }
    }

    /// Ends the last line, which may lack its line break.
    pub(super) fn finish(&mut self, on_line: &mut (dyn FnMut(&str) + Send)) {
        if !self.open.is_empty() {
            self.end_line(on_line);
        }
    }

    fn end_line(&mut self, on_line: &mut (dyn FnMut(&str) + Send)) {
        let line = std::mem::take(&mut self.open);
        // `\r\n` ends one line, not two; a blank line says nothing either.
        if line.is_empty() {
            return;
        }
        on_line(&line);
        self.id = ImageId::parse(&line);
        if let Some(step) = step_of(&line) {
            self.breaks_out |= self.network == Network::Private
                && instruction(&line).is_some_and(step_network::asks);
            self.step = step;
            self.tail.clear();
            return;
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(printable(&line));
    }

    /// `Containerfile STEP 3/7: RUN …`
    pub(super) fn place(&self) -> String {
        match self.step.as_str() {
            "" => self.containerfile.clone(),
            step => format!("{} {step}", self.containerfile),
        }
    }

    pub(super) fn failure(&self, words: &str) -> Error {
        let what = format!("the build for {} failed: {words}", self.platform);
        let hint = if self.step.is_empty() {
            "mend the Containerfile, then run it again"
        } else {
            "mend that step, then run it again; the steps before it are cached"
        };
        Error::new(Kind::Build, what, self.place(), hint)
            .with_tail(self.tail.iter().cloned().collect())
    }
}

/// A step that is not built because it asks for another network than its image has.
pub(super) fn breaks_out(place: String) -> Error {
    Error::new(
        Kind::Build,
        "this step asks for this machine's network (RUN --network), which rpub.toml does not give it",
        place,
        "take --network from the step (a base's ONBUILD may have brought it), or set network = \"host\" in that [[image]]",
    )
}

/// `STEP 3/7: RUN …` of a line that announces a step, with the stage where there are several: `[1/2] STEP 3/7: …`.
fn step_of(line: &str) -> Option<String> {
    instruction(line).map(|_| {
        let mut step: String = printable(line).chars().take(120).collect();
        if line.chars().count() > 120 {
            step.push('…');
        }
        step
    })
}

/// Without the characters that would move a terminal's cursor.
fn printable(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_control() && c != '\t' { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn told() -> Told {
        Told::new(&BuildRequest {
            containerfile: PathBuf::from("Containerfile.api"),
            ..crate::podman::request::tests::request()
        })
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let mut told = told();
        let mut lines = Vec::new();
        for piece in [
            "STEP 1/2: FR",
            "OM x\nST",
            "EP 2/2: RUN y\r\n",
            "a\rb\n\n",
            "c",
        ] {
            told.hear(piece, &mut |line| lines.push(line.to_owned()));
        }
        told.finish(&mut |line| lines.push(line.to_owned()));
        assert_eq!(
            lines,
            ["STEP 1/2: FROM x", "STEP 2/2: RUN y", "a", "b", "c"]
        );
        assert_eq!(told.place(), "Containerfile.api STEP 2/2: RUN y");
        assert_eq!(told.failure("no").tail, ["a", "b", "c"]);
    }

    #[test]
    fn the_tail_is_the_last_lines_of_the_failing_step() {
        let mut told = told();
        told.hear("STEP 1/2: A\nbefore\n[2/2] STEP 2/2: B\n", &mut |_| {});
        for number in 0..30 {
            told.hear(&format!("\u{1b}[31m{number}\n"), &mut |_| {});
        }
        let error = told.failure("exit status 1");
        assert_eq!(error.kind, Kind::Build);
        assert_eq!(error.place, "Containerfile.api [2/2] STEP 2/2: B");
        assert_eq!(error.tail.len(), TAIL);
        assert_eq!(error.tail.first().unwrap(), " [31m10");
    }

    #[test]
    fn only_an_id_that_comes_last_is_the_image() {
        let id = "0123456789abcdef".repeat(4);
        for (text, found) in [
            (format!("{id}\n"), true),
            (id.clone(), true),
            (format!("{id}\nafter\n"), false),
            (format!("sha256:{id}\n"), false),
            (id.to_uppercase(), false),
            (String::new(), false),
        ] {
            let mut told = told();
            told.hear(&text, &mut |_| {});
            told.finish(&mut |_| {});
            assert_eq!(told.id.is_some(), found, "{text:?}");
        }
    }

    #[test]
    fn a_step_breaks_out_where_its_image_has_a_network_of_its_own() {
        for (network, step, expected) in [
            (Network::Private, "STEP 2/3: RUN --network=host x", true),
            (
                Network::Private,
                "[1/2] STEP 2/3: RUN --network=host x",
                true,
            ),
            (Network::Private, "STEP 2/3: RUN --network=none x", false),
            (Network::Host, "STEP 2/3: RUN --network=host x", false),
        ] {
            let mut told = told();
            told.network = network;
            told.hear(&format!("{step}\nSTEP 3/3: RUN x\n"), &mut |_| {});
            assert_eq!(told.breaks_out, expected, "{network} {step}");
        }
    }

    #[test]
    fn what_only_looks_like_a_step_is_output() {
        for (line, expected) in [
            ("STEP 1/7: RUN x", true),
            ("[1/2] STEP 1/7: RUN x", true),
            ("STEP one: x", false),
            ("STEP", false),
            ("[x", false),
            ("a STEP 1/2: b", false),
        ] {
            assert_eq!(step_of(line).is_some(), expected, "{line}");
        }
    }
}
