//! Decides that the client keeps the protocol against real registries and hostile ones.
//! Must never pass where the real part is missing.

mod auth;
mod cancel;
mod content;
mod crowd;
mod deletion;
mod faults;
mod ghcr;
mod hub;
mod push;
mod referrers;

use crate::support::proxy::Proxy;
use rpub::events::{Event, Events, Sent};
use rpub::model::digest::Digest;
use rpub::model::fault::{Fault, Policy};
use rpub::model::manifest::{RawManifest, media_type};
use rpub::model::reference::{Host, Reference};
use rpub::registry::{CredentialSource, Options, Registry, Remote, Timeouts};
use rpub::target::{LocalBlob, Target as _};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

const USER: &str = "alice";
const PASSWORD: &str = "p4ss-topsecret";

/// As by default, but quick: tests look at the order of requests, not at the clock.
fn options(host: Host) -> Options {
    Options {
        insecure: true,
        policy: Policy {
            tries: 3,
            first_delay: Duration::from_millis(20),
            cap: Duration::from_millis(100),
            ..Policy::default()
        },
        timeouts: Timeouts {
            idle: Duration::from_secs(20),
            answer: Duration::from_secs(20),
            ..Timeouts::default()
        },
        ..Options::new(host)
    }
}

fn login() -> CredentialSource {
    CredentialSource::login(USER, PASSWORD.to_owned().into())
}

/// A registry client and what it tells.
fn client(
    options: Options,
    credentials: CredentialSource,
) -> (Registry, UnboundedReceiver<Event>, CancellationToken) {
    let (events, told) = Events::channel();
    let cancel = CancellationToken::new();
    let registry = Registry::new(options, credentials, events, cancel.clone()).unwrap();
    (registry, told, cancel)
}

/// `o/app`, anonymously.
fn app(host: Host) -> Remote {
    let (registry, ..) = client(options(host), CredentialSource::anonymous());
    registry.repository("o/app".parse().unwrap())
}

fn through(proxy: &Proxy) -> Remote {
    app(proxy.host())
}

/// `o/app` behind a proxy that knows the login.
fn logged_in(proxy: &Proxy) -> Remote {
    let (registry, ..) = client(options(proxy.host()), login());
    registry.repository("o/app".parse().unwrap())
}

/// A small image: a config, a layer, and the manifest that names them.
struct Image {
    folder: TempDir,
    config: LocalBlob,
    layer: LocalBlob,
    manifest: RawManifest,
}

impl Image {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = blob(
            &folder,
            "config",
            br#"{"os":"linux","architecture":"amd64"}"#,
        );
        let layer = blob(&folder, "layer", &b"a layer of some size\n".repeat(40_000));
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.docker.container.image.v1+json","size":{},"digest":"{}"}},"layers":[{{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":{},"digest":"{}"}}]}}"#,
            media_type::DOCKER_MANIFEST,
            config.size,
            config.digest,
            layer.size,
            layer.digest
        );
        Image {
            folder,
            config,
            layer,
            manifest: RawManifest::parse(text.into_bytes(), "").unwrap(),
        }
    }

    fn by_digest(&self) -> Reference {
        self.manifest.digest().into()
    }

    /// Blobs, the manifest by digest, a tag; gives how the layer got there.
    async fn push(&self, to: &Remote) -> Result<Sent, Fault> {
        to.put_blob(&self.config, &[]).await?;
        let sent = to.put_blob(&self.layer, &[]).await?;
        to.put_manifest(&self.by_digest(), &self.manifest).await?;
        to.put_manifest(&tag("1.2.3"), &self.manifest).await?;
        Ok(sent)
    }

    /// Reads everything back and compares.
    async fn check(&self, on: &Remote) {
        for reference in [self.by_digest(), tag("1.2.3")] {
            assert_eq!(
                on.resolve(&reference).await.unwrap(),
                Some(self.manifest.digest())
            );
            let read = on.read_manifest(&reference).await.unwrap().unwrap();
            assert_eq!(read, self.manifest);
        }
        for blob in [&self.config, &self.layer] {
            assert_eq!(on.blob_size(blob.digest).await.unwrap(), Some(blob.size));
            assert_eq!(
                Digest::of(&read_all(on, blob.digest).await.unwrap()),
                blob.digest
            );
        }
    }
}

fn blob(folder: &TempDir, name: &str, bytes: &[u8]) -> LocalBlob {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    LocalBlob {
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        path,
    }
}

fn tag(text: &str) -> Reference {
    Reference::Tag(text.parse().unwrap())
}

async fn read_all(on: &Remote, digest: Digest) -> Result<Vec<u8>, Fault> {
    use futures::TryStreamExt as _;
    let (size, stream) = on.read_blob(digest).await?.expect("the blob is there");
    let bytes: Vec<u8> = stream
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await?;
    assert_eq!(bytes.len() as u64, size);
    Ok(bytes)
}

/// No secret is in what a user, a log or a bug report could see.
fn is_clean(text: &str) {
    assert!(!text.contains("topsecret"), "{text}");
    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("{USER}:{PASSWORD}"),
    );
    assert!(!text.contains(&basic), "{text}");
}
