//! Decides that the documents say what is true of the program: commands parse, links lead somewhere, errors are ours.
//! Must never run a command of a document: `scripts/walk-guide` does.

mod markdown;
mod security;
mod shell;

use clap::Parser as _;
use markdown::Document;
use rpub::cli::Cli;
use std::{collections::BTreeSet, path::Path};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README, the other documents at the top, and all of docs.
fn documents() -> Vec<Document> {
    let mut found = Vec::new();
    for folder in [".", "docs", "docs/reference"] {
        let Ok(entries) = std::fs::read_dir(root().join(folder)) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Document::new(path, &text));
            }
        }
    }
    assert!(found.len() > 8, "they are found");
    found
}

fn document(name: &str) -> Document {
    let path = root().join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    Document::new(path, &text)
}

/// The arguments as a reader would give them, where the document shortens or abbreviates.
fn written_out(words: Vec<String>) -> Vec<String> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let whole = |word: String| match word.strip_prefix("sha256:") {
        Some(rest) if rest.ends_with('…') => digest.clone(),
        _ => word,
    };
    words.into_iter().map(whole).collect()
}

fn rejected(words: Vec<String>) -> Option<String> {
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion,
    };
    let error = Cli::try_parse_from(written_out(words)).err()?;
    let told = [
        DisplayHelp,
        DisplayVersion,
        DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    (!told.contains(&error.kind())).then(|| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().to_owned()
    })
}

#[test]
fn docs_commands_parse() {
    let (mut commands, mut wrong) = (0, Vec::new());
    for document in documents() {
        let scripts = document.blocks.iter().filter_map(|block| {
            let text = match block.language.as_str() {
                "sh" => block.text.clone(),
                "console" => block.text.lines().filter_map(typed).collect(),
                _ => return None,
            };
            Some((block.line, text))
        });
        for (line, text) in scripts.chain(document.spans.iter().cloned()) {
            for words in shell::commands(&text) {
                if words.first().is_some_and(|word| word == "rpub") {
                    commands += 1;
                    if let Some(why) = rejected(words) {
                        wrong.push(format!("{}:{line}: {text}\n    {why}", document.name()));
                    }
                }
            }
        }
    }
    assert!(commands > 40, "only {commands} commands are found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What stands behind a prompt.
fn typed(line: &str) -> Option<String> {
    line.strip_prefix("$ ")
        .map(|command| format!("{command}\n"))
}

#[test]
fn docs_links_lead_somewhere() {
    let (mut links, mut wrong) = (0, Vec::new());
    for document in documents() {
        for (line, link) in &document.links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            links += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = document.path.parent().unwrap();
            let target = match path {
                "" => document.path.clone(),
                path => folder.join(path),
            };
            let fine = if anchor.is_empty() {
                target.exists()
            } else {
                let text = std::fs::read_to_string(&target).unwrap_or_default();
                Document::new(target, &text).anchors.contains(anchor)
            };
            if !fine {
                wrong.push(format!("{}:{line}: {link}", document.name()));
            }
        }
    }
    assert!(links > 20, "only {links} links are found");
    assert!(
        wrong.is_empty(),
        "these lead nowhere:\n{}",
        wrong.join("\n")
    );
}

/// `scripts/demo`, `src/relay/cache.rs`: what a document names of the repository is there.
#[test]
fn docs_name_files_that_exist() {
    let rooms = [
        "scripts/",
        "src/",
        "tests/",
        "docs/",
        "schemas/",
        "examples/",
    ];
    let (mut named, mut wrong) = (BTreeSet::new(), Vec::new());
    for document in documents() {
        let blocks = document.blocks.iter().filter(|b| b.language != "text");
        let texts = blocks.map(|block| (block.line, block.text.clone()));
        for (line, text) in texts.chain(document.spans.iter().cloned()) {
            for word in text.split_whitespace() {
                let word = word
                    .trim_start_matches("./")
                    .trim_end_matches([',', ';', ':']);
                if word.contains(['*', '{', '<'])
                    || !rooms.iter().any(|room| word.starts_with(room))
                {
                    continue;
                }
                if !root().join(word).exists() {
                    wrong.push(format!("{}:{line}: {word}", document.name()));
                }
                named.insert(word.to_owned());
            }
        }
    }
    assert!(named.len() > 10, "only {} are found", named.len());
    assert!(
        wrong.is_empty(),
        "these are not there:\n{}",
        wrong.join("\n")
    );
}

/// The lines of all of src but its tests, that may hold an error's words.
fn source_lines() -> Vec<String> {
    fn gather(folder: &Path, into: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, into);
            } else if !path.to_string_lossy().ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let code = code
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"));
                into.extend(
                    code.map(|line| line.replace("\\\"", "\"").replace("{FILE}", "rpub.toml")),
                );
            }
        }
    }
    let mut lines = Vec::new();
    gather(&root().join("src"), &mut lines);
    lines
}

/// Whether one line has all that stands between the `…`, in this order.
fn says(line: &str, quoted: &str) -> bool {
    let mut rest = line;
    quoted.split('…').map(str::trim).all(|part| {
        let found = rest.find(part);
        rest = found.map_or("", |at| &rest[at + part.len()..]);
        found.is_some()
    })
}

#[test]
fn docs_troubleshooting_quotes_errors_that_rpub_has() {
    let source = source_lines();
    let page = document("docs/troubleshooting.md");
    let texts = page.blocks.iter().filter(|block| block.language == "text");
    let quoted: Vec<(usize, String)> = texts
        .flat_map(|block| block.text.lines().map(|line| (block.line, line.to_owned())))
        .collect();
    assert!(quoted.len() > 20, "only {} are quoted", quoted.len());
    let wrong: Vec<String> = quoted
        .iter()
        .filter(|(_, line)| {
            let words = line
                .strip_prefix("error: ")
                .or(line.strip_prefix("warning: "));
            !words
                .is_some_and(|words| words.len() > 8 && source.iter().any(|line| says(line, words)))
        })
        .map(|(line, text)| format!("{}:{line}: {text}", page.name()))
        .collect();
    assert!(wrong.is_empty(), "rpub never says:\n{}", wrong.join("\n"));
}

/// Each exit code has its symptom.
#[test]
fn docs_troubleshooting_names_each_exit_code() {
    let text = std::fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    for code in 1..=10 {
        assert!(text.contains(&format!("| {code} |")), "{code}");
    }
}
