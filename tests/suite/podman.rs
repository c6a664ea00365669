//! Decides that rpub's calls do what they say on a real rootless podman.
//! Must never pass where the real part is missing.

/// Finding, starting and ending engines.
mod connecting;
/// What COPY finds, and what the ignore files leave out.
mod contexts;
/// What appears in a folder while podman builds from it.
mod late;
/// What a step reaches of this machine.
mod networks;
/// Pushes and manifest lists.
mod pushing;
/// By folder and by archive: the same.
mod ways;

use crate::support::engine::{
    Names, engine, eventually, folder, folder_with_shell, own, podman, processes_with, request,
    working_containers,
};
use rpub::error::Kind;
use rpub::podman::{BuildRequest, Engine};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

const CHECKED: &str =
    "FROM scratch\nCOPY Containerfile /\nHEALTHCHECK --interval=7s CMD [\"/x\"]\n";

#[tokio::test]
async fn podman_builds_in_docker_format_for_each_platform() {
    let (names, folder) = (
        Names::new("platforms"),
        folder(&[("Containerfile", CHECKED)]),
    );
    let engine = engine().await;
    // amd64 first: then the layer cache of 4.3 holds an image for the wrong platform when arm64 is asked for.
    for platform in ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/amd64"] {
        let mut request = BuildRequest {
            platform: platform.parse().unwrap(),
            tag: names.tag(&platform.replace('/', "-")),
            ..request(folder.path(), &names)
        };
        let label = ("org.example.x".to_owned(), "a \"b\" & ä=c".to_owned());
        request.labels.extend([label]);
        let mut lines = Vec::new();
        let id = engine
            .build(&request, &mut |line| lines.push(line.to_owned()))
            .await
            .unwrap();
        let built = engine.inspect(&request.tag).await.unwrap().unwrap();
        assert_eq!(built.id, id.as_str());
        assert_eq!(
            format!("{}/{}", built.os, built.arch),
            platform.trim_end_matches("/v7")
        );
        assert!(built.healthcheck);
        assert_eq!(built.labels["org.example.x"], "a \"b\" & ä=c");
        assert!(built.media_type.contains("docker"), "{}", built.media_type);
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("STEP 1/") && line.ends_with(": FROM scratch")),
            "{lines:?}"
        );
        let interval = podman(&[
            "inspect",
            "--format",
            "{{.HealthCheck.Interval}}",
            id.as_str(),
        ]);
        assert_eq!(interval, "7s");
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn podman_gets_arguments_target_and_no_cache() {
    let names = Names::new("arguments");
    let folder = folder(&[(
        "deep/Build file",
        "ARG A\nFROM scratch AS first\nARG A\nLABEL a=$A\nFROM first\nLABEL second=yes\n",
    )]);
    let engine = engine().await;
    let mut request = BuildRequest {
        containerfile: "deep/Build file".into(),
        args: BTreeMap::from([("A".to_owned(), "x y&z=1".to_owned())]),
        target: Some("first".to_owned()),
        ..request(folder.path(), &names)
    };
    engine.build(&request, &mut |_| {}).await.unwrap();
    let built = engine.inspect(&request.tag).await.unwrap().unwrap();
    assert_eq!(built.labels["a"], "x y&z=1");
    assert!(!built.labels.contains_key("second"));

    request.target = None;
    for (no_cache, expected) in [(false, false), (false, true), (true, false)] {
        request.no_cache = no_cache;
        let mut cached = false;
        engine
            .build(&request, &mut |line| cached |= line.contains("Using cache"))
            .await
            .unwrap();
        assert!(!no_cache || cached == expected, "no_cache {no_cache}");
    }
    let built = engine.inspect(&request.tag).await.unwrap().unwrap();
    assert_eq!(built.labels["second"], "yes");
    engine.shutdown().await;
}

#[tokio::test]
async fn podman_tells_the_step_that_failed_and_its_last_lines() {
    let names = Names::new("failing");
    let folder = folder_with_shell(
        "FROM scratch\nCOPY busybox /bin/sh\nRUN echo before\nRUN for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 7\n",
    );
    let engine = engine().await;
    let request = request(folder.path(), &names);
    let error = engine
        .build(&request, &mut |line| names.remember(line))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Build);
    assert!(error.what.contains("exit status 7"), "{error}");
    assert!(
        error.place.starts_with("Containerfile STEP 4/5: RUN for i"),
        "{error}"
    );
    for line in ["out 1", "out 3", "err 1", "err 3"] {
        assert!(
            error.tail.iter().any(|l| l == line),
            "{line} in {:?}",
            error.tail
        );
    }
    assert!(
        !error.tail.iter().any(|l| l == "before"),
        "{:?}",
        error.tail
    );
    assert_eq!(engine.inspect(&request.tag).await.unwrap(), None);
    engine.shutdown().await;
}

#[tokio::test]
async fn podman_build_mistakes_are_build_errors() {
    let names = Names::new("mistakes");
    let folder = folder(&[
        ("Containerfile", "FROM scratch\nCOPY missing /\n"),
        ("Broken", "FROM scratch\nNONSENSE x\n"),
        ("Empty", ""),
        ("Stages", "FROM scratch AS a\n"),
        ("file", ""),
        ("bad/.containerignore", "fine\n[\n"),
        ("bad/Containerfile", "FROM scratch\n"),
    ]);
    let engine = engine().await;
    let base = request(folder.path(), &names);
    let with = |containerfile: &str| BuildRequest {
        containerfile: containerfile.into(),
        ..base.clone()
    };
    let at = |context: &str| BuildRequest {
        context: folder.path().join(context),
        ..base.clone()
    };
    let unknown_stage = BuildRequest {
        target: Some("b".to_owned()),
        ..with("Stages")
    };
    for (request, says) in [
        (base.clone(), "missing"),
        (with("Broken"), "NONSENSE"),
        (with("Empty"), ""),
        (with("Nowhere"), "no Containerfile"),
        (unknown_stage, "b"),
        (at("nowhere"), "cannot read it"),
        (at("file"), "not a folder"),
        (at("bad"), "line 2"),
    ] {
        let error = engine.build(&request, &mut |_| {}).await.unwrap_err();
        assert_eq!(error.kind, Kind::Build, "{error}");
        assert!(error.what.contains(says), "{says:?} in {error}");
        assert!(!error.place.is_empty() && !error.hint.is_empty(), "{error}");
        assert_eq!(error.what.lines().count(), 1, "{error}");
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn podman_names_come_and_go() {
    let names = Names::new("names");
    let folder = folder(&[("Containerfile", "FROM scratch\nCOPY . /\n")]);
    let engine = engine().await;
    let request = request(folder.path(), &names);
    let id = engine.build(&request, &mut |_| {}).await.unwrap();
    engine
        .tag(id.as_str(), names.repository(), "other")
        .await
        .unwrap();
    engine.untag_or_remove(&request.tag).await.unwrap();
    assert_eq!(engine.inspect(&request.tag).await.unwrap(), None);
    let other = engine.inspect(&names.tag("other")).await.unwrap().unwrap();
    assert_eq!(other.id, id.as_str());
    engine.untag_or_remove(&names.tag("other")).await.unwrap();
    assert_eq!(engine.inspect(id.as_str()).await.unwrap(), None);
    // What is not there is fine to remove, and not fine to name.
    engine.untag_or_remove(&names.tag("other")).await.unwrap();
    let error = engine
        .tag(id.as_str(), names.repository(), "x")
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Engine);
    engine.shutdown().await;
}

#[tokio::test]
async fn podman_stops_building_when_cancelled() {
    let names = Names::new("cancel");
    // The number is this process's own, so that the command can be told from any other.
    let marker = format!("sleep 7{}", std::process::id());
    let folder = folder_with_shell(&format!(
        "FROM scratch\nCOPY busybox /bin/sh\nRUN echo now; {marker}\n"
    ));
    let before = working_containers();
    let cancel = CancellationToken::new();
    let engine = Engine::connect(own(), cancel.clone()).await.unwrap();
    let request = request(folder.path(), &names);
    let error = engine
        .build(&request, &mut |line| {
            names.remember(line);
            if line == "now" {
                cancel.cancel();
            }
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Interrupted);
    engine.stop_builds().await;
    // Killed it is by now; that it is gone the kernel says when it has had a moment for it.
    eventually("its step is gone", || processes_with(&marker).is_empty()).await;
    engine.shutdown().await;
    // Other tests build meanwhile, and theirs go too.
    let left = &working_containers() - &before;
    eventually("its containers are gone", || {
        working_containers().is_disjoint(&left)
    })
    .await;
}

#[tokio::test]
async fn podman_that_dies_while_it_builds_is_told() {
    let names = Names::new("dies");
    let marker = format!("sleep 8{}", std::process::id());
    let folder = folder_with_shell(&format!(
        "FROM scratch\nCOPY busybox /bin/sh\nRUN echo now; {marker}\n"
    ));
    let engine = engine().await;
    let request = request(folder.path(), &names);
    let builds = [
        format!("--tag={}", request.tag),
        engine.socket().display().to_string(),
    ];
    let mut kill = |line: &str| {
        names.remember(line);
        if line == "now" {
            let found = builds.iter().map(|text| processes_with(text));
            let found = found.into_iter().find(|found| !found.is_empty());
            kill_all(found.unwrap());
        }
    };
    let error = engine.build(&request, &mut kill).await.unwrap_err();
    assert_eq!(error.kind, Kind::Engine, "{error}");
    assert!(error.what.contains("broke off the build"), "{error}");
    assert!(error.place.contains("RUN echo now"), "{error}");
    engine.shutdown().await;
    // Nobody but its podman knows the step's command, and that had no time for it.
    kill_all(processes_with(&marker));
}

fn kill_all(found: Vec<(i32, String)>) {
    use nix::sys::signal::{Signal, kill};
    for (id, _) in found {
        // One may end by the end of another.
        let _ = kill(nix::unistd::Pid::from_raw(id), Signal::SIGKILL);
    }
}
