//! Decides that SIGINT and SIGTERM end rpub in every stage with exit 5, and that it takes away all it had made.
//! Must never signal anything but the rpub that it started.

use super::{registry, tags};
use crate::support::{
    engine::{NotPodman, eventually, processes_with},
    faults::{Fault, Rule},
    project::{Outcome, Project, Running},
    proxy::Proxy,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::fs::PermissionsExt as _;

fn interrupted(project: &Project, run: &Outcome) {
    assert_eq!(run.code, Some(5), "{}", run.err);
    assert_eq!(run.out, "");
    assert!(run.err.contains("error: interrupted"), "{}", run.err);
    assert!(run.err.contains(" next: run the same"), "{}", run.err);
    project.is_clean_after(run);
}

#[tokio::test]
async fn bad_input_interrupted_while_a_silent_engine_is_waited_for() {
    let project = Project::plain("int-silent");
    let server = NotPodman::start(|_| None);
    let url = server.socket.display().to_string();
    let args = ["release", "v1.2.3", "--to", "./out", "--url", &url];
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut run = Running::start(project.command(&args));
        run.until("==> plan").await;
        run.signal(signal);
        interrupted(&project, &run.finish().await);
    }
}

/// A podman that never opens its socket; it must not be left behind.
#[tokio::test]
async fn bad_input_interrupted_while_the_service_starts() {
    let project = Project::plain("int-start");
    let podman = project.path("podman");
    std::fs::write(&podman, "#!/bin/sh\nexec sleep 600\n").unwrap();
    std::fs::set_permissions(&podman, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = project.command(&["release", "v1.2.3", "--to", "./out"]);
    let path = format!("{}:/usr/bin:/bin", project.path("").display());
    command.env("PATH", path);
    let mut run = Running::start(command);
    run.while_not("podman is started", || {
        project
            .processes()
            .iter()
            .any(|(_, line)| line.starts_with("sleep 600"))
    })
    .await;
    run.signal(Signal::SIGTERM);
    interrupted(&project, &run.finish().await);
}

#[tokio::test]
async fn bad_input_interrupted_while_a_step_runs() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let registry = registry();
        let project = Project::new(
            "int-build",
            "FROM scratch\nCOPY busybox /bin/sh\nRUN echo now; sleep 600\n",
        );
        let args = project.release_args(&[registry.host().as_str()]);
        let mut run = Running::start(project.command(&args.each()));
        run.until("| now").await;
        run.signal(signal);
        interrupted(&project, &run.finish().await);
        assert_eq!(tags(&registry, &project).await, Vec::<String>::new());
    }
}

/// A step's container is nobody's child for a moment, before and after its start.
#[tokio::test]
async fn bad_input_interrupted_around_the_start_of_a_step_leaves_no_container() {
    let marker = format!("sleep 8{}", std::process::id());
    let containerfile = format!("FROM scratch\nCOPY busybox /bin/sh\nRUN {marker}\n");
    let project = Project::new("int-start", &containerfile);
    // From before podman prepares the step to long after it runs, wherever that is on this machine.
    for moment in 0..16 {
        let mut run = Running::start(project.command(&["build", "v1.2.3"]));
        run.until("STEP 3/").await;
        tokio::time::sleep(std::time::Duration::from_millis(moment * 25)).await;
        run.signal(Signal::SIGINT);
        let run = run.finish().await;
        interrupted(&project, &run);
        let what = format!("the step of moment {moment} has ended");
        eventually(&what, || processes_with(&marker).is_empty()).await;
    }
}

/// Interrupts a release where a request of `method` that fits `pattern` gets no answer, which is in `stage`.
async fn interrupted_at(test: &str, method: &'static str, pattern: &str, nth: u32, stage: &str) {
    let (good, bad) = (registry(), registry());
    let rule = Rule::on(method, pattern, Fault::Silence).nth(nth);
    let proxy = Proxy::before(bad.host()).rule(rule).start().await;
    let project = Project::plain(test);
    let hosts = [good.host(), proxy.host()];
    let args = project.release_args(&[hosts[0].as_str(), hosts[1].as_str()]);
    let mut run = Running::start(project.command(&args.each()));
    run.until(&format!("==> {stage}")).await;
    run.while_not("the request is there", || {
        proxy.count(method, pattern) >= nth as usize
    })
    .await;
    run.signal(if nth % 2 == 1 {
        Signal::SIGINT
    } else {
        Signal::SIGTERM
    });
    let run = run.finish().await;
    let last = run.err.lines().rfind(|l| l.starts_with("==>"));
    assert_eq!(last, Some(format!("==> {stage}").as_str()), "{}", run.err);
    interrupted(&project, &run);
    for registry in [&good, &bad] {
        assert_eq!(tags(registry, &project).await, Vec::<String>::new());
    }
    // The same command again finishes.
    let again = project.run(&args.each()).await;
    assert_eq!(again.code, Some(0), "{}", again.err);
    project.is_clean_after(&again);
    let both = (tags(&good, &project).await, tags(&bad, &project).await);
    assert_eq!(both.0, both.1);
    assert!(both.0.contains(&"1.2.3".to_owned()), "{both:?}");
}

#[tokio::test]
async fn bad_input_interrupted_while_a_blob_is_sent() {
    // The first one asked whether we may push.
    interrupted_at("int-push", "POST", "/blobs/uploads/", 2, "push").await;
}

#[tokio::test]
async fn bad_input_interrupted_while_the_list_is_assembled() {
    // The first manifest is the image's own.
    interrupted_at("int-list", "PUT", "/manifests/sha256:", 2, "assemble").await;
}

#[tokio::test]
async fn bad_input_interrupted_while_the_list_is_read_back() {
    interrupted_at("int-read", "GET", "/manifests/sha256:", 1, "verify").await;
}

/// The config is the last that is read before tags move.
#[tokio::test]
async fn bad_input_interrupted_just_before_the_tags() {
    interrupted_at("int-tags", "GET", "/blobs/sha256:", 1, "verify").await;
}

/// Once tags move they are let finish: all of them on every registry, or none.
#[tokio::test]
async fn bad_input_interrupted_while_tags_move_leaves_no_half() {
    let (first, second) = (registry(), registry());
    let project = Project::plain("int-half");
    let hosts = [first.host(), second.host()];
    let args = project.release_args(&[hosts[0].as_str(), hosts[1].as_str()]);
    let mut run = Running::start(project.command(&args.each()));
    run.until("==> tag").await;
    run.signal(Signal::SIGINT);
    let run = run.finish().await;
    let both = (tags(&first, &project).await, tags(&second, &project).await);
    assert_eq!(both.0, both.1, "{}", run.err);
    match run.code {
        Some(0) => assert_eq!(both.0.len(), 3, "{both:?}"),
        code => assert!(code == Some(5) && both.0.is_empty(), "{both:?} {}", run.err),
    }
    project.is_clean_after(&run);
}

/// Podman hangs, so that the clearing up after the first signal never ends; the second ends rpub all the same.
#[tokio::test]
async fn bad_input_second_signal_ends_at_once() {
    let registry = registry();
    // The first one asks whether we may push.
    let rule = Rule::on("POST", "/blobs/uploads/", Fault::Silence).nth(2);
    let proxy = Proxy::before(registry.host()).rule(rule).start().await;
    let project = Project::plain("int-twice");
    let args = project.release_args(&[proxy.host().as_str()]);
    let mut run = Running::start(project.command(&args.each()));
    run.while_not("the request is there", || {
        proxy.count("POST", "/blobs/uploads/") > 1
    })
    .await;
    let services: Vec<i32> = project
        .processes()
        .iter()
        .filter(|(_, line)| line.contains("system service"))
        .map(|(pid, _)| *pid)
        .collect();
    assert!(!services.is_empty());
    for service in &services {
        kill(Pid::from_raw(*service), Signal::SIGSTOP).unwrap();
    }
    run.signal(Signal::SIGINT);
    run.until("once more to stop at once").await;
    run.signal(Signal::SIGINT);
    let run = run.finish().await;
    assert_eq!(run.code, Some(5), "{}", run.err);
    for service in &services {
        // It may have ended by the signal that rpub's end sends it.
        let _ = kill(Pid::from_raw(*service), Signal::SIGCONT);
    }
    eventually("podman has ended", || project.processes().is_empty()).await;
    // Whether the spool was gone by then or not: the next run finds its way, and leaves nothing of either.
    let again = project.run(&args.each()).await;
    assert_eq!(again.code, Some(0), "{}", again.err);
    project.is_clean_after(&again);
}

/// Nothing can be cleared up by who is killed; what can be seen from outside goes with it, the rest with the next run.
#[tokio::test]
async fn bad_input_killed_rpub_leaves_no_process_and_the_next_run_sweeps_the_spool() {
    let registry = registry();
    // The first one asks whether we may push.
    let rule = Rule::on("POST", "/blobs/uploads/", Fault::Silence).nth(2);
    let proxy = Proxy::before(registry.host()).rule(rule).start().await;
    let project = Project::plain("int-killed");
    let args = project.release_args(&[proxy.host().as_str()]);
    let mut run = Running::start(project.command(&args.each()));
    run.while_not("the request is there", || {
        proxy.count("POST", "/blobs/uploads/") > 1
    })
    .await;
    run.signal(Signal::SIGKILL);
    assert_eq!(run.finish().await.code, None);
    eventually("podman has ended", || project.processes().is_empty()).await;
    assert!(project.cache().join("rpub").exists(), "the spool is left");
    let again = project.run(&args.each()).await;
    assert_eq!(again.code, Some(0), "{}", again.err);
    project.is_clean_after(&again);
}
