//! Decides how rpub speaks to podman: one `Engine`, found or started, and every call that a release makes of it.
//! Must never know a registry, the relay or a store; nor hand podman a secret other than the login it is given.
//!
//! Read in this order: `connect` says what the environment says, `socket` finds an engine, `peer` looks whose it is, `service`
//! starts one where none runs, as a `child`, `known` says whether rpub can use it, from what is `about` it, and `network`
//! whether its steps can be kept apart, `client` holds the calls that podman-api makes well, `libpod` the others, `request`,
//! `build`, `context`, `left_out`, `folder`, `views`, `own_build` and `told` the
//! build, `check` what came out of it.

/// Builds that nobody waits for any more.
mod abandoned;
/// What an engine says of itself.
mod about;
/// The images that a build begins with.
mod bases;
/// Builds, from the context to the image.
mod build;
/// Whether what was built is what was asked for.
pub mod check;
/// A podman that rpub starts, and its end.
mod child;
/// The calls that podman-api makes well.
mod client;
/// What the environment says.
mod connect;
/// The build context, packed while it is sent.
mod context;
/// The build context that is not sent: podman reads the folder.
mod folder;
/// An image's id.
mod id;
/// What is known of an engine before it works.
mod known;
/// What podman leaves out of a folder.
mod left_out;
/// The calls that podman-api cannot make.
mod libpod;
/// Manifest lists and pushes.
mod lists;
/// How sockets behave, without using or starting any.
mod look;
/// Networks of build steps.
mod network;
/// Builds as processes of rpub's own.
mod own_build;
/// Whose engine it is.
mod peer;
/// Which processes there are.
mod processes;
/// What to build, as podman is told.
mod request;
/// Our own child `podman system service`.
mod service;
/// Where the engine is.
mod socket;
/// The images that a build made on its way.
mod steps;
/// What a build says, and how its failure is told.
mod told;
/// What other processes find in a folder.
mod views;

pub use check::check_built;
pub use child::environment;
pub use client::Inspected;
pub use connect::Connect;
pub use id::ImageId;
pub use known::platform_here;
pub use lists::Login;
pub use look::look;
pub use network::Isolation;
pub use request::{BuildCache, BuildRequest};
pub use steps::{Steps, fetched, step};

use crate::error::{Error, Kind, Result};
use crate::model::{origin::Redirect, platform::Platform};
use tokio_util::sync::CancellationToken;

/// A rootless podman that answers. Every call ends early, with [`Kind::Interrupted`], when the token it was connected
/// with is cancelled.
pub struct Engine {
    libpod: libpod::Libpod,
    client: client::Client,
    version: String,
    platform: Platform,
    isolation: Isolation,
    /// Empty until somebody asks for them, where podman had not to be asked before.
    redirects: tokio::sync::OnceCell<Vec<Redirect>>,
    cancel: CancellationToken,
    abandoned: abandoned::Abandoned,
    service: Option<service::Service>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("socket", &self.libpod.socket())
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// podman's version, as it says it: `4.3.1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether building the same again, from nothing, gives the same digest. Older podmans write the random name of the
    /// container they built in into the image's config, in docker format (seen on 4.3.1 and 5.4.2; not on 5.8.6).
    pub fn builds_the_same_twice(&self) -> bool {
        known::at_least(self.version(), (5, 6))
    }

    /// The platform that this engine builds natively.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// How far the steps of a build can be kept from this machine's network.
    pub fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// The socket that it answers on.
    pub fn socket(&self) -> &std::path::Path {
        self.libpod.socket()
    }

    /// Which registries stand for others, and which speak plain HTTP, as the user told podman in `registries.conf`.
    ///
    /// # Errors
    /// [`Kind::Engine`] where podman does not tell.
    pub async fn redirects(&self) -> Result<&[Redirect]> {
        let ask = || async {
            let about = about::About::ask(&self.libpod).await;
            let place = self.socket().display().to_string();
            let hint = "run `podman info` to see whether podman is well, then run it again";
            about
                .map(|about| about.redirects)
                .map_err(|words| engine_error(words, place, hint))
        };
        self.unless_cancelled(self.redirects.get_or_try_init(ask))
            .await
            .map(Vec::as_slice)
    }

    /// Whether a push asks for a base's layer by the digest that it was pulled under, before compressing it again.
    pub fn asks_for_bases(&self) -> bool {
        known::at_least(self.version(), (4, 9))
    }

    /// Whether a push can be told how hard to compress; older podmans pass over it without a word.
    pub fn takes_a_level(&self) -> bool {
        known::at_least(self.version(), (4, 6))
    }

    /// Whether rpub started this engine itself, so that it ends with rpub.
    pub fn is_own(&self) -> bool {
        self.service.is_some()
    }

    /// Ends a service that rpub started, and removes what it left; nothing for an engine that was there before.
    ///
    /// Dropping an engine does the same, but blocks while it does.
    pub async fn shutdown(mut self) {
        self.stop_builds().await;
        if let Some(service) = self.service.take() {
            // It waits for a process; a blocked worker thread would hold up whoever else is ending.
            let ended = tokio::task::spawn_blocking(move || drop(service)).await;
            if let Err(error) = ended {
                tracing::warn!(%error, "the podman service was not ended in order");
            }
        }
    }

    /// Runs a call until it ends or the user has had enough.
    async fn unless_cancelled<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::interrupted()),
            result = call => result,
        }
    }
}

/// An engine failure (exit 6).
fn engine_error(
    what: impl Into<String>,
    place: impl Into<String>,
    hint: impl Into<String>,
) -> Error {
    Error::new(Kind::Engine, what, place, hint)
}
