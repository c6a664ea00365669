//! Decides that a podman that is missing, foreign, silent or rootful ends with exit 6 and the command that mends it.
//! Must never start a rootful podman: its answers are a rootless one's with one word changed.

use crate::support::{
    engine::{NotPodman, engine},
    project::{Project, Running},
};

const RELEASE: [&str; 4] = ["release", "v1.2.3", "--to", "./out"];

#[tokio::test]
async fn bad_input_no_podman_is_told_with_what_to_install() {
    let project = Project::plain("missing");
    let mut command = project.command(&RELEASE);
    command.env("PATH", project.path("nothing"));
    let run = Running::start(command).finish().await;
    project.failed(&run, 6, "not installed", "podman", "apt-get install podman");
    assert!(!project.path("out").exists(), "nothing was begun");
}

#[tokio::test]
async fn bad_input_no_runtime_folder_is_told() {
    let project = Project::plain("runtime");
    let mut command = project.command(&RELEASE);
    command.env("XDG_RUNTIME_DIR", project.path("gone"));
    let run = Running::start(command).finish().await;
    project.failed(&run, 6, "XDG_RUNTIME_DIR", "gone", "export");
}

#[tokio::test]
async fn bad_input_sockets_that_are_not_podmans_are_told() {
    const PAGE: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>";
    let project = Project::plain("socket");
    for (answer, what) in [
        (Some(PAGE.to_vec()), "not podman"),
        (Some(vec![0xfe; 4096]), "podman's protocol"),
        (Some(Vec::new()), "podman's protocol"),
        (None, "does not answer"),
    ] {
        let server = NotPodman::start(move |_| answer.clone());
        let url = format!("unix://{}", server.socket.display());
        let run = project
            .run(&[&RELEASE[..], &["--url", &url]].concat())
            .await;
        let at = server.socket.display().to_string();
        project.failed(&run, 6, what, &at, "--url");
    }
    let gone = project.path("gone.sock").display().to_string();
    let run = project
        .run(&[&RELEASE[..], &["--url", &gone]].concat())
        .await;
    project.failed(&run, 6, "no such socket", &gone, "systemctl --user start");
    let run = project
        .run(&[&RELEASE[..], &["--url", "tcp://127.0.0.1:1"]].concat())
        .await;
    project.failed(&run, 2, "tcp://", "--url", "unix socket");
}

#[tokio::test]
async fn bad_input_rootful_podman_is_refused_with_the_command_that_sets_up_another() {
    let project = Project::plain("rootful");
    let engine = engine().await;
    let server = NotPodman::nearly(&engine, "\"rootless\":true", "\"rootless\":false");
    let url = server.socket.display().to_string();
    let run = project
        .run(&[&RELEASE[..], &["--url", &url]].concat())
        .await;
    project.failed(
        &run,
        6,
        "rootful",
        &url,
        "systemctl --user enable --now podman.socket",
    );
    engine.shutdown().await;
}
