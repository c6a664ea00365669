//! Decides what the real rpub shows GitHub Actions, and that nobody else is shown any of it.
//! Must never trust a prefix: lines are read as the runner reads them, commands anywhere.

use crate::support::project::{Outcome, PASSWORD, Project, Running};
use serde_json::Value;

/// The names that the runner knows; others are text to it.
const COMMANDS: [&str; 14] = [
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "warning",
];

/// The commands in a stream, as the runner finds them: at a line's beginning, or in the old form anywhere in it.
fn commands(stream: &str) -> Vec<String> {
    let known = |text: &str| {
        let name = text.split(' ').next().unwrap_or_default();
        name == "stop-commands" || COMMANDS.contains(&name)
    };
    let mut found = Vec::new();
    for line in stream.split(['\n', '\r']) {
        let new = line.trim_start().strip_prefix("::");
        let new = new.and_then(|rest| rest.split_once("::"));
        let old = line.split_once("##[").and_then(|(_, r)| r.split_once(']'));
        match (new, old) {
            (Some((head, _)), _) if known(head) => found.push(line.trim_start().to_owned()),
            (_, Some((head, _))) if known(head) => found.push(line.to_owned()),
            _ => {}
        }
    }
    found
}

/// The outputs in a file, as the runner reads them.
fn outputs(text: &str) -> Vec<(String, String)> {
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let (name, value) = match (line.find('='), line.find("<<")) {
            (Some(equals), heredoc) if heredoc.is_none_or(|at| equals < at) => {
                (&line[..equals], line[equals + 1..].to_owned())
            }
            (_, Some(heredoc)) => {
                let end = &line[heredoc + 2..];
                let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
                (&line[..heredoc], value.join("\n"))
            }
            _ => panic!("no output: {line}"),
        };
        found.push((name.to_owned(), value));
    }
    found
}

/// A run within GitHub Actions, with the two files of its step in the project's folder.
async fn in_github(project: &Project, args: &[&str], more: &[(&str, &str)]) -> Outcome {
    for file in ["output", "summary"] {
        project.write(file, "");
    }
    let mut command = project.command(args);
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", project.path("output"))
        .env("GITHUB_STEP_SUMMARY", project.path("summary"))
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .envs(more.iter().copied());
    Running::start(command).finish().await
}

fn read(project: &Project, file: &str) -> String {
    std::fs::read_to_string(project.path(file)).unwrap()
}

fn value<'a>(outputs: &'a [(String, String)], name: &str) -> &'a str {
    let found = outputs.iter().find(|(known, _)| known == name);
    &found.unwrap_or_else(|| panic!("{name} in {outputs:?}")).1
}

const JSON: [&str; 6] = ["plan", "v1.2.3", "--to", "ghcr.io/o", "--format", "json"];

#[tokio::test]
async fn github_is_shown_a_plan_and_stdout_stays_the_document() {
    let project = Project::plain("plan");
    let evil = "x ##[set-output name=digest]evil";
    let toml = read(&project, "rpub.toml") + &format!("description = \"{evil}\"\n");
    project.write("rpub.toml", &toml);
    let run = in_github(&project, &JSON, &[]).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let document: Value = serde_json::from_str(&run.out).expect("one JSON document");
    let labels = &document["images"][0]["labels"];
    assert_eq!(labels["org.opencontainers.image.description"], evil);
    assert_eq!(commands(&run.out), Vec::<String>::new());
    assert_eq!(commands(&run.err), Vec::<String>::new());

    let image = project.image();
    let outputs = outputs(&read(&project, "output"));
    let tags = format!("ghcr.io/o/{image}:1.2.3\nghcr.io/o/{image}:1.2\nghcr.io/o/{image}:latest");
    for name in ["tags", &format!("{image}-tags")] {
        assert_eq!(value(&outputs, name), tags);
    }
    assert_eq!(value(&outputs, "version"), "1.2.3");
    let json: Value = serde_json::from_str(value(&outputs, "json")).unwrap();
    assert_eq!(json, document);
    let summary = read(&project, "summary");
    assert!(summary.starts_with("### rpub plans 1.2.3\n"), "{summary}");

    // The same without GitHub.
    let mut command = project.command(&JSON);
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    command.env("GITHUB_ACTIONS", "false");
    for (name, file) in [
        ("GITHUB_OUTPUT", "output"),
        ("GITHUB_STEP_SUMMARY", "summary"),
    ] {
        project.write(file, "");
        command.env(name, project.path(file));
    }
    let elsewhere = Running::start(command).finish().await;
    assert_eq!(elsewhere.err, "");
    let same: Value = serde_json::from_str(&elsewhere.out).unwrap();
    assert_eq!(same, document);
    assert_eq!(read(&project, "output") + &read(&project, "summary"), "");
}

#[tokio::test]
async fn github_is_shown_a_failure_with_its_remedy() {
    let project = Project::plain("failure");
    let run = in_github(&project, &["plan", "v1.2", "--format", "json"], &[]).await;
    assert_eq!((run.code, &*run.out), (Some(2), ""));
    let found = commands(&run.err);
    assert_eq!(found.len(), 1, "{found:?}");
    let head = "::error title=rpub was asked for something that cannot be::";
    let text = found[0].strip_prefix(head).unwrap();
    let (what, rest) = text.split_once("%0Aat: ").unwrap();
    let (place, next) = rest.split_once("%0Anext: ").unwrap();
    for (part, line) in [("error:", what), ("   at:", place), (" next:", next)] {
        assert!(run.err.contains(&format!("{part} {line}\n")), "{}", run.err);
    }
    let summary = read(&project, "summary");
    for row in ["| **what** | ", "| **where** | ", "| **next** | "] {
        assert!(summary.contains(row), "{row} in {summary}");
    }
    assert_eq!(read(&project, "output"), "");
}

/// A build may print what it likes.
const HOSTILE: &str = "FROM scratch
COPY busybox /bin/sh
RUN echo ::error::evil; echo '  ::set-output name=digest::evil'; echo 'x ##[set-output name=digest]evil'; printf 'a\\r::add-mask::e\\r\\n'
";

#[tokio::test]
async fn github_is_shown_a_release_and_no_command_of_a_build() {
    let project = Project::new("release", HOSTILE);
    let args = ["release", "v1.2.3", "--to", "./out", "--format", "json"];
    let run = in_github(&project, &args, &[]).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let report: Value = serde_json::from_str(&run.out).expect("one JSON document");
    assert!(run.err.contains(" | ::error::evil\n"), "{}", run.err);
    assert!(run.err.contains("x ## [set-output"), "{}", run.err);
    let found = commands(&run.err);
    let groups: Vec<String> = ["plan", "build", "push", "assemble", "verify", "tag"]
        .iter()
        .flat_map(|stage| [format!("::group::{stage}"), "::endgroup::".to_owned()])
        .collect();
    assert_eq!(found, groups, "{}", run.err);

    let outputs = outputs(&read(&project, "output"));
    let image = &report["images"][0];
    assert_eq!(value(&outputs, "digest"), image["digest"]);
    let place = image["repositories"][0].as_str().unwrap();
    let reference = format!("{place}@{}", image["digest"].as_str().unwrap());
    assert_eq!(value(&outputs, "reference"), reference);
    let names: std::collections::BTreeSet<&String> = outputs.iter().map(|(n, _)| n).collect();
    assert_eq!(names.len(), outputs.len(), "no output is named twice");
    assert_eq!(outputs.len(), 9, "{outputs:?}");
    let summary = read(&project, "summary");
    for words in [
        "| Image | Tags | Digest |",
        "podman pull oci:",
        "```mermaid\ngantt\n",
    ] {
        assert!(summary.contains(words), "{words} in {summary}");
    }
    assert!(
        !summary.contains("docker pull"),
        "docker reads no such store"
    );
    project.is_clean_after(&run);

    // A failing build's lines are told in the error once more.
    project.write(
        "Containerfile",
        &HOSTILE.replace("printf", "exit 7; printf"),
    );
    let failed = in_github(&project, &args, &[]).await;
    project.failed(&failed, 3, "exit status 7", "STEP 3/", "mend that step");
    let found = commands(&failed.err);
    let last = found.last().unwrap();
    assert!(
        last.starts_with("::error title=rpub%3A a build failed::"),
        "{last}"
    );
    assert_eq!(found[..found.len() - 1], groups[..4], "{}", failed.err);
    let summary = read(&project, "summary");
    assert!(
        summary.contains("\n::error::evil\n"),
        "the lines that failed: {summary}"
    );
}

#[tokio::test]
async fn github_files_that_cannot_be_written_are_warnings() {
    let project = Project::plain("files");
    let gone = project.path("gone/x").display().to_string();
    let folder = project.path("").display().to_string();
    for path in [&gone, &folder] {
        let files = [("GITHUB_OUTPUT", &**path), ("GITHUB_STEP_SUMMARY", path)];
        let run = in_github(&project, &JSON, &files).await;
        assert_eq!(run.code, Some(0), "{}", run.err);
        serde_json::from_str::<Value>(&run.out).expect("one JSON document");
        let found = commands(&run.err);
        assert_eq!(found.len(), 2, "{}", run.err);
        for (line, what) in found.iter().zip(["outputs", "job summary"]) {
            assert!(
                line.starts_with("::warning title=rpub::cannot write"),
                "{line}"
            );
            assert!(line.contains(what) && line.contains(path), "{line}");
        }
    }
    let none = [("GITHUB_OUTPUT", ""), ("GITHUB_STEP_SUMMARY", "")];
    let run = in_github(&project, &JSON, &none).await;
    assert_eq!((run.code, &*run.err), (Some(0), ""));
}

/// Not even for the runner to mask it: whatever else keeps the stream would have it.
#[tokio::test]
async fn github_is_told_no_secret() {
    let project = Project::plain("secrets");
    let token = [("GITHUB_TOKEN", PASSWORD), ("GITHUB_ACTOR", "somebody")];
    // Nobody listens there.
    let args = project.release_args(&["127.0.0.1:1"]);
    let run = in_github(&project, &args.each(), &token).await;
    project.failed(&run, 4, "", "127.0.0.1:1", "");
    assert!(!run.err.contains("::add-mask::"), "{}", run.err);
    let said = read(&project, "summary");
    assert!(said.starts_with("### rpub: a registry failed\n"), "{said}");
}

/// The tests above are only as good as these.
#[test]
fn github_commands_and_outputs_are_read_as_the_runner_does() {
    let stream = "a\r ::error::b\n##[x]y\nz ##[add-mask]y\n::nothing::\n::group\n";
    assert_eq!(commands(stream), ["::error::b", "z ##[add-mask]y"]);
    let text = "a=b<<c\nd<<E\n1\n\n2=3\nE\ne=\n";
    let found: Vec<String> = outputs(text)
        .iter()
        .map(|(name, value)| format!("{name}:{value}"))
        .collect();
    assert_eq!(found, ["a:b<<c", "d:1\n\n2=3", "e:"]);
}
