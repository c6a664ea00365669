//! Decides that doctor finds what is wrong with podman, its helpers, sockets and storage, and mends it.
//! Must never use the storage of a user that is not the machine's own.

use crate::machine::Machine;
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

#[test]
fn no_podman() {
    let machine = Machine::start();
    machine.root("dpkg --purge --force-depends podman");
    machine.heals("podman", 6, "");
}

#[test]
fn no_network_helper() {
    let machine = Machine::start();
    machine.root("dpkg --purge --force-depends slirp4netns");
    machine.heals("network-helper", 6, "");
}

#[test]
fn no_runtime() {
    let machine = Machine::start();
    machine.root("dpkg --purge --force-depends crun");
    machine.heals("runtime", 6, "");
}

#[test]
fn a_socket_that_is_not_there() {
    let machine = Machine::start();
    machine.heals(
        "socket",
        6,
        "export CONTAINER_HOST=unix:///run/user/4242/gone.sock",
    );
}

#[test]
fn an_engine_on_another_machine() {
    let machine = Machine::start();
    machine.heals(
        "socket",
        6,
        "export RPUB_URL=ssh://core@example.org/run/podman.sock",
    );
}

/// A socket at which somebody else answers, or nobody.
fn socket(path: &Path, answer: Option<&'static [u8]>) {
    let listener = UnixListener::bind(path).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            match answer {
                Some(answer) => {
                    // Whoever hangs up before has his answer.
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream.write_all(answer);
                }
                None => silent.push(stream),
            }
        }
    });
}

#[test]
fn a_socket_that_is_not_podmans() {
    let machine = Machine::start();
    let path = machine.file("other.sock");
    socket(
        &path,
        Some(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    );
    machine.heals(
        "socket",
        6,
        &format!("export CONTAINER_HOST=unix://{}", path.display()),
    );
}

#[test]
fn a_socket_that_is_silent() {
    let machine = Machine::start();
    let path = machine.file("silent.sock");
    socket(&path, None);
    machine.heals(
        "socket",
        6,
        &format!("export CONTAINER_HOST=unix://{}", path.display()),
    );
}

#[test]
fn an_engine_of_another_user() {
    let machine = Machine::start();
    machine.root(&format!("chmod 777 {}", machine.file("").display()));
    let path = machine.file("foreign.sock");
    // It listens as soon as it has its name.
    let script = format!(
        "import os, socket, time; os.umask(0); s = socket.socket(socket.AF_UNIX); s.bind('{0}.new'); s.listen(); \
         os.rename('{0}.new', '{0}'); time.sleep(600)",
        path.display()
    );
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    machine.start_as_root(
        &format!("exec {nobody} /usr/bin/python3 -c \"{script}\""),
        &path,
    );
    let lines = format!("export CONTAINER_HOST=unix://{}", path.display());
    let found = machine.doctor(&lines, "");
    let found = found.of("socket").unwrap()["found"].as_str().unwrap();
    assert!(found.contains("is another user's: uid 65534"), "{found}");
    machine.heals("socket", 6, &lines);
}

#[test]
fn the_users_own_socket_that_nobody_listens_at() {
    let machine = Machine::start();
    machine.root("install -d -o patient -g patient /run/user/4242/podman");
    let made = machine.user(
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/run/user/4242/podman/podman.sock\")'",
    );
    assert!(made.status.success());
    machine.betters("socket", "");
}

#[test]
fn a_podman_that_is_rootful() {
    let machine = Machine::start();
    let path = machine.file("rootful.sock");
    let url = format!("unix://{}", path.display());
    // The copy of /var is an overlay, and root's podman cannot have another on top of it.
    machine.root("mkdir -p /var/lib/containers && mount -t tmpfs tmpfs /var/lib/containers");
    let service = format!("exec podman system service --time=0 {url}");
    machine.start_as_root(&service, &path);
    machine.root(&format!("chmod 777 {}", path.display()));
    machine.heals("socket", 6, &format!("export CONTAINER_HOST={url}"));
}

#[test]
fn a_podman_that_cannot_reach_us() {
    let machine = Machine::start();
    machine.root(&format!("chmod 777 {}", machine.file("").display()));
    let path = machine.file("far.sock");
    let url = format!("unix://{}", path.display());
    let user = "setpriv --reuid 4242 --regid 4242 --clear-groups env HOME=/home/patient USER=patient \
                XDG_RUNTIME_DIR=/run/user/4242";
    machine.start_as_root(
        &format!("exec unshare --net {user} podman system service --time=0 {url}"),
        &path,
    );
    machine.heals("loopback", 6, &format!("export CONTAINER_HOST={url}"));
}

#[test]
fn vfs_where_nothing_is_stored_yet() {
    let machine = Machine::start();
    machine.root("rm /home/patient/.config/containers/storage.conf");
    machine.betters("storage-driver", "");
}

#[test]
fn vfs_is_left_alone_by_fix_where_something_is_stored() {
    let machine = Machine::start();
    machine.root("rm /home/patient/.config/containers/storage.conf");
    let made = machine.user("mkdir x && tar c x | podman import - kept");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let said = machine.doctor("", "--fix --yes");
    assert_eq!(
        said.severity("storage-driver"),
        "warning",
        "{:#}",
        said.document
    );
    assert!(machine.user("podman image exists kept").status.success());
}

#[test]
fn vfs_is_mended_by_fix_where_nothing_is_stored() {
    let machine = Machine::start();
    machine.root("rm /home/patient/.config/containers/storage.conf");
    let said = machine.doctor("", "--fix --yes");
    assert_eq!(said.severity("storage-driver"), "ok", "{:#}", said.document);
    assert_eq!(
        said.document["fixed"][0]["failure"],
        serde_json::Value::Null
    );
}

#[test]
fn a_storage_without_room() {
    let machine = Machine::start();
    machine.root(
        "install -d -o patient -g patient /home/patient/.local /home/patient/.local/share /home/patient/.local/share/containers && \
         mount -t tmpfs -o size=700m,mode=755,uid=4242,gid=4242 tmpfs /home/patient/.local/share/containers",
    );
    let made = machine
        .user("head -c 260000000 /dev/urandom >big && tar c big | podman import - big && rm big");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    machine.heals("space-storage", 6, "");
}

#[test]
fn a_spool_without_room() {
    let machine = Machine::start();
    machine.root(
        "install -d -o patient -g patient /home/patient/.cache && \
         mount -t tmpfs -o size=100m,mode=755,uid=4242,gid=4242 tmpfs /home/patient/.cache",
    );
    machine.heals("space-spool", 6, "");
}
