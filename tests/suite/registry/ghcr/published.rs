//! Decides that what the tests' GitHub answers is what GitHub's published description says that it answers.
//! Must never pass without that description: what cannot be fetched fails.

use super::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// What GitHub publishes of its API, in the words of npm.
const PACKAGE: &str = "@octokit/openapi@23.0.2";
const FILE: &str = "package/generated/api.github.com.json";

/// Fetched once, and kept.
fn description() -> Value {
    let tools = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools");
    let path = tools.join("octokit-openapi-23.0.2.json");
    if !path.exists() {
        // Whoever runs the tests may not write beside them; then it is fetched each time.
        let kept = std::fs::create_dir_all(&tools).and_then(|()| tempfile::tempdir_in(&tools));
        let folder = kept.or_else(|_| tempfile::tempdir()).unwrap();
        let fetched = fetch(folder.path());
        if std::fs::rename(&fetched, &path).is_err() {
            return parse(&fetched);
        }
    }
    parse(&path)
}

fn parse(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn fetch(folder: &std::path::Path) -> PathBuf {
    let packed = Command::new("npm")
        .args(["pack", "--silent", PACKAGE])
        .current_dir(folder)
        .env("npm_config_cache", folder.join("cache"))
        .output()
        .expect("npm is installed");
    let said = String::from_utf8_lossy(&packed.stderr);
    assert!(packed.status.success(), "{PACKAGE}: {said}");
    let name = String::from_utf8(packed.stdout).unwrap();
    let name = name.lines().last().unwrap().trim().to_owned();
    let unpacked = Command::new("tar")
        .args(["-xzf", &name, FILE])
        .current_dir(folder)
        .status();
    assert!(unpacked.unwrap().success(), "{name} has no {FILE}");
    folder.join(FILE)
}

/// What the schema of this name says against a document, one line each.
fn complaints(schemas: &Value, name: &str, document: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(&schemas[name]).unwrap();
    let errors = validator.iter_errors(document);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

async fn get(ghcr: &Ghcr, path: &str) -> (u16, Value) {
    let request = crate::support::loopback::client()
        .get(format!("{}{path}", ghcr.api()))
        .bearer_auth(PASSWORD)
        .header("x-github-api-version", "2022-11-28");
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn ghcr_of_the_tests_answers_as_github_publishes() {
    let mut description = description();
    let schemas = description["components"]["schemas"].take();
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    let app = package(&ghcr, "alice/app");
    let digests = push(2, &app).await;
    let manifest = read(&app, digests[0]).await;
    app.put_manifest(&tag("1.2.3"), &manifest).await.unwrap();
    let versions = "/users/alice/packages/container/app/versions";
    let (status, list) = get(&ghcr, versions).await;
    assert_eq!((status, list.as_array().unwrap().len()), (200, 2));
    for one in list.as_array().unwrap() {
        assert_eq!(
            complaints(&schemas, "package-version", one),
            Vec::<String>::new()
        );
    }
    let id = &list[0]["id"];
    let (status, one) = get(&ghcr, &format!("{versions}/{id}")).await;
    assert_eq!(
        (status, &one["id"], &one["name"]),
        (200, id, &list[0]["name"])
    );
    assert_eq!(
        complaints(&schemas, "package-version", &one),
        Vec::<String>::new()
    );
    let (status, none) = get(&ghcr, &format!("{versions}/9")).await;
    assert_eq!(status, 404);
    assert_eq!(
        complaints(&schemas, "basic-error", &none),
        Vec::<String>::new()
    );
    // What rpub reads is what must be there.
    for (schema, fields) in [
        (
            "package-version",
            &["id", "name", "created_at", "updated_at"][..],
        ),
        ("public-user", &["login", "type"]),
    ] {
        let required = schemas[schema]["required"].as_array().unwrap();
        for field in fields {
            assert!(required.contains(&json!(field)), "{schema}: {field}");
        }
    }
    let container =
        &schemas["package-version"]["properties"]["metadata"]["properties"]["container"];
    assert_eq!(container["required"], json!(["tags"]));
    // The schemas do find what is wrong.
    let mut wrong = one;
    wrong["metadata"]["container"] = json!({});
    assert_ne!(
        complaints(&schemas, "package-version", &wrong),
        Vec::<String>::new()
    );
}
