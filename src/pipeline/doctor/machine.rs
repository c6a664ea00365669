//! Decides where the facts of a machine are: files, the environment, the kernel.
//! Must never write anything, or follow what it reads.

use super::Asked;
use crate::model::doctor::{
    ids,
    machine::{Cgroups, Folder, Machine, Program, Runtime, Switches, Tun, User},
    system::Distribution,
};
use nix::{
    sys::{statfs, statvfs},
    unistd,
};
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

pub(super) fn look(asked: &Asked) -> Machine {
    let systemd = Path::new("/run/systemd/system").is_dir();
    let user = user(asked);
    let program = |name: &str| {
        which(asked, name, &[]).map_or(Program::Missing, |path| Program::There {
            privileged: is_privileged(&path),
            path: path.display().to_string(),
        })
    };
    let usual = format!("/run/user/{}", user.uid);
    let set = (asked.env)("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
    Machine {
        subuid: fs::read_to_string("/etc/subuid").ok(),
        subgid: fs::read_to_string("/etc/subgid").ok(),
        newuidmap: program("newuidmap"),
        newgidmap: program("newgidmap"),
        switches: Switches {
            max_user_namespaces: switch("user/max_user_namespaces"),
            unprivileged_clone: switch("kernel/unprivileged_userns_clone"),
            apparmor_restricts: switch("kernel/apparmor_restrict_unprivileged_userns"),
        },
        runtime: Runtime {
            set: set.map(|path| (path.clone(), folder(Path::new(&path)))),
            usual: (usual.clone(), folder(Path::new(&usual))),
            systemd,
        },
        lingers: systemd.then(|| {
            Path::new("/var/lib/systemd/linger")
                .join(&user.name)
                .exists()
        }),
        cgroups: cgroups(),
        tun: tun(),
        distribution: distribution(),
        user,
    }
}

fn user(asked: &Asked) -> User {
    let uid = unistd::geteuid();
    let known = unistd::User::from_uid(uid).ok().flatten();
    let rpub = std::env::current_exe().ok();
    User {
        name: known.map_or_else(|| uid.to_string(), |user| user.name),
        uid: uid.as_raw(),
        gid: unistd::getegid().as_raw(),
        rpub: rpub.map_or_else(|| "rpub".to_owned(), |path| path.display().to_string()),
        instead: (asked.env)("SUDO_USER").or_else(|| {
            let passwd = fs::read_to_string("/etc/passwd").ok()?;
            ids::ordinary(&passwd).map(str::to_owned)
        }),
    }
}

fn distribution() -> Distribution {
    Distribution::of(&fs::read_to_string("/etc/os-release").unwrap_or_default())
}

/// A program in PATH, or in one of these folders.
pub(super) fn which(asked: &Asked, name: &str, also: &[&str]) -> Option<PathBuf> {
    let path = (asked.env)("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(also.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| {
        fs::metadata(file)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

/// Setuid root, or file capabilities, which only `getcap` tells: where that is not there, trying will tell.
fn is_privileged(path: &Path) -> bool {
    let setuid =
        fs::metadata(path).is_ok_and(|found| found.uid() == 0 && found.mode() & 0o4000 != 0);
    let capable = || {
        let getcap = ["/usr/sbin/getcap", "/sbin/getcap", "/usr/bin/getcap"];
        let Some(getcap) = getcap.iter().find(|getcap| Path::new(getcap).exists()) else {
            return true;
        };
        let output = std::process::Command::new(getcap).arg(path).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("cap_set"))
    };
    setuid || capable()
}

fn switch(name: &str) -> Option<u64> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    text.trim().parse().ok()
}

fn folder(path: &Path) -> Folder {
    match fs::metadata(path) {
        // Closed to us is there, and not ours.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Folder::Other,
        Err(_) => Folder::Missing,
        Ok(found) if !found.is_dir() => Folder::Other,
        Ok(found) => Folder::There {
            uid: found.uid(),
            mode: found.mode() & 0o777,
            writable: unistd::access(path, unistd::AccessFlags::W_OK | unistd::AccessFlags::X_OK)
                .is_ok(),
        },
    }
}

fn cgroups() -> Cgroups {
    let root = Path::new("/sys/fs/cgroup");
    if statfs::statfs(root)
        .is_ok_and(|found| found.filesystem_type() == statfs::CGROUP2_SUPER_MAGIC)
    {
        return Cgroups::V2;
    }
    let controllers = fs::read_to_string(root.join("unified/cgroup.controllers"));
    if controllers.is_ok_and(|text| !text.trim().is_empty()) {
        return Cgroups::Hybrid;
    }
    match fs::read_dir(root).map(Iterator::count) {
        Ok(1..) => Cgroups::V1,
        _ => Cgroups::None,
    }
}

fn tun() -> Tun {
    match fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
    {
        Ok(_) => Tun::Open,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Tun::Missing,
        Err(error) => Tun::Closed(error.to_string()),
    }
}

/// What is free for us where a folder is, or will be.
pub(super) fn free(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|path| path.exists())?;
    let found = statvfs::statvfs(there).ok()?;
    Some(
        found
            .blocks_available()
            .saturating_mul(found.fragment_size()),
    )
}
