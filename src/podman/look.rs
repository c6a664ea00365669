//! Decides how the sockets behave that rpub would use, in the order in which it tries them.
//! Must never start an engine, nor ask more of one than what it is.

use super::Engine;
use super::about::About;
use super::connect::{Connect, is_ours};
use super::libpod::{Libpod, NotPodman};
use super::peer::{NoPeer, Peer};
use super::socket::socket_path;
use crate::model::doctor::engine::{Origin, Place, Socket};
use crate::model::fault::one_line;
use reqwest::Method;
use std::path::Path;
use std::time::Duration;

/// The socket that rpub would use: the one that is named, else the user's own where there is one.
pub async fn look(connect: &Connect) -> Vec<Place> {
    let systemd = Path::new("/run/systemd/system").exists();
    let named = [
        (&connect.url, Origin::Url, "--url"),
        (
            &connect.container_host,
            Origin::ContainerHost,
            "CONTAINER_HOST",
        ),
    ];
    let place = |origin, path: &str, socket| Place {
        origin,
        path: path.to_owned(),
        socket,
        systemd,
    };
    for (value, origin, word) in named {
        let Some(url) = value else { continue };
        let socket = match socket_path(url, word) {
            Ok(path) => behaviour(&path, connect.patience).await,
            Err(_) => Socket::BadUrl,
        };
        return vec![place(origin, url, socket)];
    }
    let folder = connect.runtime_dir.as_ref();
    let Some(folder) = folder.filter(|folder| is_ours(folder)) else {
        return Vec::new();
    };
    let path = folder.join("podman/podman.sock");
    let socket = behaviour(&path, connect.patience).await;
    vec![place(Origin::User, &path.display().to_string(), socket)]
}

async fn behaviour(path: &Path, patience: Duration) -> Socket {
    let peer = match Peer::at(path, patience).await {
        Ok(peer) => peer,
        Err(NoPeer::Silent) => return Socket::Silent,
        Err(NoPeer::Foreign(user)) => return Socket::Foreign(user.as_raw()),
        Err(NoPeer::Unreachable(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Socket::Missing;
        }
        Err(NoPeer::Unreachable(error)) => return Socket::Refused(one_line(&error.to_string())),
    };
    let Ok(libpod) = Libpod::new(&peer) else {
        return Socket::Refused("no HTTP client could be made".to_owned());
    };
    match libpod.ping(patience).await {
        Ok(_) => {}
        Err(NotPodman::Silent) => return Socket::Silent,
        Err(NotPodman::Garbled(words)) => return Socket::NotPodman(words),
        Err(NotPodman::Other(status)) => return Socket::NotPodman(format!("HTTP {status}")),
    }
    match tokio::time::timeout(patience, About::ask(&libpod)).await {
        Err(_) => Socket::Silent,
        Ok(Err(words)) => Socket::NotPodman(words),
        Ok(Ok(about)) if !about.rootless => Socket::Rootful,
        Ok(Ok(about)) => Socket::Podman(about.version),
    }
}

impl Engine {
    /// Lets podman ask a registry without TLS for an image; what comes of it does not matter to the caller.
    pub async fn knock(&self, reference: &str) {
        let request = self.libpod.request(Method::POST, &["images", "pull"]);
        let query = [
            ("reference", reference),
            ("tlsVerify", "false"),
            ("quiet", "true"),
        ];
        if let Ok(mut response) = self.libpod.send(request.query(&query)).await {
            while let Ok(Some(_)) = response.chunk().await {}
        }
    }
}
