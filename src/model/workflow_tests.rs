//! Decides that every workflow that can come out is YAML, says what it was made from, and holds no placeholder.
//! Must never judge a workflow by its text where its meaning can be read.

use super::*;
use serde_json::Value;

fn read(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn workflow(branch: &str, ghcr: bool, docker_hub: bool) -> Workflow {
    Workflow {
        branch: branch.to_owned(),
        ghcr,
        docker_hub,
    }
}

fn sums() -> Checksums {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64)).parse().unwrap();
    Checksums {
        // Digits alone: YAML would read them as a number.
        x86_64: digest("1"),
        aarch64: digest("a"),
    }
}

fn slug() -> Slug {
    "some-one/rpub".parse().unwrap()
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
    let placeholder = regex::Regex::new("@[A-Z0-9_]+@").unwrap();
    for (ghcr, hub) in [(false, false), (false, true), (true, false), (true, true)] {
        let text = workflow("main", ghcr, hub).text();
        assert!(text.starts_with(HEADER));
        assert!(!placeholder.is_match(&text), "{text}");
        let yaml = read(&text);
        for (job, name, hub) in [
            // It sends nothing to a registry but the layer cache, which lies on ghcr.io.
            ("build", "Build", false),
            ("build", "Push by digest", hub),
            ("release", "release", hub),
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
        // Nowhere else: not where all steps of a job, or all jobs, have it.
        let steps = if hub { 2 } else { 0 };
        assert_eq!(text.matches("secrets.DOCKERHUB_TOKEN").count(), steps);
        let steps = if ghcr { 3 } else { 0 };
        assert_eq!(text.matches("github.token").count(), steps);
    }
}

#[test]
fn the_action_is_yaml_and_holds_the_checksums_of_both_programs() {
    let placeholder = regex::Regex::new("@[A-Z0-9_]+@").unwrap();
    for program in [Program::Checkout, Program::Release(slug(), sums())] {
        let text = action(&program);
        assert!(text.starts_with(HEADER));
        assert!(!placeholder.is_match(&text), "{text}");
        let yaml = read(&text);
        assert_eq!(yaml["runs"]["using"].as_str(), Some("composite"));
        let scripts: String = (yaml["runs"]["steps"].as_array().unwrap().iter())
            .filter_map(|step| step["run"].as_str())
            .collect();
        let released = program != Program::Checkout;
        for digest in [sums().x86_64, sums().aarch64] {
            assert_eq!(scripts.contains(&digest.hex()), released);
        }
        // What came with the program says nothing of it.
        assert!(!scripts.contains("SHA256SUMS"));
        assert_eq!(scripts.contains("curl"), released);
    }
}

#[test]
fn checksums_are_read_back_from_the_action_as_it_was_written_alone() {
    let text = action(&Program::Release(slug(), sums()));
    assert_eq!(pinned(&text, &slug()), Some(sums()));
    let other = "some-one/other".parse().unwrap();
    assert_eq!(pinned(&text, &other), None);
    for (from, to) in [
        (VERSION, "v0.0.0"),
        ("--strict", ""),
        ("sum=1", "sum="),
        ("aarch64)", "arm64)"),
    ] {
        assert_ne!(text, text.replace(from, to));
        assert_eq!(pinned(&text.replace(from, to), &slug()), None, "{from}");
    }
    assert_eq!(pinned(&action(&Program::Checkout), &slug()), None);
    assert_eq!(pinned("", &slug()), None);
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
        ("@GHCR@", "@GHCR@"),
    ] {
        let yaml = read(&workflow(branch, true, true).text());
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
