//! Decides whether this user can run rootless podman on this machine: ids, their programs, namespaces, folders, cgroups.
//! Must never call a machine broken for what podman does without.

use super::ids::{self, IDS};
use super::system::Distribution;
use super::{Area, Finding, Remedy, Severity, quoted};

/// What was seen of the machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Who runs rpub.
    pub user: User,
    /// The text of `/etc/subuid`; none where it is not there.
    pub subuid: Option<String>,
    /// The text of `/etc/subgid`.
    pub subgid: Option<String>,
    /// The program that maps users.
    pub newuidmap: Program,
    /// The program that maps groups.
    pub newgidmap: Program,
    /// What the kernel's switches say.
    pub switches: Switches,
    /// Where sockets go.
    pub runtime: Runtime,
    /// Whether the user's services run without a login; none where there is no systemd.
    pub lingers: Option<bool>,
    /// How control groups are mounted.
    pub cgroups: Cgroups,
    /// `/dev/net/tun`.
    pub tun: Tun,
    /// Whose packages it has.
    pub distribution: Distribution,
}

/// Who runs rpub.
#[derive(Debug, Clone)]
pub struct User {
    /// The account's name; the number where it has none.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// Where rpub itself is.
    pub rpub: String,
    /// Who could run it instead of root: who called sudo, else the first ordinary user.
    pub instead: Option<String>,
}

/// A program that needs privileges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// It is nowhere in PATH.
    Missing,
    /// It is there.
    There {
        /// Where.
        path: String,
        /// Whether it has what it needs: setuid root, or file capabilities.
        privileged: bool,
    },
}

/// The kernel's switches; none where the kernel has no such switch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Switches {
    /// `user.max_user_namespaces`
    pub max_user_namespaces: Option<u64>,
    /// `kernel.unprivileged_userns_clone`, Debian's and Arch's own.
    pub unprivileged_clone: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns`, Ubuntu's own.
    pub apparmor_restricts: Option<u64>,
}

/// What came of trying to make a namespace as podman does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It was not tried: something before it is broken, or podman is not there.
    Not,
    /// It failed, in podman's words.
    Failed(String),
    /// So many users are mapped in it.
    Mapped(u64),
}

/// The folder for sockets.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// `XDG_RUNTIME_DIR`, if it is set, and what is there.
    pub set: Option<(String, Folder)>,
    /// Where a login makes one, and what is there.
    pub usual: (String, Folder),
    /// Whether systemd runs this machine.
    pub systemd: bool,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// Nothing.
    Missing,
    /// No folder.
    Other,
    /// A folder.
    There {
        /// Its owner.
        uid: u32,
        /// Its permissions.
        mode: u32,
        /// Whether we can write there.
        writable: bool,
    },
}

/// How control groups are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cgroups {
    /// Version 2 alone.
    V2,
    /// Both, version 2 with controllers of its own.
    Hybrid,
    /// Version 1, with or without an empty tree of version 2 beside it.
    V1,
    /// Not at all.
    None,
}

/// The device that network helpers open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tun {
    /// It is not there.
    Missing,
    /// It cannot be opened, in the kernel's words.
    Closed(String),
    /// It can be opened.
    Open,
}

pub(super) fn ok(check: &str, found: impl Into<String>) -> Finding {
    Finding::new(check, Area::Machine, Severity::Ok, found)
}

pub(super) fn broken(check: &str, found: impl Into<String>) -> Finding {
    Finding::new(check, Area::Machine, Severity::Broken, found)
}

/// All that needs no podman.
pub fn findings(machine: &Machine) -> Vec<Finding> {
    let user = &machine.user;
    let mut found = vec![ids::user(user)];
    if user.uid == 0 {
        // The rest is about rootless podman, which root does not have.
        return found;
    }
    let is_uid = [("subuid", &machine.subuid), ("subgid", &machine.subgid)];
    found.extend(is_uid.map(|(check, text)| ids::range(check, text.as_deref(), user)));
    for (name, program) in [
        ("newuidmap", &machine.newuidmap),
        ("newgidmap", &machine.newgidmap),
    ] {
        found.push(ids::program(name, program, machine.distribution));
    }
    found.push(runtime_folder(&machine.runtime, user));
    found.extend(machine.lingers.map(|lingers| lingering(lingers, user)));
    found.push(cgroups(machine.cgroups, machine.runtime.systemd));
    found.push(tun(&machine.tun, machine.runtime.systemd));
    found
}

/// Whether podman can make a user's namespace, and made it with all the ids that there are now.
pub fn namespaces(switches: Switches, tried: &Tried) -> Option<Finding> {
    const CHECK: &str = "user-namespaces";
    const WHY: &str = "rootless containers live in a namespace of the user's own";
    let switch = |name: &str, value: &str| {
        let line = format!("{name}={value}");
        let file = "/etc/sysctl.d/90-rootless.conf";
        Remedy::by_root(format!("echo {line} >> {file} && sysctl -w {line}"))
    };
    if switches.max_user_namespaces == Some(0) {
        return Some(
            broken(
                CHECK,
                "user.max_user_namespaces is 0: nobody can make a user namespace",
            )
            .why(WHY)
            .mend(switch("user.max_user_namespaces", "28633")),
        );
    }
    if switches.unprivileged_clone == Some(0) {
        return Some(
            broken(
                CHECK,
                "kernel.unprivileged_userns_clone is 0: only root can make a user namespace",
            )
            .why(WHY)
            .mend(switch("kernel.unprivileged_userns_clone", "1")),
        );
    }
    Some(match tried {
        Tried::Not => return None,
        Tried::Failed(words) if switches.apparmor_restricts.is_some_and(|value| value != 0) => {
            broken(CHECK, format!("AppArmor keeps podman from making a user namespace: {words}"))
                .why("Ubuntu allows it only to programs that have a profile: a podman at another path than the package's has none")
                .mend(switch("kernel.apparmor_restrict_unprivileged_userns", "0"))
        }
        Tried::Failed(words) => broken(CHECK, format!("podman cannot make a user namespace: {words}"))
            .why(WHY)
            .mend(Remedy::harmless("podman system migrate")),
        Tried::Mapped(count) if *count < IDS => {
            broken(CHECK, format!("podman's namespace maps {count} ids only"))
                .why("podman keeps the namespace that it made before the ids were there, until it is told to make another")
                .mend(Remedy::harmless("podman system migrate"))
        }
        Tried::Mapped(count) => ok(CHECK, format!("podman makes one, with {count} ids")),
    })
}

fn runtime_folder(runtime: &Runtime, user: &User) -> Finding {
    const CHECK: &str = "runtime-folder";
    const WHY: &str =
        "podman's socket and its locks are in XDG_RUNTIME_DIR, a folder of the user's own";
    let (usual, there) = &runtime.usual;
    let good = |folder: &Folder| matches!(folder, Folder::There { uid, writable: true, .. } if *uid == user.uid);
    let (path, folder) = runtime
        .set
        .as_ref()
        .map_or((usual, there), |(path, folder)| (path, folder));
    if let Folder::There { mode, .. } = folder
        && good(folder)
    {
        let of_others = mode & 0o077;
        if of_others == 0 {
            return ok(CHECK, path);
        }
        return Finding::new(
            CHECK,
            Area::Machine,
            Severity::Warning,
            format!("{path} has mode {mode:o}"),
        )
        .why("others can reach this user's sockets there")
        .mend(Remedy::harmless(format!("chmod 700 {}", quoted(path))));
    }
    let found = match (&runtime.set, folder) {
        (None, _) => format!("XDG_RUNTIME_DIR is not set, and there is no {usual} of this user"),
        (_, Folder::Missing) => format!("XDG_RUNTIME_DIR is {path}, which is not there"),
        (_, Folder::Other) => format!("XDG_RUNTIME_DIR is {path}, which is no folder"),
        (_, Folder::There { uid, .. }) if *uid != user.uid => {
            format!(
                "XDG_RUNTIME_DIR is {path}, which belongs to user {uid}, not to {}",
                user.uid
            )
        }
        (_, Folder::There { .. }) => {
            format!("XDG_RUNTIME_DIR is {path}, where nothing can be written")
        }
    };
    let own = quoted(path);
    let (uid, gid) = (user.uid, user.gid);
    let remedy = match folder {
        _ if path != usual && good(there) => {
            Remedy::by_hand(format!("export XDG_RUNTIME_DIR={usual}"))
        }
        Folder::There { uid: owner, .. } if *owner == uid => {
            Remedy::harmless(format!("chmod 700 {own}"))
        }
        Folder::Missing if path == usual && runtime.systemd => {
            Remedy::by_root(format!("loginctl enable-linger {}", quoted(&user.name)))
        }
        Folder::Missing => Remedy::by_root(format!("install -D -d -m 700 -o {uid} -g {gid} {own}")),
        // What is there is somebody's: it is not taken away from him.
        _ if path != usual => Remedy::by_hand("unset XDG_RUNTIME_DIR"),
        _ => Remedy::by_root(format!("chown {uid}:{gid} {own} && chmod 700 {own}")),
    };
    broken(CHECK, found).why(WHY).mend(remedy)
}

fn lingering(lingers: bool, user: &User) -> Finding {
    const CHECK: &str = "lingering";
    if lingers {
        return ok(
            CHECK,
            format!("{}'s services run without a login", user.name),
        );
    }
    Finding::new(CHECK, Area::Machine, Severity::Note, format!("{}'s services end with the last login", user.name))
        .why("a release that runs without a session (cron, a CI runner) finds no podman.socket; rpub then starts its own service")
        .mend(Remedy::by_root(format!("loginctl enable-linger {}", quoted(&user.name))))
}

fn cgroups(cgroups: Cgroups, systemd: bool) -> Finding {
    const CHECK: &str = "cgroups";
    match cgroups {
        Cgroups::V2 => ok(CHECK, "version 2"),
        Cgroups::Hybrid => broken(CHECK, "/sys/fs/cgroup is hybrid: version 1, and version 2 with controllers")
            .why("crun refuses every RUN step there: \"cgroups in hybrid mode not supported\"")
            .mend(Remedy::by_root(if systemd {
                "mkdir -p /etc/default/grub.d && echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX systemd.unified_cgroup_hierarchy=1\"' > /etc/default/grub.d/cgroup2.cfg && update-grub && reboot"
            } else {
                // A container, or a machine with an init of its own: nobody needs the old trees.
                "while umount -R /sys/fs/cgroup 2>/dev/null; do :; done; mount -t cgroup2 none /sys/fs/cgroup"
            })),
        Cgroups::V1 => Finding::new(CHECK, Area::Machine, Severity::Note, "version 1")
            .why("builds work, without limits; podman 6 wants version 2"),
        Cgroups::None => Finding::new(CHECK, Area::Machine, Severity::Warning, "/sys/fs/cgroup is empty")
            .why("crun may refuse to run the steps of a build")
            .mend(Remedy::by_root("mount -t cgroup2 none /sys/fs/cgroup")),
    }
}

fn tun(tun: &Tun, systemd: bool) -> Finding {
    const CHECK: &str = "tun";
    const WHY: &str = "the network of rootless containers is made with it: no RUN step that loads something works without";
    match tun {
        Tun::Open => ok(CHECK, "/dev/net/tun can be opened"),
        Tun::Missing => broken(CHECK, "there is no /dev/net/tun")
            .why(WHY)
            .mend(Remedy::by_root(if systemd {
                "modprobe tun"
            } else {
                "mkdir -p /dev/net && mknod -m 666 /dev/net/tun c 10 200"
            })),
        Tun::Closed(words) => broken(CHECK, format!("/dev/net/tun cannot be opened: {words}"))
            .why(WHY)
            .mend(Remedy::by_root("chmod 666 /dev/net/tun")),
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
