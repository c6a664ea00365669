//! Decides that doctor finds what is wrong with a user, its ids and folders, and the kernel's devices, and mends it.
//! Must never break anything but a machine of its own.

use crate::machine::Machine;

#[test]
fn a_machine_as_it_should_be_is_healthy() {
    let machine = Machine::start();
    let said = machine.doctor("", "");
    assert_eq!(said.code, 0, "{:#}", said.document);
    for check in [
        "user-namespaces",
        "engine",
        "loopback",
        "storage-driver",
        "socket",
    ] {
        assert_eq!(said.severity(check), "ok", "{:#}", said.document);
    }
    assert_eq!(said.severity("config"), "note");
}

#[test]
fn a_user_without_subuids() {
    let machine = Machine::start();
    machine.root("sed -i /^patient:/d /etc/subuid");
    machine.heals("subuid", 6, "");
}

#[test]
fn a_user_with_too_few_subgids() {
    let machine = Machine::start();
    machine.root("sed -i 's/^patient:.*/patient:600000:1000/' /etc/subgid");
    machine.heals("subgid", 6, "");
}

#[test]
fn newuidmap_that_is_not_there() {
    let machine = Machine::start();
    machine.root("dpkg --purge --force-depends uidmap");
    let said = machine.doctor("", "");
    assert_eq!(said.severity("newgidmap"), "broken");
    machine.heals("newuidmap", 6, "");
}

#[test]
fn newuidmap_without_its_privilege() {
    let machine = Machine::start();
    machine.root("chmod u-s /usr/bin/newuidmap");
    machine.heals("newuidmap", 6, "");
}

#[test]
fn newgidmap_without_its_privilege() {
    let machine = Machine::start();
    machine.root("chmod u-s /usr/bin/newgidmap");
    machine.heals("newgidmap", 6, "");
}

#[test]
fn a_namespace_from_before_the_ids_were_there() {
    let machine = Machine::start();
    let break_it = || {
        machine.root("cp /etc/subuid /etc/old-subuid; sed -i /^patient:/d /etc/subuid");
        machine.user("podman system migrate; podman unshare true");
        machine.root("cp /etc/old-subuid /etc/subuid");
    };
    break_it();
    machine.heals("user-namespaces", 6, "");
    break_it();
    let fixed = machine.doctor("", "--fix --yes");
    assert_eq!(fixed.code, 0, "{:#}", fixed.document);
    assert_eq!(
        fixed.document["fixed"][0]["command"],
        "podman system migrate"
    );
    assert!(
        fixed.stderr.contains("running: podman system migrate"),
        "{}",
        fixed.stderr
    );
    break_it();
    // On a terminal somebody is asked first.
    let ask = |answer: &str| {
        let output = machine.user(&format!(
            "{{ echo {answer}; sleep 3; }} | script -qec 'rpub doctor --fix' /dev/null"
        ));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("Run this?"), "{said}");
        output.status.code()
    };
    assert_eq!(ask("no"), Some(6));
    assert_eq!(ask("yes"), Some(0));
    break_it();
    let unasked = machine.doctor("", "--fix");
    assert_eq!(unasked.code, 6);
    assert_eq!(unasked.document["fixed"], serde_json::json!([]));
    assert!(unasked.stderr.contains("wants --yes"), "{}", unasked.stderr);
}

#[test]
fn no_runtime_folder_at_all() {
    let machine = Machine::start();
    machine.root("rm -rf /run/user/4242");
    machine.heals("runtime-folder", 6, "unset XDG_RUNTIME_DIR");
}

#[test]
fn a_runtime_folder_that_is_not_there() {
    let machine = Machine::start();
    machine.heals("runtime-folder", 6, "export XDG_RUNTIME_DIR=/run/user/1");
}

#[test]
fn a_runtime_folder_of_somebody_else() {
    let machine = Machine::start();
    machine.root("chown root: /run/user/4242");
    machine.heals("runtime-folder", 6, "");
}

#[test]
fn the_runtime_folder_of_another_session() {
    let machine = Machine::start();
    machine.root("install -d -m 755 /run/user/0");
    machine.heals("runtime-folder", 6, "export XDG_RUNTIME_DIR=/run/user/0");
}

#[test]
fn a_runtime_folder_that_is_open_to_all() {
    let machine = Machine::start();
    machine.root("chmod 755 /run/user/4242");
    machine.betters("runtime-folder", "");
    machine.root("chmod 755 /run/user/4242");
    let fixed = machine.doctor("", "--fix --yes");
    assert_eq!(
        fixed.severity("runtime-folder"),
        "ok",
        "{:#}",
        fixed.document
    );
}

#[test]
fn a_variable_that_is_not_set_is_no_harm_where_the_folder_is() {
    let machine = Machine::start();
    let said = machine.doctor("unset XDG_RUNTIME_DIR", "");
    assert_eq!((said.severity("runtime-folder"), said.code), ("ok", 0));
}

#[test]
fn no_tun() {
    let machine = Machine::start();
    machine.root("rm /dev/net/tun");
    machine.heals("tun", 6, "");
}

#[test]
fn a_tun_that_is_closed() {
    let machine = Machine::start();
    machine.root("chmod 600 /dev/net/tun");
    machine.heals("tun", 6, "");
}

#[test]
fn hybrid_cgroups() {
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers");
    let machine = Machine::with_own_cgroups();
    let said = machine.doctor("", "");
    if controllers.is_ok_and(|text| !text.trim().is_empty()) {
        assert_eq!(said.code, 6, "{:#}", said.document);
        machine.heals("cgroups", 6, "");
    } else {
        // What this machine has cannot be made hybrid for a test; it must not be called so.
        assert_ne!(said.severity("cgroups"), "broken", "{:#}", said.document);
    }
}

#[test]
fn root_is_sent_to_a_user() {
    let machine = Machine::start();
    machine.root(
        "cd /tmp; SUDO_USER=patient rpub doctor --format json >/run/user/said; [ $? = 6 ] && \
         command=$(python3 -c 'import json; d = json.load(open(\"/run/user/said\")); \
         print([f[\"remedy\"][\"command\"] for f in d[\"findings\"] if f[\"check\"] == \"user\"][0])') && \
         sh -c \"$command\"",
    );
}
