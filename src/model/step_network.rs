//! Decides whether a step of a Containerfile asks podman for another network than the one that the build gives it.
//! Must never miss one: what cannot be read for sure counts.

use super::containerfile::instructions;

/// The first step that asks: its line, counted from 1.
///
/// podman and rpub may differ over where an instruction ends: podman takes an escape directive only in the first line, and
/// knows here-documents from 4.8 on. So a step counts that any reading of the text finds.
pub fn first_that_asks(containerfile: &str) -> Option<usize> {
    let readings = ['\\', '`'].map(|escape| without_here_documents(containerfile, escape));
    let all = readings.into_iter().flatten();
    all.chain(instructions(containerfile))
        .filter(|(_, step)| asks(step))
        .map(|(line, _)| line.saturating_add(1))
        .min()
}

/// The instructions where lines go on behind this character, and here-documents are none; each with its line, from 0.
fn without_here_documents(containerfile: &str, escape: char) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in containerfile.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let (begin, mut text) = open.take().unwrap_or((number, String::new()));
        if let Some(part) = line.strip_suffix(escape) {
            text.push_str(part);
            open = Some((begin, text));
        } else {
            text.push_str(line);
            found.push((begin, text));
        }
    }
    found.extend(open);
    found
}

/// Whether an instruction is `RUN --network=…` with anything but `none` and `default`.
pub fn asks(instruction: &str) -> bool {
    let mut words = instruction.split_whitespace();
    if !words.next().is_some_and(|w| w.eq_ignore_ascii_case("RUN")) {
        return false;
    }
    let asks = |word: &str| {
        word.strip_prefix("--network")
            .is_some_and(|value| !matches!(value, "=none" | "=default"))
    };
    let plain = |word: &str| !word.contains(['"', '\'', '\\', '`', '$']);
    let options: Vec<&str> = words.clone().take_while(|w| w.starts_with("--")).collect();
    if options.iter().all(|word| plain(word)) {
        return options.into_iter().any(asks);
    }
    // Quotes and escapes may hide where the options end, and variables what they are.
    options
        .iter()
        .any(|word| !word.starts_with("--mount=") && !plain(word))
        || words.any(|word| word.contains("--network") && !matches!(word, "--network=none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_step_that_wants_another_network_asks() {
        for (step, expected) in [
            ("RUN make", false),
            ("RUN --network=none make", false),
            (
                "run --mount=type=tmpfs,target=/x --network=default make",
                false,
            ),
            ("RUN --mount=type=cache,target=\"/a\" make", false),
            ("RUN docker run --network=host x", false),
            ("ONBUILD RUN --network=host x", false),
            ("COPY --network=host x /", false),
            ("RUN --network=host make", true),
            ("run --mount=type=tmpfs,target=/x --network=host make", true),
            ("RUN --network=$N make", true),
            ("RUN --network host make", true),
            ("RUN --net\\work=host make", true),
            ("RUN --\"network\"=host make", true),
            (
                "RUN --mount=\"type=tmpfs, target=/x\" --network=host make",
                true,
            ),
        ] {
            assert_eq!(asks(step), expected, "{step}");
        }
    }

    #[test]
    fn the_line_is_told() {
        let text = "FROM a\n# RUN --network=host x\nRUN a \\\n  --network=host\nRUN \\\n  --network=host b\n";
        assert_eq!(first_that_asks(text), Some(5));
        assert_eq!(first_that_asks("FROM a\nRUN b\n"), None);
    }

    #[test]
    fn a_step_that_only_one_reader_sees_asks_too() {
        for (text, line) in [
            // podman takes no escape behind another directive.
            (
                "# syntax=x\n# escape=`\nFROM a\nRUN true `\nRUN --network=host b\n",
                5,
            ),
            (
                "\u{feff}# escape=`\nFROM a\nRUN true `\nRUN --network=host b\n",
                4,
            ),
            (
                "# syntax=x\n# escape=`\nFROM a\nRUN\\\n  --network=host b\n",
                4,
            ),
            // podman before 4.8 knows no here-documents.
            ("FROM a\nRUN cat <<E\nRUN --network=host b\nE\n", 3),
        ] {
            assert_eq!(first_that_asks(text), Some(line), "{text}");
        }
        // Without a step in it, nothing is one.
        let text = "FROM a\nRUN make \\\n  --network=host\n# RUN --network=host b\n";
        assert_eq!(first_that_asks(text), None);
    }
}
