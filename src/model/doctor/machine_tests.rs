//! Decides that machines are judged as they are: ids, programs, switches, folders, cgroups.
//! Must never look at the machine that the tests run on.

use super::super::ids::{ordinary, program, range};
use super::*;

fn user() -> User {
    User {
        name: "u".to_owned(),
        uid: 1000,
        gid: 1000,
        rpub: "/usr/bin/rpub".to_owned(),
        instead: None,
    }
}

const GOOD: Folder = Folder::There {
    uid: 1000,
    mode: 0o700,
    writable: true,
};

fn machine() -> Machine {
    let there = |name: &str| Program::There {
        path: format!("/usr/bin/{name}"),
        privileged: true,
    };
    Machine {
        user: user(),
        subuid: Some("u:100000:65536\n".to_owned()),
        subgid: Some("1000:100000:65536\n".to_owned()),
        newuidmap: there("newuidmap"),
        newgidmap: there("newgidmap"),
        switches: Switches::default(),
        runtime: runtime(None, GOOD),
        lingers: Some(true),
        cgroups: Cgroups::V2,
        tun: Tun::Open,
        distribution: Distribution::Debian,
    }
}

fn runtime(set: Option<(&str, Folder)>, usual: Folder) -> Runtime {
    Runtime {
        set: set.map(|(path, folder)| (path.to_owned(), folder)),
        usual: ("/run/user/1000".to_owned(), usual),
        systemd: false,
    }
}

fn command(finding: &Finding) -> &str {
    finding.remedy.as_ref().map_or("", |remedy| &remedy.command)
}

#[test]
fn a_machine_as_it_should_be_has_nothing_to_mend() {
    for finding in findings(&machine()) {
        assert_eq!(finding.severity, Severity::Ok, "{finding:?}");
    }
}

#[test]
fn root_is_told_to_be_somebody_else_and_nothing_more() {
    let mut machine = machine();
    machine.user.uid = 0;
    machine.user.instead = Some("u".to_owned());
    let found = findings(&machine);
    assert_eq!(found.len(), 1);
    assert!(found[0].is_broken());
    assert_eq!(
        command(&found[0]),
        "runuser --login u --command '/usr/bin/rpub doctor'"
    );
}

#[test]
fn somebody_else_is_a_person_who_can_log_in() {
    let passwd = "root:x:0:0::/root:/bin/bash\nd:x:1000:1::/:/usr/sbin/nologin\nx\nu:x:1001:1::/home/u:/bin/sh\n";
    assert_eq!((ordinary(passwd), ordinary("")), (Some("u"), None));
    let mut machine = machine();
    machine.user.uid = 0;
    assert!(command(&findings(&machine)[0]).starts_with("useradd --create-home rpub && runuser"));
}

#[test]
fn ids_count_by_name_and_number_and_new_ones_are_nobodys() {
    for (text, remedy) in [
        (None, "usermod --add-subuids 100000-165535 u"),
        (
            Some("v:100000:65536\nx\n"),
            "usermod --add-subuids 165536-231071 u",
        ),
        (
            Some("u:100000:1000\n"),
            "usermod --add-subuids 101000-166535 u",
        ),
        (Some("u:1:30000\n1000:100000:40000\n"), ""),
        (
            Some("uu:100000:65536\n"),
            "usermod --add-subuids 165536-231071 u",
        ),
    ] {
        let finding = range("subuid", text, &user());
        assert_eq!(command(&finding), remedy, "{text:?}");
        assert_eq!(finding.is_broken(), !remedy.is_empty());
    }
}

#[test]
fn programs_need_their_privileges() {
    let missing = program("newuidmap", &Program::Missing, Distribution::Fedora);
    assert_eq!(command(&missing), "dnf install -y shadow-utils");
    let plain = Program::There {
        path: "/usr/bin/newgidmap".to_owned(),
        privileged: false,
    };
    let plain = program("newgidmap", &plain, Distribution::Fedora);
    assert_eq!(command(&plain), "chmod u+s /usr/bin/newgidmap");
}

#[test]
fn the_kernels_switches_are_told_apart() {
    let none = Switches::default();
    let off = Switches {
        max_user_namespaces: Some(0),
        ..none
    };
    let debian = Switches {
        unprivileged_clone: Some(0),
        ..none
    };
    // Ubuntu 24.04.
    let ubuntu = Switches {
        apparmor_restricts: Some(1),
        ..none
    };
    let failed = Tried::Failed("cannot clone: Permission denied".to_owned());
    let at = |switches, tried: &Tried| namespaces(switches, tried).unwrap();
    for (switches, tried, says) in [
        (off, &Tried::Not, "sysctl -w user.max_user_namespaces=28633"),
        (
            debian,
            &Tried::Not,
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            ubuntu,
            &failed,
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (none, &failed, "podman system migrate"),
        (none, &Tried::Mapped(1), "podman system migrate"),
    ] {
        let finding = at(switches, tried);
        assert!(
            finding.is_broken() && command(&finding).ends_with(says),
            "{finding:?}"
        );
    }
    // The package's podman has a profile: the restriction is none for it.
    assert_eq!(at(ubuntu, &Tried::Mapped(65_537)).severity, Severity::Ok);
    assert_eq!(namespaces(none, &Tried::Not), None);
}

#[test]
fn runtime_folders_are_ours_closed_and_there() {
    use Severity::{Broken, Ok, Warning};
    let open = Folder::There {
        uid: 1000,
        mode: 0o755,
        writable: true,
    };
    let other = Folder::There {
        uid: 7,
        mode: 0o700,
        writable: false,
    };
    for (set, usual, severity, remedy) in [
        (None, GOOD, Ok, ""),
        (Some(("/x", GOOD)), Folder::Missing, Ok, ""),
        (Some(("/x", open)), GOOD, Warning, "chmod 700 /x"),
        (
            None,
            Folder::Missing,
            Broken,
            "install -D -d -m 700 -o 1000 -g 1000 /run/user/1000",
        ),
        (
            Some(("/x", Folder::Missing)),
            Folder::Missing,
            Broken,
            "install -D -d -m 700 -o 1000 -g 1000 /x",
        ),
        (
            Some(("/x", Folder::Missing)),
            GOOD,
            Broken,
            "export XDG_RUNTIME_DIR=/run/user/1000",
        ),
        (
            Some(("/x", other)),
            GOOD,
            Broken,
            "export XDG_RUNTIME_DIR=/run/user/1000",
        ),
        (
            Some(("/x", other)),
            Folder::Missing,
            Broken,
            "unset XDG_RUNTIME_DIR",
        ),
        (
            None,
            other,
            Broken,
            "chown 1000:1000 /run/user/1000 && chmod 700 /run/user/1000",
        ),
    ] {
        let finding = runtime_folder(&runtime(set, usual), &user());
        assert_eq!(
            (finding.severity, command(&finding)),
            (severity, remedy),
            "{set:?} {usual:?}"
        );
    }
    let with_systemd = Runtime {
        systemd: true,
        ..runtime(None, Folder::Missing)
    };
    let finding = runtime_folder(&with_systemd, &user());
    assert_eq!(command(&finding), "loginctl enable-linger u");
}

#[test]
fn cgroups_and_tun_are_judged_by_what_podman_does_with_them() {
    assert!(cgroups(Cgroups::Hybrid, false).is_broken());
    assert!(command(&cgroups(Cgroups::Hybrid, true)).contains("unified_cgroup_hierarchy=1"));
    assert_eq!(cgroups(Cgroups::V1, true).severity, Severity::Note);
    assert!(command(&tun(&Tun::Missing, false)).starts_with("mkdir -p /dev/net && mknod"));
    assert_eq!(command(&tun(&Tun::Missing, true)), "modprobe tun");
    assert!(tun(&Tun::Closed("Permission denied".to_owned()), false).is_broken());
}
