//! Decides what a Containerfile says that podman would stumble over, as far as its text alone tells.
//! Must never guess: what holds a variable or a pattern is left to podman.

use crate::model::containerfile::{here_documents, instructions};

/// Every instruction that podman knows.
const KNOWN: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// A path of the build context that is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The line, from 1.
    pub line: usize,
    /// As it is written.
    pub source: String,
}

fn keyword(instruction: &str) -> String {
    let first = instruction.split_whitespace().next().unwrap_or_default();
    first.to_ascii_uppercase()
}

/// The first word that is no instruction, and its line from 1.
pub(super) fn unknown_instruction(text: &str) -> Option<(usize, String)> {
    let mut all = instructions(text).into_iter();
    let (line, instruction) = all.find(|(_, one)| !KNOWN.contains(&keyword(one).as_str()))?;
    let word = instruction.split_whitespace().next().unwrap_or_default();
    Some((
        line + 1,
        word.chars().filter(|c| !c.is_control()).take(40).collect(),
    ))
}

/// Whether there is a FROM.
pub(super) fn has_stage(text: &str) -> bool {
    instructions(text)
        .iter()
        .any(|(_, one)| keyword(one) == "FROM")
}

/// The line, from 1, of the first here-document.
pub(super) fn here_document(text: &str) -> Option<usize> {
    let mut all = instructions(text).into_iter();
    all.find(|(_, one)| !here_documents(one).is_empty())
        .map(|(line, _)| line + 1)
}

/// What is copied from the build context by plain paths.
pub fn copied(text: &str) -> Vec<Copied> {
    let mut found = Vec::new();
    for (line, instruction) in instructions(text) {
        if !matches!(keyword(&instruction).as_str(), "COPY" | "ADD")
            || !here_documents(&instruction).is_empty()
        {
            continue;
        }
        let rest = instruction.trim_start().split_once(char::is_whitespace);
        let mut rest = rest.map_or("", |(_, rest)| rest.trim_start());
        let mut from_elsewhere = false;
        while rest.starts_with("--") {
            let (flag, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            from_elsewhere |= flag.starts_with("--from");
            rest = after.trim_start();
        }
        if from_elsewhere {
            continue;
        }
        let mut words: Vec<String> = if rest.starts_with('[') {
            serde_json::from_str(rest.trim()).unwrap_or_default()
        } else if rest.contains(['"', '\'', '\\']) {
            Vec::new()
        } else {
            rest.split_whitespace().map(str::to_owned).collect()
        };
        // The last one is where they go.
        words.pop();
        let plain = |word: &String| !word.contains(['$', '*', '?', '[', ':']);
        found.extend(words.into_iter().filter(plain).map(|source| Copied {
            line: line + 1,
            source,
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_of_the_context_are_told() {
        let text = "FROM a\nCOPY x y/ /z\nCOPY --from=b q /\nADD --chown=1:1 \\\n  w /\nADD https://h/x /\n\
                    COPY $V *.c /\nCOPY [\"a b\", \"c\", \"/d\"]\nCOPY <<EOF /e\nCOPY no /\nEOF\nRUN cp f g\n";
        let found = copied(text);
        let found: Vec<(usize, &str)> = found
            .iter()
            .map(|one| (one.line, one.source.as_str()))
            .collect();
        assert_eq!(found, [(2, "x"), (2, "y/"), (4, "w"), (8, "a b"), (8, "c")]);
    }

    #[test]
    fn here_documents_and_unknown_words_are_found_by_line() {
        let text = "FROM a\n\nRUN cat \\\n <<EOF\nFOO\nEOF\nCMD x";
        assert_eq!(
            (here_document(text), unknown_instruction(text)),
            (Some(3), None)
        );
        assert_eq!(
            unknown_instruction("FROM a\nFOO x"),
            Some((2, "FOO".to_owned()))
        );
        assert!(has_stage("from a") && !has_stage("# FROM a"));
        assert_eq!(here_document("FROM a\nRUN cat <<<x"), None);
    }
}
