//! Decides what this repository's workflows may do and use: pinned actions, few permissions, assets that stay as they are.
//! Must never look at a workflow's text where its meaning can be read.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml(path: &Path) -> (String, Value) {
    let text = std::fs::read_to_string(path).unwrap();
    let value = serde_saphyr::from_str(&text).unwrap();
    (text, value)
}

/// All workflows and actions: those here, and the action that other repositories get.
fn files() -> Vec<PathBuf> {
    let mut found = vec![root().join("src/model/workflow/action.yml")];
    let mut folders = vec![
        root().join(".github/workflows"),
        root().join(".github/actions"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 4, "{found:?}");
    found
}

/// The steps of all jobs, or of the action.
fn steps(file: &Value) -> Vec<&Value> {
    let jobs = file["jobs"].as_object().into_iter().flatten();
    let of_jobs = jobs.map(|(_, job)| &job["steps"]);
    let all = of_jobs.chain([&file["runs"]["steps"]]);
    all.filter_map(Value::as_array).flatten().collect()
}

#[test]
fn ci_takes_actions_by_commit_and_leaves_no_token_in_a_checkout() {
    let commit = regex::Regex::new("^[^@]+@[0-9a-f]{40}$").unwrap();
    for path in files() {
        let (text, file) = yaml(&path);
        for step in steps(&file) {
            let Some(uses) = step["uses"].as_str() else {
                continue;
            };
            if uses.starts_with("./") {
                continue;
            }
            assert!(commit.is_match(uses), "{}: {uses}", path.display());
            // Which version that is stands behind it.
            assert!(text.contains(&format!("{uses} # v")), "{uses}");
            if uses.starts_with("actions/checkout@") {
                assert_eq!(step["with"]["persist-credentials"], false, "{text}");
            }
        }
        assert!(
            file["jobs"].is_null()
                || file["permissions"] == serde_json::json!({"contents": "read"}),
            "{}: a job that needs more says so itself",
            path.display()
        );
    }
}

#[test]
fn ci_attests_and_attaches_in_a_job_that_builds_nothing() {
    let (_, binaries) = yaml(&root().join(".github/workflows/binaries.yml"));
    let jobs = binaries["jobs"].as_object().unwrap();
    for (name, job) in jobs {
        let permissions = job["permissions"].as_object();
        let may = |what: &str| permissions.is_some_and(|all| all.contains_key(what));
        let last = name == "attach";
        for what in ["contents", "id-token", "attestations"] {
            assert_eq!(may(what), last, "{name} {what}");
        }
        let scripts = job["steps"].as_array().unwrap().iter();
        let scripts: Vec<&str> = scripts.filter_map(|step| step["run"].as_str()).collect();
        let builds = scripts
            .iter()
            .any(|run| run.contains("release-binaries") && !run.contains("--sums"));
        assert_eq!(builds, !last, "{name}: {scripts:?}");
    }
    let steps = jobs["attach"]["steps"].as_array().unwrap();
    let at = |what: &str| {
        let is = |step: &Value| step.to_string().contains(what);
        steps.iter().position(is).unwrap()
    };
    assert_eq!(
        steps[at("actions/attest@")]["with"]["subject-path"],
        "dist/*"
    );
    // What is public is attested already.
    assert!(at("--sums") < at("actions/attest@") && at("actions/attest@") < at("gh release"));
}

/// A `gh` that keeps releases in folders. As the real one it refuses to upload what is there, but for `--clobber`, and to
/// create what is there.
const GH: &str = r#"#!/bin/bash
set -eu
release=$RELEASES/$3
case "$1 $2" in
  "release view") [ -d "$release" ] || { echo "release not found" >&2; exit 1; } ;;
  "release create") mkdir "$release" ;;
  "release upload") [ -d "$release" ] ;;
  *) echo "unknown: $*" >&2; exit 64 ;;
esac
[ "$2" != view ] || exit 0
clobber= files=()
for word in "${@:4}"; do
  case $word in
    --clobber) clobber=1 ;;
    --verify-tag | --generate-notes) ;;
    --*) echo "unknown: $word" >&2; exit 64 ;;
    *) files+=("$word") ;;
  esac
done
for file in "${files[@]}"; do
  if [ -z "$clobber" ] && [ -e "$release/$(basename "$file")" ]; then
    echo "asset under the same name already exists" >&2
    exit 1
  fi
done
cp "${files[@]}" "$release"
"#;

#[test]
fn ci_replaces_no_asset_of_a_release() {
    let (_, binaries) = yaml(&root().join(".github/workflows/binaries.yml"));
    let all = steps(&binaries);
    let attach = all.iter().find(|step| step["name"] == "Attach").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["bin", "dist", "releases"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    std::fs::write(at("bin/gh"), GH).unwrap();
    let status = Command::new("chmod").arg("+x").arg(at("bin/gh")).status();
    assert!(status.unwrap().success());
    let attaches = |tag: &str, text: &str| {
        for name in ["rpub", "SHA256SUMS"] {
            std::fs::write(at("dist").join(name), text).unwrap();
        }
        let output = Command::new("bash")
            .args(["-e", "-c", attach["run"].as_str().unwrap()])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", at("bin").display()))
            .env("RELEASES", at("releases"))
            .env("GITHUB_REF_NAME", tag)
            .output()
            .unwrap();
        assert_ne!(output.status.code(), Some(64), "{output:?}");
        output.status.success()
    };
    let there = |tag: &str| {
        let read = |name| std::fs::read_to_string(at("releases").join(tag).join(name)).unwrap();
        ["rpub", "SHA256SUMS"].map(read)
    };
    assert!(attaches("v1.0.0", "one"));
    assert!(!attaches("v1.0.0", "other"), "the tag was moved");
    assert_eq!(there("v1.0.0"), ["one", "one"]);
    // Somebody wrote the release's notes before.
    std::fs::create_dir(at("releases/v1.0.1")).unwrap();
    assert!(attaches("v1.0.1", "two"));
    assert!(!attaches("v1.0.1", "other"));
    assert_eq!(there("v1.0.1"), ["two", "two"]);
    // One of them is enough.
    std::fs::remove_file(at("releases/v1.0.1/SHA256SUMS")).unwrap();
    assert!(!attaches("v1.0.1", "other"));
    assert_eq!(there("v1.0.0"), ["one", "one"]);
}
