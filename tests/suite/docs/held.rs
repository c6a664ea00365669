//! Decides that each line of a table of promises names a test that exists: docs/security.md, docs/how-it-works.md.
//! Must never judge whether that test holds the line: who writes the line does.

use super::root;
use std::path::{Path, PathBuf};

/// Every Rust file of the program and of its tests, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    fn gather(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                into.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["src", "tests"] {
        gather(&root().join(folder), &mut found);
    }
    found
}

/// Whether a file has the test, and is the module that the test's path names, or holds that module.
fn holds(path: &Path, source: &str, test: &str) -> bool {
    let (modules, name) = test.rsplit_once("::").unwrap_or(("", test));
    let last = modules.rsplit("::").next().unwrap_or_default();
    let is_module = path
        .iter()
        .any(|part| part.to_string_lossy().trim_end_matches(".rs") == last)
        || source.contains(&format!("mod {last} "))
        || (last == "tests" && path.to_string_lossy().ends_with("_tests.rs"));
    let function = format!("fn {name}(");
    let is_test = source.split(&function).next().is_some_and(|before| {
        let attributes = before.lines().rev().take(8);
        attributes
            .take_while(|line| !line.trim().is_empty())
            .any(|line| line.contains("#[test]") || line.contains("#[tokio::test"))
    });
    is_module && source.contains(&function) && is_test
}

/// The lines of the tables in a document that have a column for tests, as their number and their cells.
fn lines(document: &str) -> Vec<(usize, Vec<String>)> {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let mut found = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if !line.starts_with('|') {
            inside = false;
        } else if line.ends_with("| the test |") {
            inside = true;
        } else if inside && !line.starts_with("|--") {
            let cells = line.trim_matches('|').split(" | ");
            found.push((number + 1, cells.map(str::to_owned).collect()));
        }
    }
    found
}

/// Each line of a document's tables names a test, and there is that test; at least so many lines are found.
fn names_tests(document: &str, least: usize) {
    let sources = sources();
    let lines = lines(document);
    let mut wrong = Vec::new();
    for (number, cells) in &lines {
        let tests: Vec<&str> = match &cells[..] {
            [_, tests] => tests.split('`').skip(1).step_by(2).collect(),
            _ => Vec::new(),
        };
        if tests.is_empty() {
            wrong.push(format!("{document}:{number}: no test: {cells:?}"));
        }
        for test in tests {
            if !sources.iter().any(|(path, text)| holds(path, text, test)) {
                wrong.push(format!("{document}:{number}: there is no test {test}"));
            }
        }
    }
    assert!(lines.len() > least, "only {} lines are found", lines.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn docs_security_names_a_test_for_each_line() {
    names_tests("docs/security.md", 20);
}

#[test]
fn docs_how_it_works_names_a_test_for_each_promise() {
    names_tests("docs/how-it-works.md", 12);
}
