//! Decides what is known of an engine before it works, and whether rpub can use it.
//! Must never take a rootful engine, nor ask one for what rpub knows by itself.

use super::about::About;
use super::engine_error;
use super::libpod::{Libpod, NotPodman};
use super::network::Isolation;
use super::peer::Peer;
use super::service::Service;
use crate::error::Result;
use crate::model::{origin::Redirect, platform::Platform};
use std::time::Duration;

pub(super) const ROOTLESS_HINT: &str = "run rpub as an ordinary user, with that user's own engine: `systemctl --user enable --now podman.socket` (or let rpub start one)";

/// An engine that rpub can use.
pub(super) struct Known {
    pub(super) version: String,
    pub(super) platform: Platform,
    pub(super) isolation: Isolation,
    /// None where they were not asked for.
    pub(super) redirects: Option<Vec<Redirect>>,
}

impl Known {
    /// Of the engine on a socket. One that rpub started is as rootless as rpub, and of this machine: so it need not be asked,
    /// which costs more than anything else before the work (see [`About`]).
    pub(super) async fn of(
        peer: &Peer,
        service: Option<&Service>,
        patience: Duration,
    ) -> Result<Known> {
        // A 32-bit program may run beside a 64-bit podman.
        let here = platform_here().filter(|_| cfg!(target_pointer_width = "64"));
        match service.zip(here) {
            Some((service, platform)) => Self::own(peer, service, platform, patience).await,
            None => Self::asked(peer, service, patience).await,
        }
    }

    async fn own(
        peer: &Peer,
        service: &Service,
        platform: Platform,
        patience: Duration,
    ) -> Result<Known> {
        let place = peer.path().display().to_string();
        let version = Libpod::new(peer)?.ping(patience).await;
        let version = version.map_err(|why| why.into_error(place.clone()))?;
        check_version(&version, place)?;
        let Some(isolation) = Isolation::here(&version, service) else {
            return Self::asked(peer, Some(service), patience).await;
        };
        Ok(Known {
            version,
            platform,
            isolation,
            redirects: None,
        })
    }

    async fn asked(peer: &Peer, service: Option<&Service>, patience: Duration) -> Result<Known> {
        let place = peer.path().display().to_string();
        let about = match tokio::time::timeout(patience, About::ask(&Libpod::new(peer)?)).await {
            Ok(Ok(about)) => about,
            Ok(Err(words)) => return Err(NotPodman::Garbled(words).into_error(place)),
            Err(_) => return Err(NotPodman::Silent.into_error(place)),
        };
        check_version(&about.version, place.clone())?;
        if !about.rootless {
            return Err(engine_error("that podman is rootful", place, ROOTLESS_HINT));
        }
        Ok(Known {
            isolation: Isolation::told(&about, service),
            version: about.version,
            platform: about.platform,
            redirects: Some(about.redirects),
        })
    }
}

/// The platform that this program was compiled for, which an engine of this machine builds natively.
pub fn platform_here() -> Option<Platform> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        same => same,
    };
    Platform::of_engine(std::env::consts::OS, arch).ok()
}

fn check_version(version: &str, place: String) -> Result<()> {
    let major = version.split('.').next();
    if major.is_some_and(|major| major.parse::<u32>().is_ok_and(|major| major >= 4)) {
        return Ok(());
    }
    Err(engine_error(
        format!("podman {version} is too old"),
        place,
        "update podman to 4.3 or newer",
    ))
}

/// Whether podman's version (`4.3.1`, `5.8.0-rc1`) is that one or later; what is no version is taken for a new one.
pub(super) fn at_least(version: &str, least: (u32, u32)) -> bool {
    let mut numbers = version.split(['.', '-']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= least,
        _ => true,
    }
}
