//! Decides whether the podman that is here can do what rpub asks of it: versions, helpers, sockets, storage, room.
//! Must never refuse a podman for what rpub does without.

use super::system::Distribution;
use super::{Area, Finding, Remedy, Severity, quoted};

/// podman on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Podman {
    /// There is none in PATH.
    Missing,
    /// It does not tell its version, in its words.
    Unusable(String),
    /// Its version.
    Version(String),
}

/// What podman needs beside it; versions as they tell them.
#[derive(Debug, Clone)]
pub struct Helpers {
    /// crun's version, where it is there.
    pub crun: Option<String>,
    /// Whether runc is there.
    pub runc: bool,
    /// Whether slirp4netns is there.
    pub slirp4netns: bool,
    /// Whether pasta is there.
    pub pasta: bool,
}

/// podman's storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// How layers are stored.
    pub driver: String,
    /// Where.
    pub root: String,
    /// Whether there is nothing in it: no image, container or volume.
    pub empty: bool,
    /// `~/.config/containers/storage.conf`, and whether it is there.
    pub config: (String, bool),
}

/// How a socket behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Socket {
    /// The URL is not a unix socket's.
    BadUrl,
    /// Nothing is there.
    Missing,
    /// Nothing listens, or it cannot be reached, in the kernel's words.
    Refused(String),
    /// A user with this id listens there, who is not this one.
    Foreign(u32),
    /// It says nothing.
    Silent,
    /// It is something else, in its words.
    NotPodman(String),
    /// A podman that runs as root.
    Rootful,
    /// A podman, with its version.
    Podman(String),
}

/// Who named a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `--url`.
    Url,
    /// `RPUB_URL`.
    RpubUrl,
    /// `CONTAINER_HOST`.
    ContainerHost,
    /// The user's own, where systemd puts it.
    User,
}

/// One socket that rpub would use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Who named it.
    pub origin: Origin,
    /// Its path or URL.
    pub path: String,
    /// How it behaves.
    pub socket: Socket,
    /// Whether the user has a systemd of his own that could start it.
    pub systemd: bool,
}

/// What came of using the engine as a release does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Used {
    /// It was not tried: something before it is broken.
    Not,
    /// It failed: what happened, what to do.
    Failed(String),
    /// It answers.
    Answers {
        /// Its version.
        version: String,
        /// Whether rpub started it.
        own: bool,
        /// Whether it reached a port of rpub's on loopback.
        loopback: bool,
    },
}

fn new(check: &str, severity: Severity, found: impl Into<String>) -> Finding {
    Finding::new(check, Area::Engine, severity, found)
}

fn ok(check: &str, found: impl Into<String>) -> Finding {
    new(check, Severity::Ok, found)
}

fn broken(check: &str, found: impl Into<String>) -> Finding {
    new(check, Severity::Broken, found)
}

/// Major and minor of a version, as far as it begins with them.
pub fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What of rpub does not work with a podman, oldest cause first.
fn lacks(version: (u32, u32)) -> Vec<&'static str> {
    let mut lacks = Vec::new();
    if version < (5, 0) {
        lacks.push("no here-documents in Containerfiles (5.0)");
    }
    if version < (5, 6) {
        lacks.push("the same sources give another digest each time (5.6)");
    }
    lacks
}

/// podman itself.
pub fn podman(podman: &Podman, distribution: Distribution) -> Finding {
    const CHECK: &str = "podman";
    let update = || Remedy::by_root(distribution.install("podman"));
    let version = match podman {
        Podman::Missing => {
            return broken(CHECK, "podman is not installed")
                .why("rpub builds with it")
                .mend(update());
        }
        Podman::Unusable(words) => {
            return broken(CHECK, format!("podman does not tell its version: {words}"))
                .why("rpub builds with it")
                .mend(update());
        }
        Podman::Version(version) => version,
    };
    let found = format!("podman {version}");
    match major_minor(version) {
        None | Some((..4, _)) => broken(CHECK, found)
            .why("rpub needs 4.3 or newer")
            .mend(update()),
        Some((4, ..3)) => new(CHECK, Severity::Warning, found)
            .why("rpub was tried with 4.3 and newer")
            .mend(update()),
        Some(known) => {
            let lacks = lacks(known).join("; ");
            let severity = if lacks.is_empty() {
                Severity::Ok
            } else {
                Severity::Note
            };
            new(CHECK, severity, found).why(lacks)
        }
    }
}

/// What runs containers, and what gives them a network.
pub fn helpers(helpers: &Helpers, podman: &str, distribution: Distribution) -> Vec<Finding> {
    let version = major_minor(podman).unwrap_or_default();
    vec![
        runtime(helpers, version, distribution),
        network(helpers, version, distribution),
    ]
}

fn runtime(helpers: &Helpers, podman: (u32, u32), distribution: Distribution) -> Finding {
    const CHECK: &str = "runtime";
    let Some(crun) = &helpers.crun else {
        if helpers.runc {
            return ok(CHECK, "runc");
        }
        return broken(CHECK, "neither crun nor runc is installed")
            .why("podman runs the steps of a build with it")
            .mend(Remedy::by_root(distribution.install("crun")));
    };
    // Before 1.14.3 crun refuses what podman 5 writes: "unknown version specified".
    let mut parts = crun.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    let old = (part(), part(), part()) < (1, 14, 3);
    if podman >= (5, 0) && old && !helpers.runc {
        return broken(
            CHECK,
            format!(
                "crun {crun} is too old for podman {}.{}",
                podman.0, podman.1
            ),
        )
        .why(
            "it refuses every RUN step of podman 5: \"unknown version specified\"; 1.14.3 does not",
        )
        .mend(Remedy::by_root(distribution.install("crun")));
    }
    ok(CHECK, format!("crun {crun}"))
}

fn network(helpers: &Helpers, podman: (u32, u32), distribution: Distribution) -> Finding {
    const CHECK: &str = "network-helper";
    let (usual, there) = if podman >= (5, 0) {
        ("pasta", helpers.pasta)
    } else {
        ("slirp4netns", helpers.slirp4netns)
    };
    if there {
        return ok(CHECK, usual);
    }
    broken(CHECK, format!("{usual} is not installed"))
        .why("this podman gives the steps of a build a network with it")
        .mend(Remedy::by_root(distribution.install(usual)))
}

/// Sockets in the order in which rpub tries them.
pub fn sockets(places: &[Place]) -> Finding {
    const CHECK: &str = "socket";
    let Some(place) = places.first() else {
        return ok(CHECK, "none: rpub starts a podman of its own");
    };
    let path = &place.path;
    let named = match place.origin {
        Origin::Url => "--url",
        Origin::RpubUrl => "RPUB_URL",
        Origin::ContainerHost => "CONTAINER_HOST",
        Origin::User => "podman.socket",
    };
    let what = match &place.socket {
        Socket::Podman(version) => {
            return ok(CHECK, format!("{path}: podman {version}, by {named}"));
        }
        Socket::Missing if place.origin == Origin::User => {
            return ok(CHECK, "none: rpub starts a podman of its own");
        }
        Socket::BadUrl => "is not a unix socket's URL".to_owned(),
        Socket::Missing => "is not there".to_owned(),
        Socket::Refused(words) => format!("cannot be reached: {words}"),
        Socket::Foreign(user) => format!("is another user's: uid {user}"),
        Socket::Silent => "does not answer".to_owned(),
        Socket::NotPodman(words) => format!("is not podman's: {words}"),
        Socket::Rootful => "is rootful: images there are root's".to_owned(),
    };
    let severity = match place.origin {
        Origin::User => Severity::Warning,
        _ => Severity::Broken,
    };
    new(CHECK, severity, format!("{named}: {path} {what}"))
        .why(match place.origin {
            Origin::User => "rpub waits for it in vain, and then starts a podman of its own",
            _ => "rpub uses this one and no other, since it was named",
        })
        .mend(match place.origin {
            // Not a harmless one: builds of others may run there.
            Origin::User if place.systemd => {
                Some(Remedy::by_hand("systemctl --user restart podman.socket"))
            }
            Origin::User => Some(Remedy::by_hand(format!("rm {}", quoted(path)))),
            Origin::ContainerHost => Some(Remedy::by_hand("unset CONTAINER_HOST")),
            Origin::RpubUrl => Some(Remedy::by_hand("unset RPUB_URL")),
            Origin::Url => None,
        })
}

/// Using it as a release does.
pub fn used(used: &Used, places: &[Place]) -> Vec<Finding> {
    const LOOPBACK: &str = "loopback";
    match used {
        Used::Not => vec![new(
            "engine",
            Severity::Note,
            "not tried: mend what is broken above first",
        )],
        Used::Failed(what) => vec![
            broken("engine", what)
                .why("every build begins with it")
                .mend(Remedy::harmless("podman system migrate")),
        ],
        Used::Answers {
            version,
            own,
            loopback,
        } => {
            let whose = if *own {
                "started by rpub"
            } else {
                "it was running"
            };
            let mut found = vec![ok("engine", format!("podman {version} answers; {whose}"))];
            found.push(if *loopback {
                ok(LOOPBACK, "podman reaches rpub's port on 127.0.0.1")
            } else {
                broken(LOOPBACK, "podman does not reach rpub's port on 127.0.0.1")
                    .why("podman pushes to rpub, which sends the image on: both must be in one network namespace")
                    .mend(match places.first().map(|place| &place.origin) {
                        Some(Origin::ContainerHost) => Some(Remedy::by_hand("unset CONTAINER_HOST")),
                        Some(Origin::RpubUrl) => Some(Remedy::by_hand("unset RPUB_URL")),
                        _ => None,
                    })
            });
            found
        }
    }
}

/// How layers are stored.
pub fn storage(storage: &Storage) -> Finding {
    const CHECK: &str = "storage-driver";
    let Storage {
        driver,
        root,
        empty,
        config: (config, configured),
    } = storage;
    if driver != "vfs" {
        return ok(CHECK, format!("{driver} at {root}"));
    }
    let folder = config.rsplit_once('/').map_or(".", |(folder, _)| folder);
    let write = format!(
        "mkdir -p {0} && printf '[storage]\\ndriver = \"overlay\"\\n' > {1}",
        quoted(folder),
        quoted(config)
    );
    // podman remembers the driver it began with; a reset of what is empty loses nothing.
    let command = format!("podman system reset --force && {write}");
    let remedy = if *empty && !configured {
        Remedy::harmless(command)
    } else {
        Remedy::by_hand(command)
    };
    new(CHECK, Severity::Warning, format!("vfs at {root}"))
        .why("vfs copies every layer whole: builds are slow and large")
        .mend(remedy)
}

/// Below this rpub cannot work.
const NO_ROOM: u64 = 500 << 20;
/// Below this it is told.
const LITTLE_ROOM: u64 = 5 << 30;

/// The room for something: its check's name, its folder, how much is free there, and what frees some.
pub fn space(check: &str, folder: &str, free: u64, remedy: Option<Remedy>) -> Finding {
    let found = format!("{} MiB free at {folder}", free >> 20);
    let severity = if free < NO_ROOM {
        Severity::Broken
    } else if free < LITTLE_ROOM {
        Severity::Warning
    } else {
        return ok(check, found);
    };
    new(check, severity, found)
        .why("an image is there several times while it is built and pushed; a full disk ends the build")
        .mend(remedy)
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
