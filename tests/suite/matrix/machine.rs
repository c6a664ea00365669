//! Decides what one machine does that has an image on its disk and releases it: all that rpub does but building.
//! Must never publish in another way than `pipeline::release` does, nor need a podman.

use super::world::{APP, Images, PASSWORD, USER};
use crate::support::{
    loopback::{client, header},
    proxy::Proxy,
};
use base64::Engine as _;
use reqwest::{Client, Method, StatusCode};
use rpub::{
    error::{Error, Kind, Result},
    events::{Event, Events},
    model::{
        digest::Digest,
        fault::Policy,
        manifest::RawManifest,
        plan::{self, Child, Inputs, Plan, Tagging},
        reference::Tag,
        spec::{Destination, ImageSpec, PruneRules, RegistrySpec, Service, Spec},
        tags::{LatestRule, TagRules},
        version::GitRef,
    },
    pipeline::{
        assemble::List,
        context::{Clock, Context, Timeouts},
        journal::{self, unfinished},
        push::Dock,
        release,
    },
};
use secrecy::ExposeSecret as _;
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

/// Of the one image.
pub(super) const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// Towards all relays: a client of its own for each would read all root certificates again.
static HTTP: OnceLock<Client> = OnceLock::new();

/// A machine that releases v1.2.3 to two registries.
pub(super) struct Machine {
    context: Context,
    plan: Plan,
    told: UnboundedReceiver<Event>,
    home: TempDir,
}

/// The plan for a ref: one image of two platforms, to `namespace` on every registry.
pub(super) fn plan_of(git_ref: &str, hosts: &[String], namespace: &str) -> (Spec, Plan) {
    let registry = |host: &String| {
        Destination::Registry(RegistrySpec {
            host: host.parse().unwrap(),
            namespace: Some(namespace.parse().unwrap()),
            insecure: true,
            ca_file: None,
            service: Service::Plain,
            api: None,
        })
    };
    let spec = Spec {
        // What is pruned is another story (tests/suite/prune).
        prune: PruneRules {
            by_release: false,
            ..PruneRules::default()
        },
        source: None,
        licenses: None,
        compression_level: None,
        tags: TagRules {
            release: ["{{version}}", "{{major}}.{{minor}}"]
                .map(|text| text.parse().unwrap())
                .to_vec(),
            latest: vec![LatestRule::Release],
            manual: vec![],
        },
        destinations: hosts.iter().map(registry).collect(),
        images: vec![ImageSpec {
            name: APP.parse().unwrap(),
            context: ".".to_owned(),
            platforms: PLATFORMS
                .map(|platform| (platform.parse().unwrap(), "Containerfile".to_owned()))
                .to_vec(),
            target: None,
            network: rpub::model::spec::Network::Private,
            args: BTreeMap::new(),
            labels: BTreeMap::new(),
            description: None,
        }],
        retry: Policy {
            tries: 3,
            first_delay: Duration::from_millis(2),
            cap: Duration::from_millis(20),
            ..Policy::default()
        },
    };
    let inputs = Inputs {
        tagging: Tagging::ByRef,
        run: None,
        git_ref: GitRef::parse(git_ref).unwrap(),
        revision: Some("0123456789abcdef0123456789abcdef01234567".parse().unwrap()),
        created: jiff::Timestamp::from_second(1_700_000_000).unwrap(),
        source: None,
    };
    let plan = plan::plan(&spec, &inputs, &[]).unwrap();
    (spec, plan)
}

impl Machine {
    /// One that gives up on a silent registry after `silence`.
    pub(super) fn new(proxies: &[Proxy; 2], namespace: &str, silence: Duration) -> Self {
        let hosts = proxies.each_ref().map(|proxy| proxy.host().to_string());
        let (spec, plan) = plan_of("refs/tags/v1.2.3", &hosts, namespace);
        let home = tempfile::tempdir().unwrap();
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let entry = |host: &String| (host.clone(), serde_json::json!({ "auth": login }));
        let auths: serde_json::Map<_, _> = hosts.iter().map(entry).collect();
        let authfile = home.path().join("auth.json");
        let text = serde_json::json!({ "auths": auths }).to_string();
        std::fs::write(&authfile, text).unwrap();
        let root = home.path().to_str().unwrap().to_owned();
        let (events, told) = Events::channel();
        let context = Context {
            spec,
            folder: home.path().to_owned(),
            env: Arc::new(move |name: &str| (name == "HOME").then(|| root.clone())),
            events,
            cancel: CancellationToken::new(),
            url: None,
            authfile: Some(authfile),
            tag: None,
            timeouts: Timeouts {
                connect: Duration::from_secs(20),
                idle: silence,
                answer: silence,
                whole: Duration::from_mins(5),
            },
            clock: Clock::default(),
        };
        Machine {
            context,
            plan,
            told,
            home,
        }
    }

    /// One that tries again as this policy says.
    pub(super) fn with(mut self, policy: Policy) -> Self {
        self.context.spec.retry = policy;
        self
    }

    /// `rpub release v1.2.3`, once.
    pub(super) async fn release(&self, images: &Images) -> Result<()> {
        let push = async |dock: &Dock| push(dock, &self.plan, images).await;
        let released = release::release_pushed(&self.context, &self.plan, false, push).await;
        released.map(|report| assert_eq!(report.images[0].digest, images.list.digest()))
    }

    /// Whether a release is left that did not end.
    pub(super) fn is_unfinished(&self) -> bool {
        let folder = journal::folder(&*self.context.env).unwrap();
        !unfinished(&folder).unwrap().is_empty()
    }

    /// All that it told, and all files that it left beside its login.
    pub(super) fn traces(&mut self) -> String {
        let mut out = String::new();
        while let Ok(event) = self.told.try_recv() {
            out.extend([format!("{event:?}"), "\n".to_owned()]);
        }
        let mut folders = vec![self.home.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else if entry.file_name() != "auth.json" {
                    let bytes = std::fs::read(entry.path()).unwrap();
                    out.push_str(&String::from_utf8_lossy(&bytes));
                }
            }
        }
        out
    }
}

/// What podman does with the relay: the blobs that are not there, each image under a tag, and then the list.
async fn push(dock: &Dock, plan: &Plan, images: &Images) -> Result<Vec<List>> {
    let name = plan.images[0].name();
    let mut children = Vec::new();
    for (image, (platform, _)) in images.children.iter().zip(&plan.images[0].spec.platforms) {
        dock.relay.expect_config(name, Digest::of(&image.config));
        let tag: Tag = platform.slug().parse().unwrap();
        let pushed = async {
            for blob in image.blobs() {
                push_blob(dock, blob).await?;
            }
            push_manifest(dock, &tag, &image.manifest).await
        };
        let manifest = dock.received(name, &tag, pushed.await)?;
        children.push(Child {
            platform: platform.clone(),
            digest: manifest.digest(),
            size: manifest.bytes().len() as u64,
        });
    }
    let pushed = push_manifest(dock, &Tag::latest(), &images.list).await;
    let manifest = dock.received(name, &Tag::latest(), pushed)?;
    Ok(vec![List { manifest, children }])
}

async fn push_blob(dock: &Dock, bytes: &[u8]) -> Result<()> {
    let digest = Digest::of(bytes);
    let path = format!("/v2/{APP}/blobs/{digest}");
    if ask(dock, Method::HEAD, &path, "", vec![]).await?.0 == StatusCode::OK {
        return Ok(());
    }
    let begin = format!("/v2/{APP}/blobs/uploads/");
    let (_, session) = wanted(ask(dock, Method::POST, &begin, "", vec![]).await?, 202)?;
    wanted(
        ask(dock, Method::PATCH, &session, "", bytes.to_vec()).await?,
        202,
    )?;
    let end = format!("{session}?digest={digest}");
    wanted(ask(dock, Method::PUT, &end, "", vec![]).await?, 201)?;
    Ok(())
}

async fn push_manifest(dock: &Dock, tag: &Tag, manifest: &RawManifest) -> Result<()> {
    let path = format!("/v2/{APP}/manifests/{tag}");
    let bytes = manifest.bytes().to_vec();
    let kind = manifest.media_type();
    wanted(ask(dock, Method::PUT, &path, kind, bytes).await?, 201)?;
    Ok(())
}

/// The status and the Location of the relay's answer.
async fn ask(
    dock: &Dock,
    method: Method,
    path: &str,
    kind: &str,
    body: Vec<u8>,
) -> Result<(StatusCode, String)> {
    let url = format!("http://{}{path}", dock.relay.address());
    let password = dock.relay.password().expose_secret();
    let request = HTTP
        .get_or_init(client)
        .request(method, url)
        .basic_auth(dock.relay.user(), Some(password))
        .header("content-type", kind)
        .body(body);
    let answer = request
        .send()
        .await
        .map_err(|error| failed(error.to_string()))?;
    let location = header(&answer, "location");
    Ok((answer.status(), location.to_owned()))
}

fn wanted(answer: (StatusCode, String), status: u16) -> Result<(StatusCode, String)> {
    if answer.0 == status {
        Ok(answer)
    } else {
        Err(failed(format!("the relay answered {}", answer.0)))
    }
}

/// What podman would say; no test should ever see it, because the target's own fault counts.
fn failed(what: String) -> Error {
    Error::new(Kind::Engine, what, "the relay", "")
}
