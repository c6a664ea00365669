//! Decides that each line of docs/security.md names a test that exists.
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
        let attributes = before.trim_end().lines().rev().take(8);
        attributes
            .take_while(|line| !line.trim().is_empty())
            .any(|line| line.contains("#[test]") || line.contains("#[tokio::test"))
    });
    is_module && source.contains(&function) && is_test
}

#[test]
fn docs_security_names_a_test_for_each_line() {
    let text = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let sources = sources();
    let (mut rows, mut wrong) = (0, Vec::new());
    for (number, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let is_row = line.starts_with("| ") && !line.starts_with("| what");
        if !is_row {
            continue;
        }
        rows += 1;
        let tests: Vec<&str> = match cells[..] {
            [_, tests] => tests.split('`').skip(1).step_by(2).collect(),
            _ => Vec::new(),
        };
        if tests.is_empty() {
            wrong.push(format!("{}: no test: {line}", number + 1));
        }
        for test in tests {
            if !sources.iter().any(|(path, text)| holds(path, text, test)) {
                wrong.push(format!("{}: there is no test {test}", number + 1));
            }
        }
    }
    assert!(rows > 20, "only {rows} lines are found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
