//! Decides that rpub speaks to no engine of another user, however it comes to look at one.
//! Must never pass where that engine was not reachable.

use crate::{machine::Machine, other::Other};
use std::{collections::BTreeMap, os::unix::net::UnixStream, path::Path};

/// What rpub says with this in its environment, when it builds; it must end with exit 6.
fn build(machine: &Machine, env: &[(&str, &Path)], args: &[&str]) -> String {
    let toml = "[[image]]\nname = \"app\"\ncontainerfile = \"Containerfile\"\nplatforms = [\"linux/amd64\"]\n";
    std::fs::write(machine.path("work/rpub.toml"), toml).unwrap();
    std::fs::write(machine.path("work/Containerfile"), "FROM scratch\n").unwrap();
    machine.hand_over();
    let mut words = vec!["env".to_owned()];
    words.extend(
        env.iter()
            .map(|(name, value)| format!("{name}={}", value.display())),
    );
    words.extend([env!("CARGO_BIN_EXE_rpub"), "build", "v1.2.3"].map(str::to_owned));
    words.extend(args.iter().map(|word| (*word).to_owned()));
    let output = machine
        .command(&BTreeMap::new(), &machine.workspace(), &words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said}");
    said
}

#[test]
fn an_engine_of_another_user_is_refused_by_whatever_name() {
    let machine = Machine::start("rpub-neighbour");
    let other = Other::listens_at("s");
    let socket = other.folder().join("s");
    // Everybody reaches it.
    UnixStream::connect(&socket).unwrap();
    let url = socket.display().to_string();
    for said in [
        build(&machine, &[], &["--url", &url]),
        build(&machine, &[("CONTAINER_HOST", &socket)], &[]),
    ] {
        assert!(said.contains("another user's (uid 65534)"), "{said}");
        assert!(said.contains(&url), "{said}");
    }
    assert_eq!(other.end(), "", "it was sent something");
}

#[test]
fn an_engine_in_another_users_runtime_folder_is_not_looked_for() {
    let machine = Machine::start("rpub-neighbour");
    let other = Other::listens_at("podman/podman.sock");
    let folder = other.folder().to_owned();
    UnixStream::connect(folder.join("podman/podman.sock")).unwrap();
    let said = build(&machine, &[("XDG_RUNTIME_DIR", &folder)], &[]);
    assert!(said.contains("not a folder of this user's"), "{said}");
    assert_eq!(other.end(), "", "it was sent something");
}
