//! Decides that `schemas/` says what the JSON documents are: made from their types, and true of what rpub prints.
//! Must never be changed by hand: `RPUB_UPDATE_SCHEMAS=1 cargo nextest run -E 'test(schemas_are)'` writes them.

use rpub::model::{
    doctor::{Diagnosis, Fixed, machine, project, registry},
    fault::{Class, Fault},
    journal::Progress,
    plan::PlanDocument,
    pruned::{Ended, KeptManifest, Outcome, PruneDocument, Pruned, PrunedManifest},
    report::{LayerReport, PlatformReport, Published, Report, StageTime, TagMove},
};
use serde_json::Value;
use std::{path::PathBuf, process::Command};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("schemas")
        .join(format!("{name}.schema.json"))
}

/// The schema that is committed.
fn committed(name: &str) -> Value {
    let text = std::fs::read_to_string(path(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What the schema says against a document, one line each.
fn complaints(schema: &str, document: &Value) -> Vec<String> {
    let schema = committed(schema);
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn schemas_are_made_from_the_types() {
    for (name, schema) in [
        ("plan", schemars::schema_for!(PlanDocument)),
        ("report", schemars::schema_for!(Report)),
        ("prune", schemars::schema_for!(PruneDocument)),
        ("doctor", schemars::schema_for!(Diagnosis)),
    ] {
        let mut text = serde_json::to_string_pretty(&schema).unwrap();
        text.push('\n');
        same(name, &text);
    }
    // As `rpub schema` prints it.
    same("rpub.toml", &rpub::config::schema());
}

/// The text is the committed file's.
fn same(name: &str, text: &str) {
    if std::env::var_os("RPUB_UPDATE_SCHEMAS").is_some() {
        std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        std::fs::write(path(name), text).unwrap();
    }
    let found = std::fs::read_to_string(path(name)).unwrap_or_default();
    assert_eq!(found, text, "write it with RPUB_UPDATE_SCHEMAS=1");
}

fn plan(toml: &str, args: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("rpub.toml", toml),
        ("Containerfile", "FROM scratch\n"),
        ("Other", ""),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_rpub"))
        .args(["plan", "--format", "json"])
        .args(args)
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("GITHUB_REPOSITORY_OWNER", "SomeOne")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn schemas_hold_for_what_rpub_plan_prints() {
    const ONE: &str = "[[image]]\nname = \"app\"\nplatforms = [\"linux/amd64\"]\n";
    const ALL: &str = r#"
source = "https://example.org/o/r"
licenses = "MIT"
[[registry]]
host = "ghcr.io"
namespace = "${GITHUB_REPOSITORY_OWNER}"
[[registry]]
host = "docker.io"
namespace = "owner"
[[image]]
name = "api"
description = "an API"
platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7"]
labels = { "org.example.x" = "y" }
[[image]]
name = "deep/worker"
containerfile = { "linux/amd64" = "Containerfile", "linux/arm64" = "Other" }
"#;
    for (toml, args) in [
        (ONE, &["v1.2.3"][..]),
        (ONE, &["v1.2.3-rc.1"]),
        (ONE, &["v1.2.3", "--to", "./a,http://127.0.0.1:5000/ns"]),
        (ALL, &["v0.1.0"]),
        (ALL, &["v1.2.3+build.7"]),
    ] {
        let document = plan(toml, args);
        assert_eq!(complaints("plan", &document), Vec::<String>::new());
        assert_eq!(document["schema"], 1);
    }
}

/// One of everything that can be said of a prune.
fn pruned() -> Pruned {
    let digest = format!("sha256:{}", "fedcba9876543210".repeat(4));
    Pruned {
        repository: "ghcr.io/o/app".to_owned(),
        deletions: vec![PrunedManifest {
            digest: digest.parse().unwrap(),
            reason: "latest named it before".to_owned(),
            tags: vec!["sha256-ab.sig".to_owned()],
            outcome: Outcome::Refused,
            why: Some("no".to_owned()),
            next: None,
        }],
        kept: vec![KeptManifest {
            digest: digest.parse().unwrap(),
            why: "1.2.3 still points at it: kept".to_owned(),
        }],
        restored: vec![digest.parse().unwrap()],
        ended: Some(Ended {
            why: "interrupted".to_owned(),
            next: Some("rpub prune".to_owned()),
        }),
    }
}

#[test]
fn schemas_hold_for_a_prune_and_refuse_what_is_none() {
    let document = |repositories| {
        let document = PruneDocument {
            schema: 1,
            dry_run: true,
            repositories,
        };
        serde_json::to_value(document).unwrap()
    };
    assert_eq!(complaints("prune", &document(vec![])), Vec::<String>::new());
    let right = document(vec![pruned()]);
    assert_eq!(complaints("prune", &right), Vec::<String>::new());
    for (pointer, value) in [
        ("/dry_run", Value::from("yes")),
        (
            "/repositories/0/deletions/0/outcome",
            Value::from("perhaps"),
        ),
        ("/repositories/0/kept/0", serde_json::json!({"why": "x"})),
    ] {
        let mut document = right.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        let complaints = complaints("prune", &document);
        assert_ne!(complaints, Vec::<String>::new(), "{pointer}");
    }
}

#[test]
fn schemas_hold_for_a_diagnosis_and_refuse_what_is_none() {
    let switches = machine::Switches {
        max_user_namespaces: Some(0),
        ..machine::Switches::default()
    };
    let fault = Fault::new(Class::Auth, "h", "", "no");
    let registry = registry::Registry {
        host: "h".to_owned(),
        insecure: false,
        config: "rpub.toml".to_owned(),
        login: None,
        seen: registry::Seen::Answers {
            read: Err(fault),
            push: Ok(()),
            delete: registry::Delete::Unknown,
        },
    };
    let mut findings = vec![project::good_config("rpub.toml", 2)];
    findings.extend(machine::namespaces(switches, &machine::Tried::Not));
    findings.extend(registry::findings(&registry));
    assert_eq!(findings.len(), 3);
    let mut diagnosis = Diagnosis::new(findings);
    diagnosis.fixed.push(Fixed {
        check: "x".to_owned(),
        command: "y".to_owned(),
        failure: Some("z".to_owned()),
    });
    let right = serde_json::to_value(diagnosis).unwrap();
    assert_eq!(complaints("doctor", &right), Vec::<String>::new());
    for (pointer, value) in [
        ("/schema", Value::from(2)),
        ("/findings/0/severity", Value::from("bad")),
        ("/findings/0/remedy", Value::from("do it")),
        ("/fixed/0", serde_json::json!({"check": "x"})),
    ] {
        let mut document = right.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        let complaints = complaints("doctor", &document);
        assert_ne!(complaints, Vec::<String>::new(), "{pointer}");
    }
}

fn report() -> Value {
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let report = Report {
        schema: 1,
        git_ref: "refs/tags/v1.2.3".to_owned(),
        version: Some("1.2.3".to_owned()),
        revision: None,
        podman: Some("4.3.1".to_owned()),
        run: None,
        images: vec![Published {
            name: "app".to_owned(),
            digest: digest.parse().unwrap(),
            tags: vec!["1.2.3".to_owned()],
            repositories: vec!["ghcr.io/o/app".to_owned()],
            plain_http: Vec::new(),
            references: vec!["ghcr.io/o/app:1.2.3".to_owned()],
            platforms: vec![PlatformReport {
                platform: "linux/arm/v7".parse().unwrap(),
                digest: digest.parse().unwrap(),
                size: 7,
                config: digest.parse().unwrap(),
                layers: vec![LayerReport {
                    digest: digest.parse().unwrap(),
                    size: 7,
                    created_by: None,
                }],
            }],
        }],
        moves: vec![TagMove {
            image: "app".to_owned(),
            repository: "ghcr.io/o/app".to_owned(),
            tag: "1.2.3".to_owned(),
            from: None,
            to: digest.parse().unwrap(),
            progress: Progress::Done,
        }],
        pruned: vec![pruned()],
        stages: vec![StageTime {
            name: "build".to_owned(),
            seconds: 0.5,
        }],
    };
    serde_json::to_value(report).unwrap()
}

#[test]
fn schemas_hold_for_a_report_and_refuse_what_is_none() {
    assert_eq!(complaints("report", &report()), Vec::<String>::new());
    for (pointer, value) in [
        ("/schema", Value::from(2)),
        ("/ref", Value::Null),
        ("/images", Value::from("none")),
        ("/images/0/digest", Value::from(7)),
        ("/images/0/platforms/0/size", Value::from("7")),
        ("/images/0/platforms/0/layers/0", Value::from("7")),
        ("/moves/0/progress", Value::from("perhaps")),
        ("/stages/0", serde_json::json!({"name": "x"})),
        ("/images/0", serde_json::json!({"more": 1})),
    ] {
        let mut document = report();
        *document.pointer_mut(pointer).unwrap() = value;
        assert_ne!(
            complaints("report", &document),
            Vec::<String>::new(),
            "{pointer}"
        );
    }
    assert_ne!(complaints("plan", &report()), Vec::<String>::new());
}
