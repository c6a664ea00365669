//! Decides how rpub speaks with remote registries.
//! Must never let a credential into a log, an error or a Debug print.

mod answer;
mod auth;
mod blobs;
mod challenge;
mod credentials;
mod docker_hub;
mod download;
mod helper;
mod manifests;
mod scope;
mod transport;

pub use credentials::{Credential, CredentialSource, Environment};

use crate::error::Error;
use crate::events::{Events, Sent};
use crate::model::digest::Digest;
use crate::model::fault::{Class, Fault, Policy};
use crate::model::manifest::RawManifest;
use crate::model::reference::{Host, Place, Reference, Repository, RepositoryName, Tag};
use crate::retry::{HostGate, Patience, Retry};
use crate::target::{ByteStream, LocalBlob, Target};
use answer::Answer;
use async_trait::async_trait;
use auth::Auth;
use bytes::Bytes;
use docker_hub::Hub;
use reqwest::{Method, Url};
use scope::{Access, Scope};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use transport::{Call, Transport};

/// A chain of redirects is no longer.
const REDIRECTS: usize = 5;

/// How long a request may stand still. None of them bounds how long a blob takes as long as it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To a connection, TLS included.
    pub connect: Duration,
    /// Without a byte sent or received.
    pub idle: Duration,
    /// From the last byte of a body to the answer: registries hash gigabytes before they answer.
    pub answer: Duration,
}

impl Default for Timeouts {
    /// 10 s, 60 s and 300 s.
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            idle: Duration::from_mins(1),
            answer: Duration::from_mins(5),
        }
    }
}

/// How a registry is to be reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// The registry, as users name it.
    pub host: Host,
    /// Plain HTTP; only on this machine.
    pub insecure: bool,
    /// Certificates in PEM form that are trusted besides the platform's.
    pub ca_file: Option<PathBuf>,
    /// Docker Hub's own API, where this is Docker Hub.
    pub hub_api: Option<String>,
    /// How often and how soon to try again.
    pub policy: Policy,
    /// How long may be waited in all; shared by the registries of one release.
    pub patience: Patience,
    /// How long a request may stand still.
    pub timeouts: Timeouts,
}

impl Options {
    /// HTTPS with the platform's certificates, the default policy and time-outs.
    pub fn new(host: Host) -> Self {
        let host_is_hub = host.is_docker_hub();
        Options {
            host,
            insecure: false,
            ca_file: None,
            hub_api: host_is_hub.then(|| docker_hub::API.to_owned()),
            policy: Policy::default(),
            patience: Patience::new(Policy::default().budget),
            timeouts: Timeouts::default(),
        }
    }
}

/// One remote registry: its connections, tokens and gate. Cheap to clone; clones share all of it.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

struct Shared {
    host: Host,
    base: Url,
    insecure: bool,
    transport: Transport,
    auth: Auth,
    retry: Retry,
    events: Events,
    hub: Option<Hub>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Registry").field(&self.0.host).finish()
    }
}

/// Whether a URL may be asked at all: https, or plain HTTP on this machine where the registry itself is such a one.
fn may_go(url: &Url, insecure: bool) -> bool {
    let on_loopback = || {
        url.host_str()
            .and_then(|host| host.parse::<Host>().ok())
            .is_some_and(|host| host.is_loopback())
    };
    match url.scheme() {
        "https" => true,
        "http" => insecure && on_loopback(),
        _ => false,
    }
}

impl Registry {
    /// Prepares to speak with a registry; sends nothing yet.
    pub fn new(
        options: Options,
        credentials: CredentialSource,
        events: Events,
        cancel: CancellationToken,
    ) -> Result<Registry, Error> {
        let host = &options.host;
        if options.insecure && !host.is_loopback() {
            return Err(Error::usage(
                "plain HTTP is for registries on this machine only",
                host.as_str(),
                "serve it over https (--ca-file trusts a certificate of your own)",
            ));
        }
        let scheme = if options.insecure { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{}/", host.endpoint())).map_err(|_| {
            Error::usage(
                "this is no host",
                host.as_str(),
                "use a name such as ghcr.io",
            )
        })?;
        let gate = HostGate::new(host.as_str(), options.policy);
        let hub = options.hub_api.as_ref();
        let hub = hub.map(|api| Hub::new(api, &options)).transpose()?;
        Ok(Registry(Arc::new(Shared {
            base,
            insecure: options.insecure,
            transport: Transport::new(&options, gate.clone())?,
            auth: Auth::new(options.host.clone(), options.insecure, credentials),
            retry: Retry::new(
                options.policy,
                gate,
                options.patience,
                events.clone(),
                cancel,
            ),
            events,
            hub,
            host: options.host,
        })))
    }

    /// One of its repositories. Docker Hub's `NAME` is `library/NAME`.
    pub fn repository(&self, name: RepositoryName) -> Remote {
        Remote {
            registry: self.clone(),
            api_name: self.api_name(&name),
            repository: Repository {
                place: Place::Registry(self.0.host.clone()),
                name,
            },
        }
    }

    fn api_name(&self, name: &RepositoryName) -> RepositoryName {
        if self.0.host.is_docker_hub() && !name.as_str().contains('/') {
            // A name of 248 characters has no place under library/: then Docker Hub may say so itself.
            format!("library/{name}")
                .parse()
                .unwrap_or_else(|_| name.clone())
        } else {
            name.clone()
        }
    }

    fn fault(&self, class: Class, request: &str, detail: &str) -> Fault {
        Fault::new(class, self.0.host.as_str(), request, detail)
    }

    /// Whether a URL is the registry's own, so that credentials may go there.
    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.0.base.origin()
    }

    /// One request with its answer: credentials where they belong, redirects where they may lead; no retries.
    async fn send(&self, scope: &Scope, mut call: Call) -> Result<Answer, Fault> {
        for _ in 0..=REDIRECTS {
            // Boxed: the futures of every call above would be as large as reqwest's otherwise.
            let answer = Box::pin(self.authorized(scope, &call)).await?;
            if !redirects(&answer, &call.method) {
                return Ok(answer);
            }
            call.url = self.allowed(&answer, answer.location()?)?;
        }
        Err(self.fault(Class::Refused, call.method.as_str(), "too many redirects"))
    }

    /// The URL, if it may be followed.
    fn allowed(&self, answer: &Answer, url: Url) -> Result<Url, Fault> {
        if may_go(&url, self.0.insecure) {
            Ok(url)
        } else {
            let detail = "it points to a place that is not https";
            Err(answer.as_fault(Class::Refused, detail))
        }
    }

    async fn authorized(&self, scope: &Scope, call: &Call) -> Result<Answer, Fault> {
        let Shared {
            transport, auth, ..
        } = &*self.0;
        if !self.is_own(&call.url) {
            return transport.send(call, None).await;
        }
        let mut grant = auth.grant(transport, scope).await?;
        // To a request that brought nothing, 401 only says what to bring. What was brought may have expired: once.
        let mut renewals = if grant.is_some() { 1 } else { 2 };
        loop {
            let header = grant.as_ref().map(|grant| &grant.header);
            let answer = transport.send(call, header).await?;
            if answer.status != 401 || renewals == 0 {
                return Ok(answer);
            }
            renewals -= 1;
            let fresh = auth.renew(transport, scope, &answer, grant.as_ref());
            grant = Some(fresh.await?);
        }
    }
}

/// Whether to ask elsewhere. What changes something is repeated only where the registry says so (307, 308).
fn redirects(answer: &Answer, method: &Method) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match answer.status {
        301..=303 => reads,
        307 | 308 => true,
        _ => false,
    }
}

/// One repository on a remote registry.
#[derive(Debug, Clone)]
pub struct Remote {
    registry: Registry,
    repository: Repository,
    api_name: RepositoryName,
}

impl Remote {
    fn scope(&self, access: Access) -> Scope {
        Scope {
            name: self.api_name.clone(),
            access,
            from: None,
        }
    }

    /// A URL below this repository; `rest` is built of checked names only.
    fn url(&self, rest: &str) -> Result<Url, Fault> {
        let path = format!("/v2/{}/{rest}", self.api_name);
        // Names are checked, so that this cannot fail; but a fault costs less than a proof.
        self.registry.0.base.join(&path).map_err(|_| {
            let detail = "its path does not make a URL";
            self.registry.fault(Class::Refused, &path, detail)
        })
    }

    fn call(&self, method: Method, rest: &str) -> Result<Call, Fault> {
        Ok(Call::new(method, self.url(rest)?))
    }

    async fn send(&self, access: Access, call: Call) -> Result<Answer, Fault> {
        self.registry.send(&self.scope(access), call).await
    }

    /// Runs `attempt` with retries, and takes secrets out of what comes back.
    async fn tried<T, F, Fut>(&self, mut attempt: F) -> Result<T, Fault>
    where
        F: FnMut(u32) -> Fut + Send,
        Fut: Future<Output = Result<T, Fault>> + Send,
        T: Send,
    {
        let shared = &self.registry.0;
        shared
            .retry
            .run(|number| {
                let done = attempt(number);
                async move { done.await.map_err(|fault| shared.auth.scrub(fault)) }
            })
            .await
    }

    /// Deletes a manifest by digest, and with it every tag that names it. Docker Hub and plain registries; GHCR
    /// answers [`Class::Refused`].
    pub async fn delete_manifest(&self, digest: Digest) -> Result<(), Fault> {
        self.tried(|number| self.delete_once(digest, number > 0))
            .await
    }
}

#[async_trait]
impl Target for Remote {
    fn repository(&self) -> &Repository {
        &self.repository
    }

    async fn may_push(&self) -> Result<(), Fault> {
        self.tried(|_| self.may_push_once()).await
    }

    async fn blob_size(&self, digest: Digest) -> Result<Option<u64>, Fault> {
        self.tried(|_| self.head_blob(digest, Access::Pull)).await
    }

    async fn read_blob(&self, digest: Digest) -> Result<Option<(u64, ByteStream)>, Fault> {
        download::open(self.clone(), digest).await
    }

    async fn peek_blob(&self, digest: Digest, count: usize) -> Result<Option<Bytes>, Fault> {
        self.tried(|_| self.peek_once(digest, count)).await
    }

    async fn put_blob(
        &self,
        blob: &LocalBlob,
        mount_from: &[RepositoryName],
    ) -> Result<Sent, Fault> {
        self.put_blob_tried(blob, mount_from).await
    }

    async fn resolve(&self, reference: &Reference) -> Result<Option<Digest>, Fault> {
        self.tried(|_| self.resolve_once(reference)).await
    }

    async fn read_manifest(&self, reference: &Reference) -> Result<Option<RawManifest>, Fault> {
        self.tried(|_| self.read_manifest_once(reference)).await
    }

    async fn put_manifest(
        &self,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), Fault> {
        self.tried(|_| self.put_manifest_once(reference, manifest))
            .await
    }

    async fn tags(&self) -> Result<Vec<Tag>, Fault> {
        self.all_tags().await
    }

    async fn immutable(&self, tags: &[Tag]) -> Result<Vec<Tag>, Fault> {
        match &self.registry.0.hub {
            Some(hub) => self.tried(|_| self.immutable_on(hub, tags)).await,
            None => Ok(Vec::new()),
        }
    }

    async fn remove_tag(&self, tag: &Tag) -> Result<bool, Fault> {
        let removed = self.tried(|_| self.untag_once(tag)).await;
        match removed {
            Ok(()) => Ok(true),
            // 405, or 400 UNSUPPORTED: most registries delete by digest only, and that takes all tags of it along.
            Err(fault) if fault.class == Class::Refused => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}
