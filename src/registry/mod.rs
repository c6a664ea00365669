//! Decides how rpub speaks with remote registries.
//! Must never let a credential into a log, an error or a Debug print.

mod ahead;
mod answer;
mod auth;
mod blobs;
mod challenge;
mod credentials;
mod deletion;
mod docker_hub;
mod download;
mod endpoint;
mod ghcr;
mod helper;
mod limits;
mod manifests;
mod pages;
mod referrers;
mod remote;
mod scope;
mod service;
mod source;
mod transport;

pub use credentials::{Credential, CredentialSource, Environment};
pub use remote::Remote;
pub(crate) use transport::describe;

use crate::error::Error;
use crate::events::Events;
use crate::model::api::ApiAddress;
use crate::model::doctor::registry::Login;
use crate::model::fault::{Class, Fault, Policy};
use crate::model::reference::{Host, Place, Repository, RepositoryName};
use crate::model::spec::Service;
use crate::retry::{HostGate, Patience, Retry};
use answer::Answer;
use auth::Auth;
use reqwest::{Method, Url};
use scope::Scope;
use service::Api;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use transport::{Call, Transport};

/// A chain of redirects is no longer.
const REDIRECTS: usize = 5;

/// How long a request may take. None of them bounds how long a blob takes as long as it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To a connection, TLS included.
    pub connect: Duration,
    /// Without a byte sent or received.
    pub idle: Duration,
    /// From the last byte of a body to the answer: registries hash gigabytes before they answer.
    pub answer: Duration,
    /// From the head of an answer that is no blob to its end, however it moves.
    pub whole: Duration,
}

impl Default for Timeouts {
    /// 10 s, 60 s, 300 s and 300 s.
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            idle: Duration::from_mins(1),
            answer: Duration::from_mins(5),
            whole: Duration::from_mins(5),
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
    /// Whose rules it keeps beyond those of a registry.
    pub service: Service,
    /// Where that service's own API is, if not at its usual place.
    pub api: Option<ApiAddress>,
    /// How often and how soon to try again.
    pub policy: Policy,
    /// How long may be waited in all; shared by the registries of one release.
    pub patience: Patience,
    /// How long a request may take.
    pub timeouts: Timeouts,
}

impl Options {
    /// HTTPS with the platform's certificates, the default policy and time-outs.
    pub fn new(host: Host) -> Self {
        Options {
            service: Service::of(&host),
            host,
            insecure: false,
            ca_file: None,
            api: None,
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
    api: Api,
    /// Whether it lists what is about a manifest; unset until it has answered.
    lists_referrers: OnceLock<bool>,
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
        let api = Api::new(&options)?;
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
            api,
            lists_referrers: OnceLock::new(),
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

    /// Where the login for one of its repositories is; none where none is found.
    pub async fn login(&self, name: &RepositoryName) -> Result<Option<Login>, Fault> {
        self.0.auth.whence(&self.api_name(name)).await
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
