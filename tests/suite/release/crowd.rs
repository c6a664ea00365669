//! Decides that many releases on one machine, one after the other and at once, neither mix nor leave anything.
//! Must never look at another machine's leavings: each test has a podman storage of its own.

use super::{blob, digests, manifest, tags, to, two_registries};
use crate::support::{
    engine::native,
    machine::{Machine, Project},
    registries::RegistryProcess,
};
use rpub::model::{manifest::Body, reference::Host};
use std::collections::BTreeSet;
use std::path::Path;

/// Steps that leave images behind: an ARG before any file, a stage that is only copied from, a shared beginning.
const STEPS: &str = "FROM scratch AS made\nARG TARGETARCH\nCOPY common /common\nCOPY file /made\n\
                     FROM scratch\nARG TARGETARCH\nCOPY common /common\nCOPY file /file\nCOPY --from=made /made /made\n\
                     HEALTHCHECK CMD [\"/file\"]\n";
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

fn project(content: &str) -> Project {
    let project = Project::new(&PLATFORMS, STEPS);
    project.write("common", "the same for all");
    project.write("file", content);
    project
}

/// The file in the image of every platform is this one, on every registry.
async fn holds(hosts: &[Host], name: &str, tag: &str, content: &str) {
    for host in hosts {
        let list = manifest(host, name, tag).await.unwrap();
        assert!(!list.children().is_empty());
        for child in list.children() {
            let child = manifest(host, name, &child.digest.to_string()).await;
            let child = child.unwrap();
            let Body::Image { layers, .. } = child.body() else {
                panic!("no image")
            };
            assert!(layers.len() >= 2);
            for (layer, path) in layers[1..].iter().zip(["file", "made"]) {
                let bytes = blob(host, name, layer.digest).await;
                assert_eq!(untar(&bytes, path), content, "{host}/{name}:{tag} {path}");
            }
        }
    }
}

fn untar(layer: &[u8], name: &str) -> String {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let mut tar = std::process::Command::new("tar")
        .args(["-xzf", "-", "-C"])
        .arg(folder.path())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(layer).unwrap();
    assert!(tar.wait().unwrap().success());
    std::fs::read_to_string(folder.path().join(name)).unwrap()
}

fn files(folder: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// Folders for caches and state are an ordinary part of a home.
fn ordinary_home(machine: &Machine) {
    for folder in [".cache", ".local/state"] {
        std::fs::create_dir_all(machine.home().join(folder)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_twenty_times_leaves_nothing_behind() {
    let (machine, registries) = (Machine::new(), two_registries());
    let hosts = registries.each_ref().map(RegistryProcess::host);
    let to = to(&hosts, "ns");
    // One platform and few steps: what counts here is how often.
    let steps = "FROM scratch\nARG TARGETARCH\nCOPY common /common\nCOPY file /file\n";
    let project = Project::new(&[&native().to_string()], steps);
    project.write("common", "the same for all");
    project.write("file", "");
    // The first one makes podman's storage.
    machine.podman(&["images"]);
    ordinary_home(&machine);
    let mut expected = Vec::new();
    let (before, work) = (machine.inventory(), files(project.path()));
    for number in 0..20 {
        project.write("file", &format!("content {number}"));
        let version = format!("v1.{number}.0");
        let args = ["release", &version, "--to", &to, "--format", "json"];
        let ran = machine.rpub(project.path(), &args).well();
        expected.push(digests(&ran.json()).0);
    }
    assert_eq!(machine.inventory(), before);
    assert_eq!(files(project.path()), work);
    for (number, digest) in expected.iter().enumerate() {
        let tag = format!("1.{number}.0");
        for host in &hosts {
            let found = manifest(host, "ns/app", &tag).await.unwrap();
            assert_eq!(found.digest(), *digest, "{tag}");
        }
    }
    holds(&hosts, "ns/app", "1.3.0", "content 3").await;
    holds(&hosts, "ns/app", "latest", "content 19").await;
    let distinct: BTreeSet<_> = expected.iter().collect();
    assert_eq!(distinct.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_four_at_once_without_cross_talk() {
    let (machine, registries) = (Machine::new(), two_registries());
    let hosts = registries.each_ref().map(RegistryProcess::host);
    machine.podman(&["images"]);
    ordinary_home(&machine);
    let before = machine.inventory();
    for round in 0..3 {
        let content = |number: usize| format!("content {number} of round {round}");
        let projects: Vec<Project> = (0..4).map(|number| project(&content(number))).collect();
        let start = |(number, project): (usize, &Project)| {
            // What all of them share is new in each round, so that all of them build it at once.
            project.write("common", &format!("round {round}"));
            let to = to(&hosts, &format!("ns{number}"));
            let version = format!("v1.{round}.0");
            let args = ["release", &version, "--to", &to, "--format", "json"];
            machine.start(project.path(), &args)
        };
        let running: Vec<_> = projects.iter().enumerate().map(start).collect();
        let mut lists = BTreeSet::new();
        for (number, running) in running.into_iter().enumerate() {
            let (list, _) = digests(&running.wait().well().json());
            lists.insert(list);
            let (name, tag) = (format!("ns{number}/app"), format!("1.{round}.0"));
            for host in &hosts {
                let found = manifest(host, &name, &tag).await.unwrap();
                assert_eq!(found.digest(), list);
                assert_eq!(tags(host, &name).await.len(), 1 + 2 * (round + 1));
            }
            holds(&hosts, &name, &tag, &content(number)).await;
        }
        assert_eq!(lists.len(), 4);
        assert_eq!(machine.inventory(), before, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_leaves_what_was_there_before() {
    let (machine, [registry, _]) = (Machine::new(), two_registries());
    let to = to([&registry.host()], "ns");
    let project = project("content");
    // Somebody's own build of the same steps, and an image without a name.
    let folder = project.path().to_str().unwrap();
    let build = [
        "build",
        "-q",
        "--layers",
        "--format=docker",
        "--timestamp=1700000000",
    ];
    machine.podman(&[&build[..], &["--tag=own:1", folder]].concat());
    machine.podman(&[&build[..], &["--label=a=b", folder]].concat());
    ordinary_home(&machine);
    let before = machine.inventory();
    for version in ["v1.2.3", "v1.2.4"] {
        let args = ["release", version, "--to", &to];
        let ran = machine.rpub(project.path(), &args).well();
        // It met with those steps: otherwise nothing was tried.
        let mut cached = ran
            .stderr
            .lines()
            .filter_map(|line| line.split_once("Using cache "));
        let own = |(_, id): (&str, &str)| before.iter().any(|line| line.contains(id));
        assert!(cached.any(own), "{}", ran.stderr);
        assert_eq!(machine.inventory(), before, "{version}");
    }
}
