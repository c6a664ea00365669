//! Decides what the command line shows: help, versions, usage errors, plans; each a file in `tests/suite/cli/`.
//! Must never hold what differs between machines. `SNAPSHOTS=overwrite cargo nextest run -E 'test(cli_)'` writes them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

const COMMANDS: &[&str] = &[
    "init",
    "plan",
    "build",
    "push",
    "assemble",
    "verify",
    "release",
    "prune",
    "status",
    "serve",
    "doctor",
    "schema",
    "completions",
    "man",
];

/// What a run in a folder with `toml` says: its command line, exit code, stdout and stderr.
fn said(toml: &str, args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rpub.toml"), toml).unwrap();
    std::fs::write(folder.path().join("Containerfile"), "FROM scratch\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rpub"))
        .args(args)
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("COLUMNS", "100")
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .unwrap();
    let mut text = format!("$ rpub {}", args.join(" ")).trim_end().to_owned() + "\n";
    text += &String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    if !stderr.is_empty() {
        write!(text, "--- stderr\n{stderr}").unwrap();
    }
    let code = output.status.code().unwrap();
    writeln!(text, "--- exit {code}").unwrap();
    text.replace(env!("CARGO_PKG_VERSION"), "[VERSION]")
}

fn same(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/suite/cli")
        .join(format!("{name}.txt"));
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(text, snapbox::Data::read_from(&path, None).raw());
}

const PLAN: &str = r#"source = "https://example.org/o/r"
[[registry]]
host = "ghcr.io"
namespace = "owner"
[[registry]]
host = "docker.io"
namespace = "owner"
[[image]]
name = "api"
platforms = ["linux/amd64", "linux/arm64"]
[[image]]
name = "worker"
platforms = ["linux/arm/v7"]
description = "does the work"
"#;

#[test]
fn cli_help_of_each_command_is_as_it_was() {
    same("help", &said("", &["--help"]));
    for command in COMMANDS {
        same(&format!("help-{command}"), &said("", &[command, "--help"]));
    }
}

#[test]
fn cli_help_lists_every_command() {
    let help = said("", &["--help"]);
    let (_, after) = help.split_once("Commands:\n").unwrap();
    let (list, _) = after.split_once("\n\n").unwrap();
    let listed: Vec<&str> = list
        .lines()
        // Further indented is the rest of a description.
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty() && *word != "help")
        .collect();
    assert_eq!(listed, COMMANDS, "a new command needs its snapshot");
}

/// The lines of a help that are commands to type; a `|` or `>` ends what is rpub's.
fn examples(help: &str) -> Vec<Vec<String>> {
    let (_, after) = help.split_once("Examples:\n").unwrap_or_default();
    after
        .lines()
        .take_while(|line| line.starts_with("  "))
        .flat_map(|line| line.split(" && "))
        .map(|line| {
            let words = line
                .split_whitespace()
                .take_while(|w| !matches!(*w, "|" | ">"));
            words.map(str::to_owned).collect()
        })
        .collect()
}

#[test]
fn cli_examples_of_every_help_can_be_typed() {
    use clap::CommandFactory as _;
    let tree = rpub::cli::Cli::command();
    for command in std::iter::once(&tree).chain(tree.get_subcommands()) {
        let help = command.get_after_help().map(ToString::to_string);
        let examples = examples(&help.unwrap_or_default());
        let own = command.get_name();
        let of_it = |words: &Vec<String>| own == "rpub" || words.get(1).is_some_and(|w| w == own);
        assert!(examples.iter().any(of_it), "{own} has no examples");
        for words in examples {
            let words: Vec<std::ffi::OsString> = words.iter().map(Into::into).collect();
            if let Err(error) = rpub::cli::Cli::read(&words) {
                panic!("{words:?}: {error}");
            }
        }
    }
}

#[test]
fn cli_version_is_as_it_was() {
    same("version", &said("", &["--version"]));
}

#[test]
fn cli_usage_errors_are_as_they_were() {
    let mut text = String::new();
    for args in [
        &[][..],
        &["releas"],
        &["plan", "--formt", "json"],
        &["plan", "--format", "yaml"],
        &["build", "--platform", "amd64"],
        &["release", "--to", "http://ghcr.io/o"],
        &["-q", "-v", "plan"],
        &["plan", "a", "b"],
        &["plan"],
        &["plan", "v1.2"],
        &["plan", "-c", "gone.toml"],
    ] {
        text += &said(PLAN, args);
        text.push('\n');
    }
    same("usage", &text);
}

#[test]
fn cli_plans_are_as_they_were() {
    let mut text = String::new();
    for args in [
        &["plan", "v1.2.3"][..],
        &["plan", "v1.2.3-rc.1", "--to", "./out"],
        &["plan", "v1.2.3", "--format", "json"],
    ] {
        text += &said(PLAN, args);
        text.push('\n');
    }
    same("plan", &text);
}
