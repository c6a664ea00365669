//! Decides where the engine is: what the user named, the user's own socket, or a service that rpub starts.
//! Must never take a rootful engine, nor wait without end for one that is silent.

use super::client::Client;
use super::connect::{Connect, is_ours};
use super::known::{Known, ROOTLESS_HINT};
use super::libpod::{Libpod, NotPodman};
use super::peer::{NoPeer, Peer};
use super::service::Service;
use super::{Engine, engine_error};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

impl Engine {
    /// Finds an engine, or starts one: `--url`, then `CONTAINER_HOST`, then the user's podman.socket (which systemd is
    /// asked to start if it can), then a `podman system service` of rpub's own, which ends with the [`Engine`].
    ///
    /// # Errors
    /// [`crate::error::Kind::Engine`] with the remedy: no podman, a socket that is not podman's, a rootful engine, no
    /// runtime folder. [`crate::error::Kind::Usage`] for a URL that is not a unix socket's.
    pub async fn connect(connect: Connect, cancel: CancellationToken) -> Result<Engine> {
        let finding = async {
            let (peer, service) = find(&connect).await?;
            let known = Known::of(&peer, service.as_ref(), connect.patience).await?;
            Ok::<_, Error>((Libpod::new(&peer)?, Client::new(&peer), known, service))
        };
        let (libpod, client, known, service) = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Error::interrupted()),
            found = finding => found?,
        };
        Ok(Engine {
            abandoned: super::abandoned::Abandoned::default(),
            libpod,
            client,
            version: known.version,
            platform: known.platform,
            isolation: known.isolation,
            redirects: tokio::sync::OnceCell::new_with(known.redirects),
            cancel,
            service,
        })
    }
}

/// The first engine that answers, in the order that [`Engine::connect`] promises.
async fn find(connect: &Connect) -> Result<(Peer, Option<Service>)> {
    let named = [
        (&connect.url, "--url"),
        (&connect.container_host, "CONTAINER_HOST"),
    ];
    for (value, origin) in named {
        if let Some(value) = value {
            let socket = socket_path(value, origin)?;
            return Ok((answers(&socket, connect.patience).await?, None));
        }
    }
    if let Some(peer) = running(connect).await {
        return Ok((peer, None));
    }
    let (service, peer) = start(connect).await?;
    Ok((peer, Some(service)))
}

/// The path in a URL that the user gave.
pub(super) fn socket_path(url: &str, origin: &str) -> Result<PathBuf> {
    let path = match url.split_once("://") {
        None => url,
        Some(("unix", path)) => path,
        Some((scheme, _)) => {
            return Err(Error::usage(
                format!("a {scheme}:// engine is not supported: rpub needs one on this machine"),
                format!("{origin} {url}"),
                "name a unix socket (unix:///run/user/1000/podman/podman.sock), or leave it out; run rpub on the other machine instead",
            ));
        }
    };
    if path.starts_with('/') {
        return Ok(PathBuf::from(path));
    }
    Err(Error::usage(
        "not a socket's absolute path",
        format!("{origin} {url}"),
        "write it as unix:///run/user/1000/podman/podman.sock",
    ))
}

/// The user's own socket, if podman answers there; systemd is asked to start it if it does not.
async fn running(connect: &Connect) -> Option<Peer> {
    // In another user's folder it would be that user's, and so would the systemd be that is asked.
    let folder = connect
        .runtime_dir
        .as_ref()
        .filter(|folder| is_ours(folder))?;
    let socket = folder.join("podman/podman.sock");
    if let Ok(peer) = answers(&socket, connect.patience).await {
        return Some(peer);
    }
    let systemctl = connect.systemctl.as_ref()?;
    let asked = tokio::process::Command::new(systemctl)
        .args(["--user", "start", "podman.socket"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .status();
    // Short: where there is no user manager it fails at once, and where one hangs rpub can help itself.
    match tokio::time::timeout(Duration::from_secs(5), asked).await {
        Ok(Ok(status)) if status.success() => {}
        _ => return None,
    }
    answers(&socket, connect.patience).await.ok()
}

async fn start(connect: &Connect) -> Result<(Service, Peer)> {
    // Checked before anything is started: podman would work as root, and write into root's storage.
    if nix::unistd::geteuid().is_root() {
        return Err(engine_error(
            "rpub runs as root, and the podman it would start would be rootful",
            "podman system service",
            ROOTLESS_HINT,
        ));
    }
    match &connect.runtime_dir {
        None => Err(engine_error(
            "XDG_RUNTIME_DIR is not set, and rootless podman needs it",
            "environment",
            "log in as this user (ssh, machinectl shell; su and sudo do not count), or as root: `loginctl enable-linger USER`, then export XDG_RUNTIME_DIR=/run/user/$(id -u)",
        )),
        Some(folder) if !is_ours(folder) => Err(engine_error(
            "XDG_RUNTIME_DIR is not a folder of this user's",
            folder.display().to_string(),
            "log in as this user (su and sudo keep the variable of another), then export XDG_RUNTIME_DIR=/run/user/$(id -u)",
        )),
        Some(_) => Service::start(connect).await,
    }
}

/// The socket at a path, where a podman of this user's answers.
async fn answers(socket: &Path, patience: Duration) -> Result<Peer> {
    let place = socket.display().to_string();
    let peer = match Peer::at(socket, patience).await {
        Ok(peer) => peer,
        Err(NoPeer::Unreachable(error)) => {
            use std::io::ErrorKind as E;
            let (what, hint) = match error.kind() {
                E::NotFound => (
                    "there is no such socket".to_owned(),
                    "start the engine: `systemctl --user start podman.socket`; or leave --url and CONTAINER_HOST out",
                ),
                E::ConnectionRefused => (
                    "nothing listens on that socket".to_owned(),
                    "start the engine: `systemctl --user restart podman.socket`; or leave --url and CONTAINER_HOST out",
                ),
                E::PermissionDenied => ("that socket is not this user's".to_owned(), ROOTLESS_HINT),
                _ => (
                    format!("the socket cannot be reached: {error}"),
                    "check the path, or leave --url and CONTAINER_HOST out",
                ),
            };
            return Err(engine_error(what, place, hint));
        }
        Err(NoPeer::Silent) => return Err(NotPodman::Silent.into_error(place)),
        Err(NoPeer::Foreign(user)) => {
            return Err(engine_error(
                format!("the engine on that socket is another user's (uid {user})"),
                place,
                "leave --url and CONTAINER_HOST out (rpub then starts a podman of this user), or run rpub as that user",
            ));
        }
    };
    match Libpod::new(&peer)?.ping(patience).await {
        Ok(_) => Ok(peer),
        Err(why) => Err(why.into_error(place)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn only_unix_sockets_are_taken() {
        for url in ["unix:///run/x.sock", "/run/x.sock"] {
            assert_eq!(socket_path(url, "--url").unwrap(), Path::new("/run/x.sock"));
        }
        for (url, says) in [
            ("ssh://core@host/run/x.sock", "ssh://"),
            ("tcp://127.0.0.1:1", "tcp://"),
            ("unix://run/x.sock", "absolute"),
            ("x.sock", "absolute"),
            ("", "absolute"),
        ] {
            let error = socket_path(url, "CONTAINER_HOST").unwrap_err();
            assert_eq!(error.kind, Kind::Usage);
            assert!(error.what.contains(says), "{error}");
            assert!(error.place.starts_with("CONTAINER_HOST"), "{error}");
        }
    }
}
