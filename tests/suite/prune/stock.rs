//! Decides what a repository holds before it is pruned: every relation between manifests that there is, and who needs what.
//! Must never share a repository between two cases: each has a copy of its own.

use crate::release::manifest;
use crate::support::{
    images::{Image, index, push, put},
    project::{Outcome, Project},
    proxy::Proxy,
    registries::{Auth, RegistryProcess},
};
use rpub::{
    events::Events,
    model::{
        digest::Digest,
        manifest::{RawManifest, media_type},
        reference::Host,
    },
    registry::{CredentialSource, Options, Registry, Remote},
};
use serde_json::json;
use std::collections::BTreeSet;
use tokio_util::sync::CancellationToken;

const SEED: &str = "seed";

/// A registry with one repository, from which others are copied.
pub(super) struct Stock {
    pub(super) registry: RegistryProcess,
    /// What `latest` named before; no tag names it.
    pub(super) old: Digest,
    /// What goes with it.
    pub(super) going: BTreeSet<Digest>,
    /// What everybody else needs.
    pub(super) live: BTreeSet<Digest>,
    /// What both the old and the new list name.
    pub(super) shared: Digest,
}

/// A repository's client, without rpub's command line.
pub(super) fn remote(host: Host, name: &str) -> Remote {
    let mut options = Options::new(host);
    options.insecure = true;
    let (anonymous, stop) = (CredentialSource::anonymous(), CancellationToken::new());
    let registry = Registry::new(options, anonymous, Events::default(), stop).unwrap();
    registry.repository(name.parse().unwrap())
}

/// A list of lists.
fn nested(lists: &[&RawManifest]) -> RawManifest {
    let entry = |list: &&RawManifest| {
        json!({
            "mediaType": list.media_type(),
            "digest": list.digest(),
            "size": list.bytes().len(),
        })
    };
    let text = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": lists.iter().map(entry).collect::<Vec<_>>(),
    });
    RawManifest::parse(text.to_string().into_bytes(), "").unwrap()
}

impl Stock {
    /// `latest`, 1.0.0 and a list of lists are live; the old list shares a child with `latest` and is signed.
    pub(super) async fn new() -> Self {
        let registry = RegistryProcess::start(&Auth::None);
        let remote = remote(registry.host(), &format!("{SEED}/app"));
        let image = |arch, text| Image::new(arch, text);
        let (shared, first) = (image("amd64", "shared"), image("arm64", "1.0.0"));
        let (gone, fresh) = (image("arm64", "old"), image("arm64", "new"));
        let (inner, signature) = (image("amd64", "inner"), image("amd64", "signature"));
        let seal = image("amd64", "seal of the new one");
        for one in [&shared, &first, &gone, &fresh, &inner, &signature, &seal] {
            push(&remote, one).await;
        }
        let (old, new) = (index(&[&shared, &gone]), index(&[&shared, &fresh]));
        let (version, below) = (index(&[&first]), index(&[&inner]));
        let all = nested(&[&below]);
        put(&remote, "", &old).await;
        put(&remote, "latest", &new).await;
        put(&remote, "1.0.0", &version).await;
        put(&remote, "1.0", &version).await;
        put(&remote, "", &below).await;
        put(&remote, "all", &all).await;
        let sealed = |list: &RawManifest| format!("sha256-{}.sig", list.digest().hex());
        put(&remote, &sealed(&old), &signature.manifest).await;
        put(&remote, &sealed(&new), &seal.manifest).await;
        let digests = |lists: &[&RawManifest], images: &[&Image]| {
            let lists = lists.iter().map(|list| list.digest());
            let images = images.iter().map(|image| image.manifest.digest());
            lists.chain(images).collect()
        };
        Stock {
            old: old.digest(),
            going: digests(&[&old], &[&gone, &signature]),
            live: digests(
                &[&new, &version, &below, &all],
                &[&shared, &first, &fresh, &inner, &seal],
            ),
            shared: shared.manifest.digest(),
            registry,
        }
    }

    /// A copy of its repository, in a namespace of its own.
    pub(super) fn copy(&self, namespace: &str) -> String {
        self.registry.copy_repositories(SEED, namespace);
        format!("{namespace}/app")
    }

    /// Which of these a repository has.
    pub(super) async fn has(&self, name: &str, digests: &BTreeSet<Digest>) -> BTreeSet<Digest> {
        let mut there = BTreeSet::new();
        for digest in digests {
            let found = manifest(&self.registry.host(), name, &digest.to_string()).await;
            there.extend(found.map(|manifest| manifest.digest()));
        }
        there
    }
}

/// Runs `rpub prune` on a namespace behind a proxy; one request after the other fails fast.
pub(super) async fn prune(
    project: &Project,
    proxy: &Proxy,
    namespace: &str,
    args: &[&str],
) -> Outcome {
    let to = format!("http://{}/{namespace}", proxy.host());
    let all = [&["prune", "app", "--to", &to, "--tries", "2"], args].concat();
    project.run(&all).await
}

/// A folder with an rpub.toml that knows the image `app`.
pub(super) fn project() -> Project {
    let project = Project::plain("prune");
    let toml = "[retry]\nfirst_delay = 0\n[[image]]\nname = \"app\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n";
    project.write("rpub.toml", toml);
    project
}
