//! Decides what GHCR is in tests: its registry, and GitHub's API for packages, both on loopback, before one real registry.
//! Must never be kinder than GitHub: what it refuses is refused here.

mod api;
mod face;

pub(crate) use api::ORGANISATION;

use super::proxy::Proxy;
use super::registries::{Auth, RegistryProcess};
use api::Api;
use face::Face;
use rpub::model::reference::Host;
use std::sync::Arc;

/// All of it; it ends when this is dropped.
pub(crate) struct Ghcr {
    /// Where registry clients come in: tokens are demanded here, and here things go wrong.
    pub(crate) proxy: Proxy,
    /// Where the API is asked, and goes wrong.
    pub(crate) api_proxy: Proxy,
    api: Api,
    registry: Arc<RegistryProcess>,
    _face: Face,
}

impl Ghcr {
    /// One with a registry of its own, for this login; the password is the API's token, too.
    pub(crate) async fn start(user: &str, password: &str) -> Self {
        let registry = Arc::new(RegistryProcess::start(&Auth::None));
        let face = face::before(Arc::clone(&registry)).await;
        let api = Api::start(Arc::clone(&registry), password).await;
        let proxy = Proxy::before(face.host()).tokens(user, password);
        Ghcr {
            proxy: proxy.start().await,
            api_proxy: Proxy::before(api.host.clone()).start().await,
            api,
            registry,
            _face: face,
        }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> Host {
        self.proxy.host()
    }

    /// Where the API is.
    pub(crate) fn api(&self) -> String {
        format!("http://{}/api/v3", self.api_proxy.host())
    }

    /// The registry behind it, which demands nothing.
    pub(crate) fn behind(&self) -> &RegistryProcess {
        &self.registry
    }

    /// What the API knows, and how it is.
    pub(crate) fn packages(&self) -> &Api {
        &self.api
    }

    /// The table of this registry in an rpub.toml; it wants [`Ghcr::registry_api`].
    pub(crate) fn table(&self, namespace: &str) -> String {
        format!(
            "[[registry]]\nhost = \"{}\"\nnamespace = \"{namespace}\"\ninsecure = true\n\
             service = \"ghcr\"\n",
            self.host(),
        )
    }

    /// Where its API is, for `RPUB_REGISTRY_API`: a file cannot say it of another port.
    pub(crate) fn registry_api(&self) -> String {
        format!("{}={}", self.host(), self.api())
    }
}
