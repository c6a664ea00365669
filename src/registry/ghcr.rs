//! Decides how GitHub Packages is asked what it has; GHCR itself lists nothing without a tag, and deletes nothing.
//! Must never give a part of a list for a whole one.

mod deletion;

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::limits::{Kind, VERSIONS};
use super::pages::{self, List, Next};
use super::transport::Call;
use super::{Credential, Options, Remote};
use crate::error::Error;
use crate::model::digest::Digest;
use crate::model::fault::{Class, Fault};
use crate::target::Version;
use reqwest::header::{ACCEPT, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Where it is.
pub(super) const API: &str = "https://api.github.com";
/// The most that GitHub gives at once.
const PER_PAGE: usize = 100;
/// What GitHub asks of who is told to slow down and not for how long.
const A_MINUTE: Duration = Duration::from_mins(1);

/// The API's connections, and what was learned from it.
pub(super) struct Ghcr {
    endpoint: Endpoint,
    /// Owner → `/orgs/OWNER` or `/users/OWNER`.
    owners: Mutex<HashMap<String, String>>,
    /// Package → version ids by digest.
    ids: Mutex<HashMap<String, BTreeMap<Digest, u64>>>,
}

/// `GET /users/{login}`, as much of it as is wanted.
#[derive(Deserialize)]
struct Owner {
    #[serde(rename = "type")]
    kind: String,
}

/// A package version (GitHub's schema `package-version`), as much of it as is wanted.
#[derive(Deserialize)]
struct Listed {
    id: u64,
    name: String,
    created_at: jiff::Timestamp,
    updated_at: jiff::Timestamp,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    container: Option<Container>,
}

#[derive(Deserialize)]
struct Container {
    tags: Vec<String>,
}

impl Listed {
    /// A version that is no manifest, or a tag that we cannot name, could hold an image alive that we do not see.
    fn version(&self, answer: &Answer) -> Result<Version, Fault> {
        let odd = |error: String| answer.content(format!("version {}: {error}", self.id));
        let digest = self.name.parse();
        let tags = self
            .metadata
            .as_ref()
            .and_then(|data| data.container.as_ref());
        let tags = tags.into_iter().flat_map(|container| &container.tags);
        let tags: Result<_, _> = tags.map(|tag| tag.parse()).collect();
        Ok(Version {
            digest: digest.map_err(|_| odd(format!("{:?} is no digest", self.name)))?,
            tags: tags.map_err(|error: crate::model::reference::BadName| odd(error.to_string()))?,
            // A clock of its own that is behind its own times makes it young.
            age: answer.date().map(|now| {
                let pushed = self.created_at.max(self.updated_at);
                Duration::try_from(now.duration_since(pushed)).unwrap_or_default()
            }),
        })
    }
}

impl Ghcr {
    pub(super) fn new(api: &str, options: &Options) -> Result<Ghcr, Error> {
        Ok(Ghcr {
            endpoint: Endpoint::new(api, options)?,
            owners: Mutex::default(),
            ids: Mutex::default(),
        })
    }

    fn id(&self, package: &str, digest: Digest) -> Option<u64> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.get(package)?.get(&digest).copied()
    }

    fn remember(&self, package: &str, digest: Digest, id: u64) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.entry(package.to_owned())
            .or_default()
            .insert(digest, id);
    }

    fn forget(&self, package: &str, digest: Digest) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ids) = ids.get_mut(package) {
            ids.remove(&digest);
        }
    }
}

impl Remote {
    /// What GitHub says to who asks too often: some of it comes as 403, and some without a time.
    async fn github_fault(&self, answer: Answer) -> Fault {
        let mut fault = answer.into_fault().await;
        let limited = fault.detail.to_ascii_lowercase().contains("rate limit");
        if fault.class == Class::RateLimit || fault.class == Class::Permission && limited {
            fault.class = Class::RateLimit;
            fault.retry_after = fault.retry_after.or(Some(A_MINUTE));
        }
        if matches!(fault.class, Class::Auth | Class::Permission) {
            // It is the registry that people log in to.
            fault.host = self.registry.0.host.to_string();
        }
        fault
    }

    /// Asks with our token; none where there is no login.
    async fn ask_github(
        &self,
        ghcr: &Ghcr,
        method: Method,
        url: Url,
    ) -> Result<Option<Answer>, Fault> {
        let login = self.registry.0.auth.login(&self.api_name).await?;
        let Some(Credential::Login { password, .. }) = login else {
            return Ok(None);
        };
        let mut call = Call::new(method, url);
        let kind = HeaderValue::from_static("application/vnd.github+json");
        call.headers.insert(ACCEPT, kind);
        let version = HeaderName::from_static("x-github-api-version");
        call.headers
            .insert(version, HeaderValue::from_static("2022-11-28"));
        let mut token = HeaderValue::from_str(&format!("Bearer {}", password.expose_secret()))
            .map_err(|_| {
                let detail = "the password is no token that a header can hold";
                self.registry.fault(Class::Auth, "", detail)
            })?;
        token.set_sensitive(true);
        ghcr.endpoint.send(&call, Some(&token)).await.map(Some)
    }

    async fn ask_github_for(&self, ghcr: &Ghcr, url: Url) -> Result<Answer, Fault> {
        let request = format!("GET {}", super::answer::redacted(&url));
        let answer = self.ask_github(ghcr, Method::GET, url).await?;
        answer.ok_or_else(|| {
            let detail = "GitHub's API wants a token, and there is no login for this registry";
            self.registry.fault(Class::Auth, &request, detail)
        })
    }

    /// `/orgs/OWNER/packages/container/NAME`, the name's slashes escaped.
    async fn package(&self, ghcr: &Ghcr) -> Result<String, Fault> {
        let Some((owner, name)) = self.api_name.as_str().split_once('/') else {
            let request = format!("GET {}", self.repository);
            let detail = "a package on GitHub is OWNER/NAME";
            return Err(self.registry.fault(Class::Refused, &request, detail));
        };
        let known = |owners: &HashMap<String, String>| owners.get(owner).cloned();
        let known = known(&ghcr.owners.lock().unwrap_or_else(PoisonError::into_inner));
        let place = match known {
            Some(place) => place,
            None => self.tried(|_| self.owner(ghcr, owner)).await?,
        };
        Ok(format!(
            "{place}/packages/container/{}",
            name.replace('/', "%2F")
        ))
    }

    /// Organisations and users have their packages at different places.
    async fn owner(&self, ghcr: &Ghcr, owner: &str) -> Result<String, Fault> {
        let url = ghcr.endpoint.url(&format!("/users/{owner}"))?;
        let mut answer = self.ask_github_for(ghcr, url).await?;
        if answer.status != 200 {
            return Err(self.github_fault(answer).await);
        }
        let body = answer.body(Kind::Api).await?;
        let found: Owner = serde_json::from_slice(&body)
            .map_err(|_| answer.content("it did not answer with an owner"))?;
        let kind = if found.kind == "Organization" {
            "orgs"
        } else {
            "users"
        };
        let place = format!("/{kind}/{owner}");
        let mut owners = ghcr.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.insert(owner.to_owned(), place.clone());
        Ok(place)
    }

    /// Every version of the package, or a fault: never a part of them.
    pub(super) async fn packaged_versions(&self, ghcr: &Ghcr) -> Result<Vec<Version>, Fault> {
        let package = self.package(ghcr).await?;
        let listed = self.listed(ghcr, "active").await?;
        for (id, version) in &listed {
            ghcr.remember(&package, version.digest, *id);
        }
        Ok(listed.into_iter().map(|(_, version)| version).collect())
    }

    /// Every version in a state, with its id.
    async fn listed(&self, ghcr: &Ghcr, state: &str) -> Result<Vec<(u64, Version)>, Fault> {
        let package = self.package(ghcr).await?;
        let path = format!("{package}/versions?per_page={PER_PAGE}&state={state}");
        let mut url = ghcr.endpoint.url(&path)?;
        let mut list = List::new(VERSIONS);
        loop {
            let page = self.tried(|_| self.version_page(ghcr, &package, &url));
            let asked = pages::Asked {
                host: self.registry.0.host.as_str(),
                url: &url,
            };
            url = match list.take(page.await?, &asked)? {
                Next::Named(url) => url,
                Next::After(_) => ghcr
                    .endpoint
                    .url(&format!("{path}&page={}", list.pages + 1))?,
                Next::End => return Ok(list.entries.into_iter().collect()),
            };
        }
    }

    async fn version_page(
        &self,
        ghcr: &Ghcr,
        package: &str,
        url: &Url,
    ) -> Result<pages::Page<u64, Version>, Fault> {
        let mut answer = self.ask_github_for(ghcr, url.clone()).await?;
        if answer.status == 404 && !answer.is_html() {
            let mut fault = self.github_fault(answer).await;
            if fault.class != Class::NotFound {
                return Err(fault);
            }
            fault.class = Class::Permission;
            fault.spent = true;
            fault.host = self.registry.0.host.to_string();
            fault.detail = format!(
                "{} GitHub says so too where the token may not see the package",
                fault.detail
            );
            return Err(fault);
        }
        if answer.status != 200 {
            return Err(self.github_fault(answer).await);
        }
        let body = answer.body(Kind::ApiPage).await?;
        let listed: Vec<Listed> = serde_json::from_slice(&body)
            .map_err(|_| answer.content("it did not answer with package versions"))?;
        let mut entries = Vec::new();
        for one in &listed {
            entries.push((one.id, one.version(&answer)?));
        }
        let own = |url: &Url| ghcr.endpoint.is_own(url) && is_of(package, url);
        Ok(pages::Page {
            entries,
            next: pages::next(&answer, own)?,
            bytes: body.len(),
        })
    }

    /// The version of a manifest: its id, from the last list or a new one.
    async fn version_of(
        &self,
        ghcr: &Ghcr,
        package: &str,
        digest: Digest,
    ) -> Result<Option<u64>, Fault> {
        if let Some(id) = ghcr.id(package, digest) {
            return Ok(Some(id));
        }
        self.packaged_versions(ghcr).await?;
        Ok(ghcr.id(package, digest))
    }

    /// One version; none where it is not there, or not ours to see.
    async fn version(&self, ghcr: &Ghcr, package: &str, id: u64) -> Result<Option<Version>, Fault> {
        let url = ghcr.endpoint.url(&format!("{package}/versions/{id}"))?;
        let mut answer = self.ask_github_for(ghcr, url).await?;
        match answer.status {
            200 => {}
            404 if !answer.is_html() => return Ok(None),
            _ => return Err(self.github_fault(answer).await),
        }
        let body = answer.body(Kind::Api).await?;
        let found: Listed = serde_json::from_slice(&body)
            .map_err(|_| answer.content("it did not answer with a package version"))?;
        found.version(&answer).map(Some)
    }
}

/// Whether a URL is a list of this package's versions. GitHub's own links name owners by number, so that only what comes
/// after the owner is compared.
fn is_of(package: &str, url: &Url) -> bool {
    let plain = |path: &str| path.to_ascii_lowercase().replace("%2f", "/");
    let (_, name) = package.split_once("/packages/").unwrap_or_default();
    plain(url.path()).ends_with(&plain(&format!("/packages/{name}/versions")))
}
