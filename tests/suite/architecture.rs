//! Decides that the sources keep the arrows which `src/lib.rs` draws, and the form that every file has.
//! Must never judge test modules by the rules of the code they test.

use std::path::{Path, PathBuf};

/// No file of `src` is longer: one that is, is two.
const LINES: usize = 400;

/// A source file without its comments and its test modules.
struct Source {
    /// `podman/build.rs`
    path: String,
    /// `podman`; for a file at the top its own name without `.rs`.
    room: String,
    code: String,
    text: String,
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

/// All of `src` but the files that hold tests alone.
fn sources() -> Vec<Source> {
    let src = root("src");
    let sources: Vec<Source> = rust_files(&src)
        .into_iter()
        .filter(|path| {
            !path
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .ends_with("tests")
        })
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(&src).unwrap().display().to_string();
            let room = path.split(['/', '.']).next().unwrap().to_owned();
            let code = code_of(&text);
            Source {
                path,
                room,
                code,
                text,
            }
        })
        .collect();
    assert!(sources.len() > 50, "they are found");
    sources
}

/// The text without its test module (which rustfmt ends with the first brace in the first column, or which is a file of
/// its own) and without the lines that are comments.
fn code_of(text: &str) -> String {
    let (before, rest) = text.split_once("#[cfg(test)]\n").unwrap_or((text, ""));
    let inline = rest
        .split('\n')
        .next()
        .is_some_and(|line| line.ends_with('{'));
    let after = rest.split_once(if inline { "\n}\n" } else { ";\n" });
    let after = after.map_or("", |(_, after)| after);
    before
        .lines()
        .chain(after.lines())
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |code, line| code + line + "\n")
}

/// Whether `code` names `word` as a word of its own.
fn names(code: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(inside) && !code[at + word.len()..].starts_with(inside)
    })
}

/// The rooms of this crate that `code` uses: `crate::x`, `crate::{x, y::z}`, `super::…` of a file at the top apart.
fn rooms(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let first_word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(first_word(rest));
            continue;
        };
        let mut depth = 0;
        let mut item = String::new();
        for c in group.chars() {
            match c {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => found.push(first_word(std::mem::take(&mut item).trim())),
                _ => {}
            }
            if !(c == ',' && depth == 0) {
                item.push(c);
            }
        }
        found.push(first_word(item.trim()));
    }
    found.retain(|room| !room.is_empty());
    found
}

/// What each room may use of the others; a room that is not here fails, so that a new one is thought about.
fn allowed(room: &str) -> &'static [&'static str] {
    const LEAVES: &[&str] = &["model", "error", "events"];
    match room {
        "model" | "error" | "events" | "files" => &["model"],
        "config" => &["model", "error", "files"],
        "target" => &["model", "events"],
        "retry" => LEAVES,
        "podman" => &["model", "error", "events", "files", "podman"],
        "relay" => &["model", "error", "events", "target", "retry", "relay"],
        "registry" => &[
            "model", "error", "events", "files", "target", "retry", "registry",
        ],
        "store" => &["model", "error", "events", "target", "store"],
        "pipeline" => &[
            "model", "error", "events", "config", "files", "target", "retry", "podman", "relay",
            "registry", "store", "pipeline",
        ],
        "ui" => &["model", "error", "events", "ui"],
        "cli" => &[
            "model", "error", "events", "config", "pipeline", "ui", "cli",
        ],
        // They name the rooms and nothing in them.
        "lib" | "main" => &[],
        _ => panic!("the room {room} has no rule: give it one"),
    }
}

#[test]
fn architecture_arrows_point_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        for room in rooms(&source.code) {
            if !allowed(&source.room).contains(&room.as_str()) {
                wrong.push(format!("{} uses crate::{room}", source.path));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn architecture_the_model_is_pure() {
    const FORBIDDEN: &[&str] = &[
        "tokio",
        "tokio_util",
        "futures",
        "async",
        "reqwest",
        "axum",
        "nix",
        "tracing",
        "tempfile",
        "podman_api",
        "std::fs",
        "std::io",
        "std::net",
        "std::process",
        "std::env",
        "std::thread",
        "SystemTime",
        "Instant",
        "fs::",
    ];
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.room == "model") {
        for word in FORBIDDEN.iter().filter(|word| names(&source.code, word)) {
            wrong.push(format!("{} names {word}", source.path));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn architecture_only_ui_prints() {
    const PRINTING: &[&str] = &[
        "print!",
        "println!",
        "eprint!",
        "eprintln!",
        "dbg!",
        "stdout",
        "stderr",
    ];
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.room != "ui") {
        for (number, line) in source.code.lines().enumerate() {
            // A child's streams are its own.
            let of_a_child = ["Stdio", ".stderr", ".stdout", "stderr_in"]
                .iter()
                .any(|own| line.contains(own));
            let prints = PRINTING[..5].iter().any(|word| line.contains(word));
            let streams = line.contains("io::stdout") || line.contains("io::stderr");
            let called = PRINTING[5..]
                .iter()
                .any(|word| line.contains(&format!("{word}()")));
            if prints || streams || (called && !of_a_child) {
                wrong.push(format!("{} ({number}): {}", source.path, line.trim()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn architecture_every_file_says_what_it_decides_and_none_is_long() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for path in rust_files(&root(folder)) {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines = text.lines();
            let [first, second] = [lines.next(), lines.next()].map(Option::unwrap_or_default);
            if !first.starts_with("//! ") || !second.starts_with("//! ") {
                wrong.push(format!("{}: no two //! lines", path.display()));
            }
            let count = text.lines().count();
            if count > LINES {
                wrong.push(format!("{}: {count} lines", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn architecture_nothing_in_src_is_allowed_to_unwrap() {
    let mut wrong = Vec::new();
    for source in sources() {
        for lint in ["unwrap_used", "expect_used"] {
            if names(&source.code, lint) {
                wrong.push(format!("{} allows {lint}", source.path));
            }
        }
        assert!(!source.text.is_empty(), "{}", source.path);
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The rules above are only as good as these.
#[test]
fn architecture_tests_see_what_they_look_for() {
    let code = "use crate::{\n    model::{a, b::C},\n    ui,\n};\nlet x = crate::podman::y();\n";
    assert_eq!(rooms(code), ["model", "ui", "podman"]);
    assert!(names("use tokio::fs;", "tokio") && !names("my_tokio", "tokio"));
    let text = "// crate::ui\na\n#[cfg(test)]\nmod tests {\n    b\n}\n";
    assert_eq!(code_of(text), "a\n");
    assert_eq!(code_of(&format!("{text}c\n")), "a\nc\n");
    assert_eq!(code_of("a\n#[cfg(test)]\nmod tests;\nc\n"), "a\nc\n");
}
