//! Decides that a release which has begun to move tags needs no descriptor that it does not have: neither to go on nor to go back.
//! Must never count on a proxy that closes connections: then there would always be one to spare.

use super::{manifest, two_registries};
use crate::support::{
    project::{Project, Running},
    registries::RegistryProcess,
};
use rpub::model::reference::Host;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// A request that waits on its way.
#[derive(Default)]
struct Gate {
    used: AtomicBool,
    has_come: Notify,
    goes_on: Notify,
}

/// Where a registry is reached by connections that stay open; the first request for `what` waits at the gate.
async fn wire(to: Host, what: &'static str, gate: Arc<Gate>) -> Host {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(to.as_str()).await.unwrap();
            let ((mut asking, mut answered), (mut answering, mut asked)) =
                (client.into_split(), server.into_split());
            // Whoever hangs up ends the copies.
            tokio::spawn(async move { copy(&mut answering, &mut answered).await });
            let gate = Arc::clone(&gate);
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = asking.read(&mut bytes).await {
                    let is_it = bytes[..count].starts_with(what.as_bytes());
                    if is_it && !gate.used.swap(true, Ordering::SeqCst) {
                        gate.has_come.notify_one();
                        gate.goes_on.notified().await;
                    }
                    if asked.write_all(&bytes[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    host.parse().unwrap()
}

/// Lets a process have descriptors below this number only; those that it has stay.
fn limit(process: u32, descriptors: u32) {
    let status = Command::new("prlimit")
        .args(["--pid", &process.to_string()])
        .arg(format!("--nofile={descriptors}:"))
        .status();
    assert!(status.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_without_descriptors_left_goes_back_and_its_journal_is_written() {
    let registries = two_registries();
    let hosts = registries.each_ref().map(RegistryProcess::host);
    let gate = Arc::new(Gate::default());
    let project = Project::plain("descriptors");
    // A request that comes before the connection of the one before it is free is made again a second later.
    let toml = fs::read_to_string(project.path("rpub.toml")).unwrap();
    project.write("rpub.toml", &toml.replace("first_delay = 0", ""));
    let name = format!("ns/{}", project.image());
    let first: &'static str = format!("PUT /v2/{name}/manifests/1.2.4 ").leak();
    let near = wire(hosts[0].clone(), first, Arc::clone(&gate)).await;
    let to = [near.as_str(), hosts[1].as_str()];
    let before = project.release(&to).await;
    assert_eq!(before.code, Some(0), "{}", before.err);
    let old = manifest(&hosts[0], &name, "latest").await.unwrap().digest();

    // From now on the second registry cannot move `latest`.
    let latest = registries[1].storage().join("repositories").join(&name);
    let latest = latest.join("_manifests/tags/latest/index/sha256");
    fs::set_permissions(&latest, Permissions::from_mode(0o500)).unwrap();
    project.write("text", "changed");
    let args = project.release_args(&to);
    let mut args = args.each();
    args[1] = "v1.2.4";
    let run = Running::start(project.command(&args));
    gate.has_come.notified().await;
    limit(run.pid(), 3);
    gate.goes_on.notify_one();
    let run = run.finish().await;
    fs::set_permissions(&latest, Permissions::from_mode(0o755)).unwrap();
    // podman could not be tidied up after; that is all that went wrong beside the registry.
    assert_eq!(run.code, Some(8), "{}", run.err);
    assert!(
        run.err.contains("taking back what had moved"),
        "{}",
        run.err
    );
    assert!(!run.err.contains("journal"), "{}", run.err);
    let left = fs::read_dir(project.state().join("rpub"));
    for entry in left.into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        assert!(!name.starts_with("journal-"), "{name}: {}", run.err);
    }
    for host in &hosts {
        for tag in ["latest", "1.2", "1.2.3"] {
            let now = manifest(host, &name, tag).await.unwrap().digest();
            assert_eq!(now, old, "{tag} on {host}");
        }
    }
}
