//! Decides whether the steps of a build can be kept from this machine's network, and closes what older podmans leave open.
//! Must never ask a step, nor podman's words about one: a Containerfile could then talk its way out.

use super::about::About;
use super::known::at_least;
use super::service::Service;
use nix::unistd::{AccessFlags, access};
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SLIRP: &str = "slirp4netns";
const PASTA: &str = "pasta";
/// Both connect a step by it.
const TUN: &str = "/dev/net/tun";
/// Where podman looks for its helpers as well.
const ALSO: [&str; 4] = [
    "/usr/local/libexec/podman",
    "/usr/local/lib/podman",
    "/usr/libexec/podman",
    "/usr/lib/podman",
];

/// How far the steps of a build can be kept from this machine's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// They have a network of their own.
    Whole,
    /// They have a network of their own, in which 10.0.2.2 is this machine's loopback.
    Leaky,
    /// They have this machine's network, since a network of their own cannot be made: why.
    None(String),
}

impl Isolation {
    /// What a podman that rpub started can do; none where only that itself knows which helper it uses.
    pub(super) fn here(version: &str, service: &Service) -> Option<Self> {
        Self::without_helper().or_else(|| {
            let usual = if at_least(version, (5, 0)) {
                PASTA
            } else {
                SLIRP
            };
            find(usual).map(|_| Self::with_helper(version, Some(service)))
        })
    }

    /// What an engine can do that says this of itself.
    pub(super) fn told(about: &About, service: Option<&Service>) -> Self {
        // Another's engine may run where rpub does not.
        if let Some(none) = service.and_then(|_| Self::without_helper()) {
            return none;
        }
        let helpers = &about.helpers;
        let (version, chosen) = (about.version.as_str(), helpers.chosen.as_deref());
        let missing = match chosen {
            Some(SLIRP) => (!helpers.slirp4netns).then_some(SLIRP),
            _ if at_least(version, (5, 0)) => (!helpers.pasta).then_some(PASTA),
            // 4.4 to 4.9 may use either, and do not say which.
            _ if at_least(version, (4, 4)) && helpers.pasta => None,
            _ => (!helpers.slirp4netns).then_some(SLIRP),
        };
        match missing {
            Some(helper) => Isolation::None(format!("podman {version} finds no {helper}")),
            None => Self::with_helper(version, service),
        }
    }

    /// What keeps a podman of this machine from it, whichever helper it uses.
    fn without_helper() -> Option<Self> {
        let chosen = std::env::var("BUILDAH_ISOLATION").unwrap_or_default();
        if chosen.eq_ignore_ascii_case("chroot") {
            let why = "BUILDAH_ISOLATION=chroot makes no networks";
            return Some(Isolation::None(why.to_owned()));
        }
        let opened = File::options().read(true).write(true).open(TUN);
        let error = opened.err()?;
        Some(Isolation::None(format!("{TUN} cannot be opened: {error}")))
    }

    /// Before 4.6 podman starts slirp4netns with this machine's loopback in it.
    fn with_helper(version: &str, service: Option<&Service>) -> Self {
        if at_least(version, (4, 6)) || service.is_some_and(Service::closes_loopback) {
            Isolation::Whole
        } else {
            Isolation::Leaky
        }
    }
}

/// A PATH in which slirp4netns closes this machine's loopback, by a script in the folder. None where there is no slirp4netns,
/// or the script could not be run.
pub(super) fn closing_loopback(folder: &Path) -> Option<OsString> {
    let real = find(SLIRP)?;
    let real = real.to_str().filter(|path| !path.contains('\''))?;
    let write = || {
        let bin = folder.join("bin");
        std::fs::create_dir(&bin)?;
        let script = bin.join(SLIRP);
        let text = format!("#!/bin/sh\nexec '{real}' --disable-host-loopback \"$@\"\n");
        std::fs::write(&script, text)?;
        std::fs::set_permissions(&script, Permissions::from_mode(0o700))?;
        // Not where nothing may be executed: podman would pass over it.
        access(&script, AccessFlags::X_OK)?;
        io::Result::Ok(bin)
    };
    let bin = write()
        .inspect_err(|error| tracing::warn!(%error, "slirp4netns cannot be wrapped"))
        .ok()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path))).ok()
}

/// A program, where podman looks for it.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(ALSO.map(PathBuf::from));
    let mut files = folders.map(|folder| folder.join(program));
    files.find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::podman::about::Helpers;

    #[test]
    fn another_engine_isolates_where_it_has_the_helper_that_it_uses() {
        let none = |helper: &str, version: &str| {
            Isolation::None(format!("podman {version} finds no {helper}"))
        };
        for (version, slirp4netns, pasta, chosen, expected) in [
            ("4.3.1", true, false, None, Isolation::Leaky),
            ("4.3.1", false, true, None, none("slirp4netns", "4.3.1")),
            ("4.5.2", true, true, None, Isolation::Leaky),
            ("4.9.3", true, false, None, Isolation::Whole),
            ("4.9.3", false, true, None, Isolation::Whole),
            ("4.9.3", false, false, None, none("slirp4netns", "4.9.3")),
            ("5.4.2", true, true, Some("pasta"), Isolation::Whole),
            ("5.4.2", true, false, Some("slirp4netns"), Isolation::Whole),
            ("5.4.2", true, false, Some("pasta"), none("pasta", "5.4.2")),
            ("5.4.2", true, false, None, none("pasta", "5.4.2")),
        ] {
            let about = About {
                version: version.to_owned(),
                platform: "linux/amd64".parse().unwrap(),
                rootless: true,
                redirects: Vec::new(),
                helpers: Helpers {
                    slirp4netns,
                    pasta,
                    chosen: chosen.map(str::to_owned),
                },
            };
            assert_eq!(Isolation::told(&about, None), expected, "{version}");
        }
    }

    #[test]
    fn the_script_is_found_first_and_adds_the_option() {
        let folder = tempfile::tempdir().unwrap();
        let path = closing_loopback(folder.path()).expect("slirp4netns is installed");
        let first = std::env::split_paths(&path).next().unwrap();
        assert_eq!(first, folder.path().join("bin"));
        let said = std::process::Command::new(first.join(SLIRP))
            .arg("--version")
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
    }
}
