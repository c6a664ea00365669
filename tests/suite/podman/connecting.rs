//! Decides that engines are found, started, ended and refused as promised.
//! Must never leave a podman service behind.

use crate::support::engine::{
    Names, NotPodman, engine, eventually, folder_with_shell, own, processes_with, request,
};
use rpub::error::Kind;
use rpub::podman::{Connect, Engine};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn podman_is_started_privately_and_ends_with_rpub() {
    let engine = engine().await;
    assert!(engine.is_own());
    assert!(engine.version().starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(engine.platform().os(), "linux");
    let socket = engine.socket().to_owned();
    let folder = socket.parent().unwrap().to_owned();
    let mode = folder.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let name = socket.display().to_string();
    assert!(!processes_with(&name).is_empty());
    engine.shutdown().await;
    assert_eq!(processes_with(&name), []);
    assert!(!folder.exists());
}

#[tokio::test]
async fn podman_engines_live_side_by_side_and_one_may_use_the_others() {
    let (first, second) = tokio::join!(engine(), engine());
    assert_ne!(first.socket(), second.socket());
    for url in [
        format!("unix://{}", first.socket().display()),
        first.socket().display().to_string(),
    ] {
        let connect = Connect {
            url: Some(url),
            ..own()
        };
        let guest = Engine::connect(connect, CancellationToken::new())
            .await
            .unwrap();
        assert!(!guest.is_own());
        // What rpub knows of an engine that it started is what that says of itself.
        assert_eq!(guest.version(), first.version());
        assert_eq!(guest.platform(), first.platform());
        assert_eq!(
            guest.redirects().await.unwrap(),
            first.redirects().await.unwrap()
        );
        guest.shutdown().await;
    }
    let by_variable = Connect {
        container_host: Some(format!("unix://{}", second.socket().display())),
        ..own()
    };
    let guest = Engine::connect(by_variable, CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(guest.socket(), second.socket());
    drop(guest);
    let name = first.socket().display().to_string();
    assert!(!processes_with(&name).is_empty());
    drop(first);
    assert_eq!(processes_with(&name), []);
    second.shutdown().await;
}

#[tokio::test]
async fn podman_in_the_runtime_folder_is_found_first() {
    let engine = engine().await;
    let runtime = tempfile::tempdir().unwrap();
    std::fs::create_dir(runtime.path().join("podman")).unwrap();
    std::os::unix::fs::symlink(engine.socket(), runtime.path().join("podman/podman.sock")).unwrap();
    let connect = Connect {
        runtime_dir: Some(runtime.path().to_owned()),
        ..own()
    };
    let guest = Engine::connect(connect, CancellationToken::new())
        .await
        .unwrap();
    assert!(!guest.is_own());
    assert!(guest.socket().starts_with(runtime.path()));
    engine.shutdown().await;
}

/// Run by the tests below, in a process of its own: with a folder in its environment it builds that.
#[tokio::test]
#[ignore = "only the tests below run it"]
async fn podman_child_that_is_killed() {
    let engine = engine().await;
    println!("SOCKET {}", engine.socket().display());
    if let Some(folder) = std::env::var_os("RPUB_TEST_BUILDS") {
        let request = request(folder.as_ref(), &Names::new("killed"));
        let mut say = |line: &str| println!("SAID {line}");
        let built = engine.build(&request, &mut say).await;
        panic!("its step never ends: {built:?}");
    }
    std::thread::sleep(Duration::from_mins(10));
}

/// A process that runs the test above, and the socket of its engine; where it builds, the step has said `begun`.
fn child_that_is_killed(builds: Option<&Path>) -> (Child, String) {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "podman::connecting::podman_child_that_is_killed",
            "--nocapture",
        ])
        .envs(builds.map(|folder| ("RPUB_TEST_BUILDS", folder)))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let socket = lines
        .find_map(|line| line.split_once("SOCKET ").map(|(_, path)| path.to_owned()))
        .unwrap();
    if builds.is_some() {
        lines.find(|line| line == "SAID begun").unwrap();
    }
    (child, socket)
}

#[tokio::test]
async fn podman_ends_when_rpub_is_killed() {
    let (mut child, socket) = child_that_is_killed(None);
    assert!(!processes_with(&socket).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("podman is gone", || processes_with(&socket).is_empty()).await;
    // Killed outright, rpub cannot tidy its folder; that is left to the runtime folder's end.
    std::fs::remove_dir_all(Path::new(&socket).parent().unwrap()).unwrap();
}

#[tokio::test]
async fn podman_ends_a_step_when_rpub_is_killed() {
    let mark = format!("rpub-killed-{}", std::process::id());
    // Not at its very beginning: a podman that is told to end in that moment may do so without the step (seen on 5.8.6).
    let folder = folder_with_shell(&format!(
        "FROM scratch\nCOPY busybox /bin/sh\nRUN sleep 2; echo begun; sleep 600; : {mark}\n"
    ));
    let (mut child, socket) = child_that_is_killed(Some(folder.path()));
    assert!(!processes_with(&mark).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    let runtime = Path::new(&socket).parent().unwrap();
    eventually("the step and podman are gone", || {
        processes_with(&mark).is_empty()
            && processes_with(&runtime.display().to_string()).is_empty()
    })
    .await;
    std::fs::remove_dir_all(runtime).unwrap();
}

#[tokio::test]
async fn podman_missing_broken_or_without_a_runtime_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("podman");
    std::fs::write(
        &script,
        "#!/bin/sh\necho 'level=warning msg=x' >&2\necho 'Error: no subuid ranges' >&2\nexit 125\n",
    )
    .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let gone = folder.path().join("gone");
    for (connect, says, hints) in [
        (
            Connect {
                podman: "no-such-podman".into(),
                ..own()
            },
            "not installed",
            "install",
        ),
        (
            Connect {
                podman: script,
                ..own()
            },
            "no subuid ranges",
            "podman info",
        ),
        (
            Connect {
                runtime_dir: None,
                ..own()
            },
            "XDG_RUNTIME_DIR is not set",
            "export",
        ),
        (
            Connect {
                runtime_dir: Some(gone.clone()),
                ..own()
            },
            "not a folder",
            "export",
        ),
        (
            Connect {
                runtime_dir: Some("/".into()),
                ..own()
            },
            "not a folder of this user's",
            "export",
        ),
        (
            Connect {
                url: Some(gone.display().to_string()),
                ..own()
            },
            "no such socket",
            "systemctl",
        ),
    ] {
        let error = Engine::connect(connect, CancellationToken::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind, Kind::Engine, "{error}");
        assert!(error.what.contains(says), "{says:?} in {error}");
        assert!(error.hint.contains(hints), "{hints:?} in {}", error.hint);
    }
}

#[allow(clippy::unnecessary_wraps)] // as every answer is
fn http(body: &str) -> Option<Vec<u8>> {
    Some(
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
    )
}

#[tokio::test]
async fn podman_sockets_that_are_not_podmans_are_refused() {
    type Answer = fn(&str) -> Option<Vec<u8>>;
    let cases: [(Answer, &str); 7] = [
        (|_| http("<html>hello</html>"), "not podman"),
        (|_| http("OK"), "not podman"),
        (|_| Some(b"SSH-2.0-OpenSSH_9\r\n".to_vec()), "protocol"),
        (|_| Some(Vec::new()), "protocol"),
        (|_| Some(vec![0xff; 1 << 20]), "protocol"),
        (
            |_| {
                Some(
                    [
                        b"HTTP/1.1 200 OK\r\nLibpod-API-Version: 4.3.1\r\n\r\n".as_slice(),
                        &vec![b'x'; 1 << 22],
                    ]
                    .concat(),
                )
            },
            "not podman",
        ),
        (|_| None, "does not answer"),
    ];
    for (answer, says) in cases {
        let server = NotPodman::start(answer);
        let connect = Connect {
            url: Some(server.socket.display().to_string()),
            patience: Duration::from_secs(2),
            ..own()
        };
        let error = Engine::connect(connect, CancellationToken::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind, Kind::Engine, "{error}");
        assert!(error.what.contains(says), "{says:?} in {error}");
        assert!(!error.hint.is_empty());
    }
}

/// A real podman's answers, with the one word changed that makes it rootful; running one needs root.
#[tokio::test]
async fn podman_that_is_rootful_or_old_is_refused() {
    for (from, to, says) in [
        ("\"rootless\":true", "\"rootless\":false", "rootful"),
        ("\"rootless\":true", "\"rootles\":true", "rootful"),
        ("\"Version\":\"", "\"Version\":\"3.", "too old"),
        ("\"arch\":\"", "\"arch\":\"x", "platform"),
    ] {
        let engine = engine().await;
        let server = NotPodman::nearly(&engine, from, to);
        let connect = Connect {
            url: Some(server.socket.display().to_string()),
            ..own()
        };
        let error = Engine::connect(connect, CancellationToken::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind, Kind::Engine);
        assert!(error.what.contains(says), "{says:?} in {error}");
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn podman_is_not_waited_for_when_cancelled() {
    let server = NotPodman::start(|_| None);
    let connect = Connect {
        url: Some(server.socket.display().to_string()),
        ..own()
    };
    let cancel = CancellationToken::new();
    let later = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        later.cancel();
    });
    let error = Engine::connect(connect, cancel).await.unwrap_err();
    assert_eq!(error.kind, Kind::Interrupted);
}
