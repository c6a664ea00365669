//! Decides how tests start a relay and speak raw HTTP to it.
//! Must never hide an answer: every call gives back the whole response.

use super::images::Image;
use reqwest::{Client, Method, RequestBuilder, Response};
use rpub::{
    events::{Event, Events},
    model::{digest::Digest, manifest::RawManifest, reference::RepositoryName},
    relay::{Access, Options, Relay, Routes},
    store::Store,
    target::Target,
};
use secrecy::ExposeSecret;
use std::{path::Path, sync::Arc};
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

/// A repository's name.
pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

/// An HTTP client that speaks to loopback only.
pub(crate) fn client() -> Client {
    // Another test of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A relay takes the port of one that is gone: a connection that was kept would lead to that.
    let builder = Client::builder().no_proxy().pool_max_idle_per_host(0);
    builder.build().unwrap()
}

/// Routes from a closure.
pub(crate) struct Table<F>(pub F);

impl<F> Routes for Table<F>
where
    F: Fn(&RepositoryName) -> Option<Vec<Arc<dyn Target>>> + Send + Sync + 'static,
{
    fn targets(&self, name: &RepositoryName) -> Option<Vec<Arc<dyn Target>>> {
        (self.0)(name)
    }
}

/// A running relay, a client, and the folder that the spool lies in.
pub(crate) struct Loopback {
    pub(crate) relay: Relay,
    pub(crate) client: Client,
    pub(crate) folder: TempDir,
    pub(crate) events: UnboundedReceiver<Event>,
    pub(crate) cancel: CancellationToken,
}

impl Loopback {
    /// A relay whose repositories are those that `targets` knows.
    pub(crate) async fn start<F>(targets: F) -> Self
    where
        F: Fn(&RepositoryName) -> Option<Vec<Arc<dyn Target>>> + Send + Sync + 'static,
    {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::with_random_password(folder.path().join("spools")).unwrap();
        Self::with(access, folder, Arc::new(Table(targets))).await
    }

    /// A relay with this access.
    pub(crate) async fn with(access: Access, folder: TempDir, routes: Arc<dyn Routes>) -> Self {
        let (sender, events) = Events::channel();
        let cancel = CancellationToken::new();
        let options = Options {
            access,
            preferred_port: None,
        };
        let relay = Relay::start(options, routes, sender, cancel.clone())
            .await
            .unwrap();
        Loopback {
            relay,
            client: client(),
            folder,
            events,
            cancel,
        }
    }

    /// A relay that knows every repository and sends nothing on: it alone is the registry.
    pub(crate) async fn alone() -> Self {
        Self::start(|_| Some(Vec::new())).await
    }

    /// A relay in front of one directory store, and the store's folder.
    pub(crate) async fn before_a_store() -> (Self, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let relay = Self::start(move |name| Some(vec![Arc::new(store.repository(name)) as _]));
        (relay.await, folder)
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.relay.address())
    }

    /// A request with the relay's password; `path` begins with a slash.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let password = self.relay.password().expose_secret();
        self.client
            .request(method, self.url(path))
            .basic_auth(self.relay.user(), Some(password))
    }

    /// A request without a body.
    pub(crate) async fn send(&self, method: Method, path: &str) -> Response {
        self.request(method, path).send().await.unwrap()
    }

    /// GET.
    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path).await
    }

    /// HEAD.
    pub(crate) async fn head(&self, path: &str) -> Response {
        self.send(Method::HEAD, path).await
    }

    /// Begins an upload; the path of its session.
    pub(crate) async fn begin(&self, repository: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let response = self.send(Method::POST, &path).await;
        assert_eq!(response.status(), 202);
        header(&response, "location").to_owned()
    }

    /// One chunk of an upload, as podman sends it.
    pub(crate) async fn patch(&self, session: &str, bytes: impl Into<reqwest::Body>) -> Response {
        let request = self.request(Method::PATCH, session).body(bytes);
        request.send().await.unwrap()
    }

    /// The end of an upload.
    pub(crate) async fn finish(&self, session: &str, digest: Digest) -> Response {
        let path = format!("{session}?digest={digest}");
        self.send(Method::PUT, &path).await
    }

    /// Uploads a blob as podman does: POST, PATCH, PUT.
    pub(crate) async fn push_blob(&self, repository: &str, bytes: &[u8]) -> Response {
        let session = self.begin(repository).await;
        let patched = self.patch(&session, bytes.to_vec()).await;
        assert_eq!(patched.status(), 202);
        self.finish(&session, Digest::of(bytes)).await
    }

    /// PUTs a manifest.
    pub(crate) async fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        manifest: &RawManifest,
    ) -> Response {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let request = self.request(Method::PUT, &path);
        let request = request.header("content-type", manifest.media_type());
        request
            .body(manifest.bytes().to_vec())
            .send()
            .await
            .unwrap()
    }

    /// Pushes an image with its blobs; the answer to the manifest.
    pub(crate) async fn push_image(
        &self,
        repository: &str,
        reference: &str,
        image: &Image,
    ) -> Response {
        for blob in image.blobs() {
            assert_eq!(self.push_blob(repository, blob).await.status(), 201);
        }
        self.push_manifest(repository, reference, &image.manifest)
            .await
    }

    /// The files in the spool that are not its lock.
    pub(crate) fn spooled(&self) -> Vec<String> {
        let spools = self.folder.path().join("spools");
        files_below(&spools)
            .into_iter()
            .filter(|file| file != "lock")
            .collect()
    }
}

/// The names of all files below a folder, sorted.
pub(crate) fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// A header's text; empty where there is none.
pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// The status and the error code of a refusal.
pub(crate) async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: serde_json::Value = response.json().await.unwrap();
    let code = body["errors"][0]["code"].as_str().unwrap_or_default();
    (status, code.to_owned())
}
