//! Decides that what was released can be pulled and run, from a registry and from a directory that rpub serves.
//! Must never run anything that was not pulled.

use super::{SMALL, client, digests, raw, to, two_registries};
use crate::support::{
    engine::{eventually, native},
    machine::{Machine, Project},
};
use rpub::model::digest::Digest;
use std::path::Path;
use std::process::Command;

/// The sample in examples/hello, assembled for this machine.
fn hello() -> Project {
    let platform = native().to_string();
    let arch = platform.trim_start_matches("linux/");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hello");
    let text = std::fs::read_to_string(sample.join("Containerfile")).unwrap();
    let project = Project::new(&[&platform], &text);
    let run = |program: &str, args: &[&str]| {
        let status = Command::new(program)
            .args(args)
            .current_dir(project.path())
            .status();
        assert!(
            status.expect("binutils is installed").success(),
            "{program}"
        );
    };
    let source = sample.join(format!("hello.{arch}.s"));
    run("as", &["-o", "hello.o", source.to_str().unwrap()]);
    run("ld", &["-o", &format!("hello.{arch}"), "hello.o"]);
    project
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_pulled_from_a_registry_runs_and_is_healthy() {
    let (machine, [registry, _]) = (Machine::new(), two_registries());
    let (host, project) = (registry.host(), hello());
    let args = ["release", "v1.2.3", "--to", &to([&host], "ns")];
    machine.rpub(project.path(), &args).well();
    assert_eq!(machine.podman(&["images", "-aq"]), "");

    let reference = format!("{host}/ns/app:1.2.3");
    machine.podman(&["pull", "-q", "--tls-verify=false", &reference]);
    let flags = ["--network=none", "--name=hello", "--log-driver=k8s-file"];
    machine.podman(&[&["run", "-d"][..], &flags, &[&reference]].concat());
    eventually("it says hello", || {
        machine.podman(&["logs", "hello"]).contains("hello from")
    })
    .await;
    machine.podman(&["healthcheck", "run", "hello"]);
    let status = machine.podman(&["inspect", "--format", "{{.State.Health.Status}}", "hello"]);
    assert_eq!(status, "healthy");
    machine.podman(&["stop", "-t", "10", "hello"]);
    let code = machine.podman(&["inspect", "--format", "{{.State.ExitCode}}", "hello"]);
    assert_eq!(code, "0", "it heard SIGTERM");
    machine.podman(&["rm", "hello"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_into_a_folder_is_served_to_read_and_not_to_write() {
    let (machine, project) = (
        Machine::new(),
        Project::new(&["linux/amd64", "linux/arm64"], SMALL),
    );
    project.write("file", "content");
    // No registry is named anywhere: the folder is the default.
    let args = ["release", "v1.2.3", "--format", "json"];
    let (list, _) = digests(&machine.rpub(project.path(), &args).well().json());
    let serve = ["serve", "./rpub-out", "--port", "0", "--format", "json"];
    let serving = machine.start(project.path(), &serve);
    eventually("it serves", || serving.printed().ends_with("}\n")).await;
    let document: serde_json::Value = serde_json::from_str(&serving.printed()).unwrap();
    let address = document["address"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{address}");

    let reference = format!("{address}/app:1.2.3");
    let offered = document["references"].as_array().unwrap();
    assert!(offered.contains(&reference.clone().into()), "{document}");
    assert_eq!(Digest::of(&raw(&format!("docker://{reference}"))), list);
    machine.podman(&["pull", "-q", "--tls-verify=false", &reference]);
    let check = machine.image(&reference)["Healthcheck"]["Test"].clone();
    assert_eq!(check, serde_json::json!(["CMD", "/file"]));

    let push = machine
        .command("podman")
        .args(["push", "-q", "--tls-verify=false", &reference])
        .arg(format!("{address}/app:mine"))
        .output()
        .unwrap();
    assert!(!push.status.success(), "it must not take a push");
    let url = format!("http://{address}/v2/app/manifests/1.2.3");
    let gone = client().delete(&url).send().await.unwrap();
    assert_eq!(gone.status().as_u16(), 405);
    assert_eq!(Digest::of(&raw(&format!("docker://{reference}"))), list);
    serving.interrupt();
    serving.wait().exit(0);
}
