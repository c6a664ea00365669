//! Decides that every workflow that can come out is YAML, says what it was made from, and holds no placeholder.
//! Must never judge a workflow by its text where its meaning can be read.

use super::*;
use serde_json::Value;

fn read(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn workflow(branch: &str, ghcr: bool, docker_hub: bool, program: Program) -> Workflow {
    Workflow {
        branch: branch.to_owned(),
        ghcr,
        docker_hub,
        program,
    }
}

fn released() -> Program {
    Program::Release("some-one/rpub".parse().unwrap())
}

/// The step of a job that does `what`: its name, its id, or what it uses.
fn step<'y>(workflow: &'y Value, job: &str, what: &str) -> &'y Value {
    let steps = workflow["jobs"][job]["steps"].as_array().unwrap();
    let is = |step: &&Value| {
        ["name", "id", "uses"]
            .iter()
            .any(|key| step[*key].as_str() == Some(what))
    };
    steps.iter().find(is).unwrap()
}

#[test]
fn every_combination_is_yaml_and_has_the_logins_it_wants_and_no_others() {
    let placeholder = regex::Regex::new("@[A-Z]+@").unwrap();
    for (ghcr, hub) in [(false, false), (false, true), (true, false), (true, true)] {
        for program in [Program::Checkout, released()] {
            let made = workflow("main", ghcr, hub, program.clone());
            let text = made.text();
            assert!(text.starts_with(HEADER));
            assert!(!placeholder.is_match(&text), "{text}");
            let yaml = read(&text);
            for (job, name) in [
                ("build", "Build"),
                ("build", "Push by digest"),
                ("release", "release"),
            ] {
                let step = step(&yaml, job, name);
                // A key without a value would be null, which GitHub refuses.
                let env = step.get("env");
                assert_eq!(env.is_some(), ghcr || hub, "{text}");
                let has = |name| env.is_some_and(|env| env[name].is_string());
                assert_eq!(has("GITHUB_TOKEN"), ghcr);
                assert_eq!(has("DOCKERHUB_USERNAME"), hub);
                assert_eq!(has("DOCKERHUB_TOKEN"), hub);
                let permissions = &yaml["jobs"][job]["permissions"];
                assert_eq!(permissions["contents"].as_str(), Some("read"));
                assert_eq!(permissions["packages"].as_str(), ghcr.then_some("write"));
            }
            let cache = &step(&yaml, "build", "Build")["env"]["RPUB_CACHE_FROM"];
            assert_eq!(cache.is_string(), ghcr, "the cache lies on ghcr.io");
            for job in ["plan", "build", "release"] {
                let with = step(&yaml, job, "./.github/actions/rpub").get("with");
                assert_eq!(with.is_none(), program == Program::Checkout);
                if let Some(with) = with {
                    assert_eq!(with["version"].as_str(), Some(VERSION));
                    assert_eq!(with["repository"].as_str(), Some("some-one/rpub"));
                }
            }
        }
    }
}

#[test]
fn the_action_is_yaml_and_may_be_written_again() {
    assert!(action().starts_with(HEADER));
    assert_eq!(read(action())["runs"]["using"].as_str(), Some("composite"));
}

#[test]
fn any_branch_is_one_text_that_matches_itself_alone() {
    for (branch, filter) in [
        ("main", "main"),
        ("feature/x-1", "feature/x-1"),
        ("1.0", "1.0"),
        ("on", "on"),
        ("No", "No"),
        ("a#b, c: 'd'", "a#b, c: 'd'"),
        ("c++", "c\\+\\+"),
        ("!not]", "\\!not\\]"),
        ("@RPUB@", "@RPUB@"),
    ] {
        let yaml = read(&workflow(branch, true, true, Program::Checkout).text());
        // YAML 1.1 reads `on` as true; GitHub and this reader do not.
        let branches = &yaml["on"]["push"]["branches"];
        assert_eq!(branches.as_array().map(Vec::len), Some(1), "{branch}");
        assert_eq!(branches[0].as_str(), Some(filter));
    }
}

#[test]
fn a_repository_on_github_is_an_owner_and_a_name() {
    for right in ["o/r", "Some-One/rpub.rs", "1/2"] {
        assert_eq!(right.parse::<Slug>().unwrap().to_string(), right);
    }
    for wrong in [
        "",
        "o",
        "o/",
        "/r",
        "o/r/x",
        "o r/x",
        "o/r\nx: y",
        "../x",
        "https://github.com/o/r",
        "o/${{ x }}",
    ] {
        assert!(wrong.parse::<Slug>().is_err(), "{wrong:?}");
    }
}
