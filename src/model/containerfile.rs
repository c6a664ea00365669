//! Decides whether a Containerfile declares a HEALTHCHECK for the image that comes out of it, and where labels go in it.
//! Must never build or check a Containerfile: podman does that, and this only reads what must not get lost.

use super::variables::expand;
use std::collections::BTreeMap;

/// Whether the last stage, or the one called `target` (a name or an index from 0), has a HEALTHCHECK of its own or
/// from a stage it is FROM.
///
/// What a base image from a registry brings along is not known here and does not count. `false` too for a target that
/// is not there: podman refuses that build by itself.
pub fn declares_healthcheck(text: &str, target: Option<&str>) -> bool {
    published(&stages(text), target).is_some_and(|stage| stage.healthcheck)
}

/// The text with one LABEL at the end of the stage that is published, so that labels are one step, always the same one.
///
/// podman's own `labels` parameter makes a step of each, in an order that changes from build to build, and with it the
/// image's id. The text is unchanged where there is no label or no such stage.
pub fn with_labels(text: &str, target: Option<&str>, labels: &BTreeMap<String, String>) -> String {
    let stages = stages(text);
    let Some(stage) = published(&stages, target).filter(|_| !labels.is_empty()) else {
        return text.to_owned();
    };
    let escape = escape_character(text);
    let quoted = |text: &str| {
        let mut out = String::from('"');
        for c in text.chars() {
            if c == '"' || c == '$' || c == escape {
                out.push(escape);
            }
            // A line break would end the instruction.
            out.push(if c.is_control() { ' ' } else { c });
        }
        out.push('"');
        out
    };
    let mut instruction = String::from("LABEL");
    for (key, value) in labels {
        for part in [" ", &quoted(key), "=", &quoted(value)] {
            instruction.push_str(part);
        }
    }
    let mut lines: Vec<&str> = text.lines().collect();
    lines.insert(stage.end.min(lines.len()), &instruction);
    let mut out = lines.join("\n");
    out.push('\n');
    out
}

struct Stage {
    name: Option<String>,
    healthcheck: bool,
    /// The line at which the next stage begins, counted from 0; past the last line for the last stage.
    end: usize,
}

/// The stage whose image is published.
fn published<'a>(stages: &'a [Stage], target: Option<&str>) -> Option<&'a Stage> {
    let Some(target) = target else {
        return stages.last();
    };
    let named = stages.iter().position(|stage| stage.is_called(target));
    stages.get(named.or_else(|| target.parse().ok())?)
}

impl Stage {
    fn is_called(&self, name: &str) -> bool {
        let own = self.name.as_deref();
        own.is_some_and(|own| own.eq_ignore_ascii_case(name))
    }
}

fn stages(text: &str) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    // ARGs before the first FROM: a stage may be chosen by one.
    let mut arguments: BTreeMap<String, String> = BTreeMap::new();
    for (line, instruction) in instructions(text) {
        let mut words = instruction.split_whitespace();
        let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
        match (keyword.as_str(), stages.last_mut()) {
            ("FROM", _) => {
                let mut words = words.skip_while(|word| word.starts_with("--"));
                let base = expand(words.next().unwrap_or_default(), &arguments);
                let name = words
                    .next()
                    .filter(|word| word.eq_ignore_ascii_case("AS"))
                    .and_then(|_| words.next())
                    .map(str::to_owned);
                // A later stage of the same name hides the earlier one.
                let parent = stages.iter().rev().find(|stage| stage.is_called(&base));
                let parent = parent.or_else(|| stages.get(base.parse::<usize>().ok()?));
                let healthcheck = parent.is_some_and(|stage| stage.healthcheck);
                if let Some(before) = stages.last_mut() {
                    before.end = line;
                }
                stages.push(Stage {
                    name,
                    healthcheck,
                    end: usize::MAX,
                });
            }
            ("ARG", None) => {
                for (key, value) in words.filter_map(|word| word.split_once('=')) {
                    let value = value.trim_matches(['"', '\'']).to_owned();
                    arguments.insert(key.to_owned(), value);
                }
            }
            // The last one counts; `HEALTHCHECK NONE` takes back what came from below.
            ("HEALTHCHECK", Some(stage)) => {
                let command = words.find(|word| !word.starts_with("--"));
                stage.healthcheck = command.is_some_and(|word| !word.eq_ignore_ascii_case("NONE"));
            }
            _ => {}
        }
    }
    stages
}

/// The instructions, one line each: continuations joined, comments and here-documents gone; each with the line it
/// begins at, counted from 0.
pub(super) fn instructions(text: &str) -> Vec<(usize, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = escape_character(text);
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut open = String::new();
    let mut begin = 0;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        // Within a continued instruction too, comments and blank lines are skipped.
        if line.trim_start().starts_with('#') || line.trim().is_empty() {
            continue;
        }
        if open.is_empty() {
            begin = at - 1;
        }
        if let Some(part) = line.trim_end().strip_suffix(escape) {
            open.push_str(part);
            continue;
        }
        open.push_str(line);
        let instruction = std::mem::take(&mut open);
        for (end, tabs) in here_documents(&instruction) {
            let is_end = |body: &&str| {
                let body = body.trim_end_matches('\r');
                end == if tabs {
                    body.trim_start_matches('\t')
                } else {
                    body
                }
            };
            // One that never ends is none: podman before 5 knows no here-documents at all.
            if let Some(length) = lines.iter().skip(at).position(is_end) {
                at += length + 1;
            }
        }
        found.push((begin, instruction));
    }
    if !open.is_empty() {
        found.push((begin, open));
    }
    found
}

/// The escape character that a parser directive sets: `# escape=` among the first lines, before anything else.
fn escape_character(text: &str) -> char {
    for line in text.lines() {
        let directive = line
            .trim_start()
            .strip_prefix('#')
            .and_then(|rest| rest.split_once('='));
        let Some((key, value)) = directive else { break };
        if key.trim().contains(char::is_whitespace) {
            break;
        }
        if key.trim().eq_ignore_ascii_case("escape") {
            return if value.trim() == "`" { '`' } else { '\\' };
        }
    }
    '\\'
}

/// The here-documents that a RUN, COPY or ADD opens: each one's last line, and whether tabs before it are cut (`<<-`).
pub(super) fn here_documents(instruction: &str) -> Vec<(String, bool)> {
    let keyword = instruction.split_whitespace().next().unwrap_or_default();
    if !["RUN", "COPY", "ADD"]
        .iter()
        .any(|known| keyword.eq_ignore_ascii_case(known))
    {
        return Vec::new();
    }
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in instruction.chars() {
        match quote {
            None if c.is_whitespace() => {
                words.push(String::new());
                continue;
            }
            None if matches!(c, '"' | '\'') => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    let opened = |word: &String| {
        let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let word = word.strip_prefix("<<")?;
        let (word, tabs) = word.strip_prefix('-').map_or((word, false), |w| (w, true));
        let name = word.replace(['"', '\''], "");
        (!name.is_empty() && !name.contains('<')).then_some((name, tabs))
    };
    words.iter().filter_map(opened).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_one_instruction_at_the_end_of_the_published_stage() {
        let labels = BTreeMap::from([
            (
                "a".to_owned(),
                "one \"two\" $three \\ `four`\nfive".to_owned(),
            ),
            ("b".to_owned(), String::new()),
        ]);
        let said = r#"LABEL "a"="one \"two\" \$three \\ `four` five" "b"="""#;
        let two = "FROM scratch AS one\nCMD a\n# about two\nFROM one AS two\nRUN b \\\n  c";
        for (text, target, expected) in [
            ("FROM scratch", None, format!("FROM scratch\n{said}\n")),
            (two, None, format!("{two}\n{said}\n")),
            (two, Some("1"), format!("{two}\n{said}\n")),
            (
                two,
                Some("one"),
                format!(
                    "FROM scratch AS one\nCMD a\n# about two\n{said}\nFROM one AS two\nRUN b \\\n  c\n"
                ),
            ),
            (two, Some("nobody"), two.to_owned()),
            ("", None, String::new()),
        ] {
            assert_eq!(
                with_labels(text, target, &labels),
                expected,
                "{text} {target:?}"
            );
        }
        assert_eq!(
            with_labels("FROM scratch", None, &BTreeMap::new()),
            "FROM scratch"
        );
        let other = with_labels("# escape=`\nFROM scratch", None, &labels);
        assert!(other.contains("`\"two`\" `$three \\ ``four``"), "{other}");
    }

    #[test]
    #[allow(clippy::too_many_lines)] // a table
    fn a_healthcheck_counts_where_it_reaches_the_image() {
        for (text, target, expected) in [
            ("", None, false),
            ("FROM scratch", None, false),
            ("FROM scratch\nHEALTHCHECK CMD true", None, true),
            (
                "from scratch\nhealthcheck --interval=5s cmd true",
                None,
                true,
            ),
            (
                "FROM scratch\n  HEALTHCHECK --timeout=3s \\\n  --retries=2 \\\n CMD [\"/x\"]",
                None,
                true,
            ),
            ("FROM scratch\nHEALTHCHECK NONE", None, false),
            (
                "FROM scratch\nHEALTHCHECK CMD a\nHEALTHCHECK NONE",
                None,
                false,
            ),
            (
                "FROM scratch\nHEALTHCHECK NONE\nHEALTHCHECK CMD a",
                None,
                true,
            ),
            ("FROM scratch\n# HEALTHCHECK CMD a", None, false),
            ("FROM scratch\nONBUILD HEALTHCHECK CMD a", None, false),
            ("FROM scratch\nRUN echo \\\nHEALTHCHECK CMD a", None, false),
            (
                "FROM scratch\nRUN echo \\\n# a comment\n\nHEALTHCHECK CMD a",
                None,
                false,
            ),
            ("FROM scratch\nRUN echo \\ \nHEALTHCHECK CMD a", None, false),
            (
                "# escape=`\nFROM scratch\nRUN echo \\\nHEALTHCHECK CMD a",
                None,
                true,
            ),
            (
                "# syntax=x\n# escape=`\nFROM scratch\nRUN echo `\nHEALTHCHECK CMD a",
                None,
                false,
            ),
            (
                "# no directive here = a\n# escape=`\nFROM scratch\nRUN echo \\\nHEALTHCHECK CMD a",
                None,
                false,
            ),
            ("FROM a AS x\nHEALTHCHECK CMD a\nFROM b", None, false),
            ("FROM a AS x\nHEALTHCHECK CMD a\nFROM X", None, true),
            (
                "FROM a AS x\nHEALTHCHECK CMD a\nFROM x AS y\nFROM --platform=linux/arm64 y",
                None,
                true,
            ),
            (
                "FROM a AS x\nHEALTHCHECK CMD a\nFROM x\nHEALTHCHECK NONE",
                None,
                false,
            ),
            ("FROM a\nHEALTHCHECK CMD a\nFROM 0", None, true),
            ("FROM a AS x\nHEALTHCHECK CMD a\nFROM b", Some("x"), true),
            ("FROM a AS x\nHEALTHCHECK CMD a\nFROM b", Some("0"), true),
            ("FROM a AS x\nFROM b\nHEALTHCHECK CMD a", Some("x"), false),
            ("FROM a AS x\nHEALTHCHECK CMD a", Some("nowhere"), false),
            (
                "ARG BASE=x\nFROM a AS x\nHEALTHCHECK CMD a\nFROM ${BASE}",
                None,
                true,
            ),
            (
                "FROM a AS x\nHEALTHCHECK CMD a\nFROM ${BASE:-x}",
                None,
                true,
            ),
            ("FROM a\nRUN <<EOF\nHEALTHCHECK CMD a\nEOF", None, false),
            (
                "FROM a\nRUN <<-\"EOF\" cat\nHEALTHCHECK CMD a\n\t\tEOF\nHEALTHCHECK CMD b",
                None,
                true,
            ),
            (
                "FROM a\nCOPY <<one <<two /\none\nHEALTHCHECK CMD a\ntwo\n",
                None,
                false,
            ),
            ("FROM a\nRUN cat <<<EOF\nHEALTHCHECK CMD a\nEOF", None, true),
            (
                "FROM a\nRUN echo \"<<EOF\"\nHEALTHCHECK CMD a\nEOF",
                None,
                true,
            ),
            ("FROM a\nRUN cat <<EOF\nHEALTHCHECK CMD a", None, true),
            (
                "FROM a\nRUN echo $((1 << 2))\nHEALTHCHECK CMD a",
                None,
                true,
            ),
            ("FROM a\r\nHEALTHCHECK CMD a\r\n", None, true),
            ("FROM a\nHEALTHCHECK", None, false),
            ("HEALTHCHECK CMD a", None, false),
        ] {
            assert_eq!(
                declares_healthcheck(text, target),
                expected,
                "{text:?} {target:?}"
            );
        }
    }
}
