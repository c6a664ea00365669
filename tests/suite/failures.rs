//! Decides that real failures end with their exit code and in three parts, and that -v says what caused them.
//! Must never need podman: the codes that do are in `bad_input` (3) and `prune` (10).

use crate::support::registries::{Auth, RegistryProcess};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::net::UnixListener,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let image = "[[image]]\nname = \"app\"\nplatforms = [\"linux/amd64\"]\n";
    std::fs::write(folder.path().join("rpub.toml"), image).unwrap();
    std::fs::write(folder.path().join("Containerfile"), "FROM scratch\n").unwrap();
    folder
}

fn command(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpub"));
    command
        .args(args)
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", folder.path());
    command
}

/// What is told on stderr, once it has its three parts, each on a line, and nothing that only a programmer reads.
fn told(output: &Output, code: i32) -> String {
    let err = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert!(output.stdout.is_empty(), "a failure has no result");
    let (at, next) = if code == 5 { (0, 1) } else { (1, 1) };
    for (head, count) in [("error: ", 1), ("   at: ", at), (" next: ", next)] {
        let lines: Vec<&str> = err.lines().filter(|l| l.starts_with(head)).collect();
        assert_eq!(lines.len(), count, "{head:?} in {err}");
        assert!(
            lines.iter().all(|line| line.len() > head.len() + 2),
            "{err}"
        );
    }
    for word in [
        "Some(",
        "None",
        "Err(",
        "Os {",
        "Error {",
        "Kind",
        "kind:",
        "RUST_BACKTRACE",
    ] {
        assert!(!err.contains(word), "{word} in {err}");
    }
    err
}

/// A port that nobody listens on.
fn closed() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    format!("http://{address}/ns")
}

#[test]
fn failures_of_every_kind_have_their_code_and_three_parts() {
    let folder = folder();
    let locked = RegistryProcess::start(&Auth::Basic {
        user: "somebody",
        password: "secret-of-theirs",
    });
    let (down, locked) = (closed(), format!("http://{}/ns", locked.host()));
    let verify = |to| ["verify", "v1.2.3", "--tries", "1", "--to", to];
    for (args, code, words) in [
        (
            &["man", "--out", "Containerfile/x"][..],
            1,
            "Containerfile/x",
        ),
        (&["plan", "v1.2"], 2, "v1.2.0"),
        (&["plan", "-c", "gone.toml"], 2, "gone.toml"),
        (&["prune", "--yes"], 2, "--sweep"),
        (&verify(&down), 4, "connection"),
        (
            &["build", "v1.2.3", "--url", "unix:///nobody/is.there"],
            6,
            "/nobody/is.there",
        ),
        (&verify(&locked), 7, "podman login"),
    ] {
        let err = told(&command(&folder, args).output().unwrap(), code);
        assert!(err.contains(words), "{args:?}: {err}");
    }
}

/// An engine that takes connections and says nothing.
#[test]
fn failures_by_a_signal_say_how_to_go_on() {
    let folder = folder();
    let socket = folder.path().join("silent.sock");
    let silent = UnixListener::bind(&socket).unwrap();
    let url = socket.to_str().unwrap();
    let mut run = command(
        &folder,
        &["release", "v1.2.3", "--to", "./out", "--url", url],
    );
    let mut child = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Once it has asked the engine it does nothing but wait.
    let (_asked, _) = silent.accept().unwrap();
    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    let mut stderr = Vec::new();
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    reader.read_to_end(&mut stderr).unwrap();
    let output = Output {
        status: child.wait().unwrap(),
        stdout: reader.fill_buf().unwrap().to_vec(),
        stderr,
    };
    assert!(told(&output, 5).contains("run the same command again"));
}

#[test]
fn failures_with_verbose_say_what_caused_them() {
    let folder = folder();
    let down = closed();
    let causes = |flags: &[&str]| {
        let args = [&["verify", "v1.2.3", "--tries", "1", "--to", &down], flags].concat();
        let err = told(&command(&folder, &args).output().unwrap(), 4);
        let cause = |line: &str| line.strip_prefix("cause: ").map(str::to_owned);
        err.lines().filter_map(cause).collect::<Vec<String>>()
    };
    assert_eq!(causes(&[]), Vec::<String>::new());
    let all = causes(&["-v"]);
    assert!(all.len() >= 2, "{all:?}");
    assert!(
        all.iter().any(|cause| cause.contains("Connection refused")),
        "{all:?}"
    );
    assert!(all.iter().all(|cause| !cause.contains("://")), "{all:?}");
}
