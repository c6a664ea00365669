//! Decides how podman is asked what it is and what it can, the same way as a release will use it.
//! Must never leave a service running that it started.

use super::{
    Asked, PATIENCE,
    machine::{free, which},
    process,
};
use crate::{
    model::{
        doctor::{
            Area, Finding, Remedy,
            engine::{self as judge, Helpers, Origin, Place, Podman, Socket, Storage, Used},
            machine::{self, Machine, Tried},
            quoted,
        },
        fault::one_line,
        spec::Destination,
    },
    podman::{self, Connect, Engine},
};
use serde_json::Value;
use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::io::AsyncWriteExt as _;

/// podman's own first start may take this long.
const FIRST_START: Duration = Duration::from_secs(30);
/// Where podman looks for its helpers beside PATH.
const ALSO: [&str; 6] = [
    "/usr/libexec/podman",
    "/usr/lib/podman",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/bin",
];

/// What the project's checks need to know of the engine.
pub(super) struct Seen {
    /// podman's version.
    pub(super) version: Option<String>,
}

pub(super) async fn look(asked: &Asked, machine: &Machine, found: &mut Vec<Finding>) -> Seen {
    let distribution = machine.distribution;
    let connect = asked.connect();
    let podman = version(asked).await;
    found.push(judge::podman(&podman, distribution));
    let version = match &podman {
        Podman::Version(version) => Some(version.clone()),
        _ => None,
    };
    let is_root = machine.user.uid == 0;
    if let Some(version) = version.as_ref().filter(|_| !is_root) {
        let helpers = helpers(asked).await;
        found.extend(judge::helpers(&helpers, version, distribution));
    }
    // Where a part is missing podman would fail for that, or make a namespace that it then keeps.
    let whole = version.is_some() && !is_root && !found.iter().any(Finding::is_broken);
    let tried = if whole {
        namespace(&connect).await
    } else {
        Tried::Not
    };
    found.extend(machine::namespaces(machine.switches, &tried).filter(|_| !is_root));
    let whole = whole && !found.iter().any(Finding::is_broken);
    let whole = whole && storage(asked, &connect, found).await;
    spool(asked, found);
    let places = places(asked, &connect).await;
    let socket = judge::sockets(&places);
    // One that is named needs nothing of this machine.
    let named = places
        .iter()
        .any(|place| place.origin != Origin::User && matches!(place.socket, Socket::Podman(_)));
    let whole = named || whole && !socket.is_broken();
    found.push(socket);
    let used = if whole {
        try_out(connect).await
    } else {
        Used::Not
    };
    found.extend(judge::used(&used, &places));
    let version = match used {
        Used::Answers { version, .. } => Some(version),
        _ => version,
    };
    Seen { version }
}

async fn version(asked: &Asked) -> Podman {
    if which(asked, "podman", &[]).is_none() {
        return Podman::Missing;
    }
    match process::run(process::podman(None, &["--version"]), PATIENCE).await {
        Ok(said) => match said.split_whitespace().last() {
            Some(version) => Podman::Version(one_line(version)),
            None => Podman::Unusable("nothing".to_owned()),
        },
        Err(words) => Podman::Unusable(words),
    }
}

async fn helpers(asked: &Asked) -> Helpers {
    let there = |name: &str| which(asked, name, &ALSO);
    let crun = match there("crun") {
        None => None,
        Some(path) => {
            let asked = process::program(&path.display().to_string(), &["--version"]);
            let said = process::run(asked, PATIENCE).await.unwrap_or_default();
            // `crun version 1.8.1`
            let version = said
                .lines()
                .next()
                .and_then(|line| line.split_whitespace().last());
            Some(version.unwrap_or("of no version").to_owned())
        }
    };
    Helpers {
        crun,
        runc: there("runc").is_some(),
        slirp4netns: there("slirp4netns").is_some(),
        pasta: there("pasta").is_some(),
    }
}

/// Makes the user's namespace, as podman's first call does anyway, and counts who is in it.
async fn namespace(connect: &Connect) -> Tried {
    let folder = connect.runtime_dir.as_deref();
    let command = process::podman(folder, &["unshare", "cat", "/proc/self/uid_map"]);
    match process::run(command, FIRST_START).await {
        Err(words) => Tried::Failed(words),
        Ok(map) => {
            let counts = map
                .lines()
                .filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
            Tried::Mapped(counts.sum())
        }
    }
}

/// Whether podman tells of itself at all.
async fn storage(asked: &Asked, connect: &Connect, found: &mut Vec<Finding>) -> bool {
    let folder = connect.runtime_dir.as_deref();
    let command = process::podman(folder, &["info", "--format", "json"]);
    let said = process::run(command, FIRST_START).await;
    let info: Value = match said.map(|text| serde_json::from_str(&text)) {
        Ok(Ok(info)) => info,
        Ok(Err(_)) => return true,
        Err(words) => {
            found.extend(judge::used(
                &Used::Failed(format!("podman info fails: {words}")),
                &[],
            ));
            return false;
        }
    };
    let text = |pointer: &str| {
        info.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let none = |pointer: &str| info.pointer(pointer).and_then(Value::as_u64) == Some(0);
    let volumes = process::podman(folder, &["volume", "ls", "--quiet"]);
    let no_volumes = process::run(volumes, FIRST_START)
        .await
        .is_ok_and(|said| said.trim().is_empty());
    let home = (asked.env)("HOME").unwrap_or_default();
    let base = (asked.env)("XDG_CONFIG_HOME").filter(|base| !base.is_empty());
    let config = base.unwrap_or_else(|| format!("{home}/.config")) + "/containers/storage.conf";
    let storage = Storage {
        driver: text("/store/graphDriverName"),
        root: text("/store/graphRoot"),
        empty: none("/store/imageStore/number")
            && none("/store/containerStore/number")
            && no_volumes,
        config: (config.clone(), Path::new(&config).exists()),
    };
    found.push(judge::storage(&storage));
    let root = Path::new(&storage.root);
    if let Some(free) = free(root) {
        let remedy = Remedy::by_hand("podman system prune --all --force");
        found.push(judge::space(
            "space-storage",
            &storage.root,
            free,
            Some(remedy),
        ));
    }
    true
}

/// The room where blobs wait on their way.
fn spool(asked: &Asked, found: &mut Vec<Finding>) {
    let store = asked.context().and_then(|context| {
        context
            .spec
            .destinations
            .iter()
            .find_map(|destination| match destination {
                Destination::Directory(path) => Some(context.path(path)),
                Destination::Registry(_) => None,
            })
    });
    let absolute = |name: &str| {
        (asked.env)(name)
            .filter(|path| path.starts_with('/'))
            .map(PathBuf::from)
    };
    let cache = || absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let is_store = store.is_some();
    let Some(folder) = store.or_else(cache) else {
        return;
    };
    let Some(room) = free(&folder) else { return };
    let other = PathBuf::from(format!("/var/tmp/rpub-{}", nix::unistd::geteuid()));
    let device = |path: &Path| {
        let there = path.ancestors().find(|path| path.exists())?;
        std::fs::metadata(there).ok().map(|found| found.dev())
    };
    let elsewhere = !is_store
        && device(&folder) != device(&other)
        && free(&other).is_some_and(|free| free > room);
    let remedy = elsewhere.then(|| {
        let other = quoted(&other.display().to_string());
        Remedy::by_hand(format!(
            "mkdir -p -m 700 {other} && export XDG_CACHE_HOME={other}"
        ))
    });
    let mut finding = judge::space("space-spool", &folder.display().to_string(), room, remedy);
    finding.area = Area::Machine;
    found.push(finding);
}

async fn places(asked: &Asked, connect: &Connect) -> Vec<Place> {
    let mut places = podman::look(connect).await;
    let set = (asked.env)("RPUB_URL");
    for place in &mut places {
        if place.origin == Origin::Url && set == asked.url {
            place.origin = Origin::RpubUrl;
        }
    }
    places
}

/// Uses it as a release does: finds or starts it, and lets it ask a port of ours.
async fn try_out(connect: Connect) -> Used {
    let token = tokio_util::sync::CancellationToken::new();
    let engine = match Engine::connect(connect, token).await {
        Ok(engine) => engine,
        Err(error) => return Used::Failed(format!("{}; {}", error.what, error.hint)),
    };
    let loopback = reaches_us(&engine).await;
    let used = Used::Answers {
        version: engine.version().to_owned(),
        own: engine.is_own(),
        loopback,
    };
    engine.shutdown().await;
    used
}

async fn reaches_us(engine: &Engine) -> bool {
    let Ok(listener) = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await else {
        return false;
    };
    let Ok(address) = listener.local_addr() else {
        return false;
    };
    let heard = async {
        if let Ok((mut stream, _)) = listener.accept().await {
            const GONE: &[u8] =
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            // That it came is all we want to know.
            let _ = stream.write_all(GONE).await;
            return;
        }
        std::future::pending::<()>().await;
    };
    let name = format!("{address}/rpub-doctor:none");
    let knocking = tokio::time::timeout(FIRST_START, engine.knock(&name));
    tokio::select! {
        biased;
        () = heard => true,
        _ = knocking => false,
    }
}
