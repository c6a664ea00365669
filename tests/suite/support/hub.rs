//! Decides what Docker Hub is in tests: its registry and its own API, both on loopback, before one real registry.
//! Must never be kinder than Docker Hub: what it refuses is refused here.

mod api;
mod face;

pub(crate) use api::{HubApi, TOKEN};
pub(crate) use face::Deletes;

use super::proxy::Proxy;
use super::registries::{Auth, RegistryProcess};
use face::Face;
use rpub::model::reference::Host;

/// All of it; it ends when this is dropped.
pub(crate) struct DockerHub {
    /// Where clients come in: tokens are demanded here, and here things go wrong.
    pub(crate) proxy: Proxy,
    /// Its API.
    pub(crate) api: HubApi,
    face: Face,
}

impl DockerHub {
    /// One with a registry of its own, for this login.
    pub(crate) async fn start(user: &str, password: &str) -> Self {
        let registry = RegistryProcess::start(&Auth::None);
        let api = HubApi::before(registry.host(), user, password).await;
        let face = Face::before(registry).await;
        let proxy = Proxy::before(face.host()).tokens(user, password);
        DockerHub {
            proxy: proxy.start().await,
            api,
            face,
        }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> Host {
        self.proxy.host()
    }

    /// The registry behind it, which demands and counts nothing.
    pub(crate) fn behind(&self) -> &RegistryProcess {
        self.face.registry()
    }

    /// How it deletes from now on.
    pub(crate) fn deletes(&self, how: Deletes) {
        self.face.deletes(how);
    }

    /// It stops deleting what it is still busy with.
    pub(crate) fn forget(&self) {
        self.face.forget();
    }

    /// From now on so many manifests may be read.
    pub(crate) fn pulls(&self, left: u32) {
        self.face.pulls(left);
    }

    /// How many manifests were read by GET; what was refused does not count.
    pub(crate) fn pulled(&self) -> u32 {
        self.face.pulled()
    }
}

/// The table of a registry with Docker Hub's API beside it, in an rpub.toml; it wants [`registry_api`].
pub(crate) fn table(host: &Host, namespace: &str) -> String {
    format!(
        "[[registry]]\nhost = \"{host}\"\nnamespace = \"{namespace}\"\ninsecure = true\n\
         service = \"docker-hub\"\n"
    )
}

/// Where the API is, for `RPUB_REGISTRY_API`: a file cannot say it of another port.
pub(crate) fn registry_api(host: &Host, api: &HubApi) -> String {
    format!("{host}={}", api.url)
}
