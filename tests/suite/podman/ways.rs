//! Decides that a build is the same whether the engine reads the folder itself or is sent an archive of it.
//! Must never assert a time.

use crate::support::engine::{Names, engine, files_of, folder, folder_with_shell};
use crate::support::machine::peak_memory;
use rpub::podman::{BuildRequest, Connect, Engine};
use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// An engine of rpub's own, which reads folders, and the same one as somebody else's, who is sent archives of them.
pub(super) async fn both() -> [Engine; 2] {
    let own = engine().await;
    let there = Connect {
        container_host: Some(format!("unix://{}", own.socket().display())),
        ..crate::support::engine::own()
    };
    let other = Engine::connect(there, CancellationToken::new())
        .await
        .unwrap();
    assert!(own.is_own() && !other.is_own());
    [own, other]
}

pub(super) async fn end([own, other]: [Engine; 2]) {
    other.shutdown().await;
    own.shutdown().await;
}

/// A build that takes nothing from another: each engine shall read for itself.
pub(super) fn request(folder: &Path, names: &Names) -> BuildRequest {
    BuildRequest {
        no_cache: true,
        ..crate::support::engine::request(folder, names)
    }
}

#[tokio::test]
async fn podman_gets_a_large_context_without_it_being_in_memory() {
    let names = Names::new("large");
    let folder = folder(&[("Containerfile", "FROM scratch\nCOPY Containerfile /\n")]);
    let large = std::fs::File::create(folder.path().join("large")).unwrap();
    large.set_len(300 << 20).unwrap();
    let engines = both().await;
    let before = peak_memory();
    for engine in &engines {
        engine
            .build(&request(folder.path(), &names), &mut |_| {})
            .await
            .unwrap();
    }
    let grown = peak_memory() - before;
    assert!(grown < 30 << 10, "{grown} KiB more than before");
    end(engines).await;
}

#[tokio::test]
async fn podman_makes_the_same_layers_of_a_folder_and_of_an_archive() {
    let names = Names::new("handed");
    let folder = folder(&[
        (
            "Containerfile",
            "FROM scratch\nCOPY . /\nCOPY sub/* /more/\n",
        ),
        ("a", "a"),
        ("sub/x", "x"),
        ("sub/left+out", ""),
        ("sub/leftout", ""),
        ("sub/folder/y", "y"),
        (".containerignore", "sub/left+out\n"),
    ]);
    std::fs::set_permissions(folder.path().join("a"), PermissionsExt::from_mode(0o600)).unwrap();
    symlink("a", folder.path().join("link")).unwrap();
    let engines = both().await;
    let request = BuildRequest {
        timestamp: Some(1_000_000_000),
        ..request(folder.path(), &names)
    };
    let mut layers = Vec::new();
    for engine in &engines {
        let id = engine.build(&request, &mut |_| {}).await.unwrap();
        let files = files_of(id.as_str());
        assert!(files.contains_key("sub/leftout") && files.contains_key("more/x"));
        assert!(!files.contains_key("sub/left+out"));
        layers.push(engine.inspect(id.as_str()).await.unwrap().unwrap().layers);
    }
    assert_eq!(layers[0].len(), 2);
    assert_eq!(layers[0], layers[1]);
    end(engines).await;
}

/// What a step can see of where it runs, a line for each thing, its network last. Each container has its own host name.
const SEEN: &str = "RUN busybox id; busybox pwd; busybox env | busybox grep -v ^HOSTNAME= | busybox sort; busybox cat /proc/self/limits; \
    busybox grep -E 'Cap|Seccomp|NoNewPrivs|Groups' /proc/self/status; \
    busybox cut -d ' ' -f 2,3 /proc/self/mounts | busybox sort; busybox ip addr | busybox grep -o '^[0-9]*: [a-z0-9]*'; \
    echo network $(busybox readlink /proc/self/ns/net)\n";
/// What every podman of the test is told.
const PROXY: (&str, &str) = ("HTTPS_PROXY", "http://proxy.invalid:3128");

/// Runs this test once more, as a process with that variable; false in that process.
fn again_with(variable: (&str, &str), test: &str) -> bool {
    if std::env::var(variable.0).is_ok_and(|value| value == variable.1) {
        return false;
    }
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]);
    let status = again.env(variable.0, variable.1).status().unwrap();
    assert!(status.success(), "{status}");
    true
}

#[tokio::test]
async fn podman_shows_a_step_the_same_however_it_builds() {
    if again_with(
        PROXY,
        "podman::ways::podman_shows_a_step_the_same_however_it_builds",
    ) {
        return;
    }
    let names = Names::new("seen");
    let folder = folder_with_shell(&format!(
        "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\nWORKDIR /work\nARG GIVEN\n{SEEN}"
    ));
    let engines = both().await;
    let request = BuildRequest {
        args: BTreeMap::from([("GIVEN".to_owned(), "a 'b' $c".to_owned())]),
        ..request(folder.path(), &names)
    };
    let mut seen = Vec::new();
    for engine in &engines {
        let mut lines = Vec::new();
        let mut hear = |line: &str| lines.push(line.to_owned());
        engine.build(&request, &mut hear).await.unwrap();
        let at = |start: &str| {
            lines
                .iter()
                .position(|line| line.starts_with(start))
                .unwrap()
        };
        // Each step has a network of its own.
        let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
        let (from, to) = (at("uid=0"), at("network "));
        assert_ne!(lines[to], format!("network {}", ours.display()));
        seen.push(lines[from..to].to_vec());
    }
    assert_eq!(seen[0], seen[1]);
    for line in [
        format!("{}={}", PROXY.0, PROXY.1),
        "GIVEN=a 'b' $c".to_owned(),
        "/work".to_owned(),
    ] {
        assert!(seen[0].contains(&line), "{line}: {:?}", seen[0]);
    }
    end(engines).await;
}
