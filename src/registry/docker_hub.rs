//! Decides what Docker Hub's own API is asked beside the registry: which tags its settings do not let move.
//! Must never stop a release by itself: who may push may not always ask, and a push tells in the end.

use super::endpoint::Endpoint;
use super::transport::{Call, Payload};
use super::{Credential, Options, Remote};
use crate::error::Error;
use crate::model::fault::Fault;
use crate::model::reference::Tag;
use bytes::Bytes;
use regex::Regex;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// Where it is.
pub(super) const API: &str = "https://hub.docker.com";
/// No answer of it that we want is longer.
const LIMIT: usize = 1024 * 1024;

/// The API's connections.
pub(super) struct Hub {
    endpoint: Endpoint,
}

/// `POST /v2/auth/token`.
#[derive(Deserialize)]
struct Token {
    access_token: SecretString,
}

/// `GET /v2/namespaces/{namespace}/repositories/{repository}`, as much of it as is wanted.
#[derive(Deserialize)]
struct Settings {
    immutable_tags_settings: Option<Immutable>,
}

#[derive(Deserialize)]
struct Immutable {
    enabled: bool,
    #[serde(default)]
    rules: Vec<String>,
}

impl Hub {
    pub(super) fn new(api: &str, options: &Options) -> Result<Hub, Error> {
        Ok(Hub {
            endpoint: Endpoint::new(api, options)?,
        })
    }

    async fn login(&self, user: &str, password: &SecretString) -> Result<HeaderValue, Fault> {
        let body = serde_json::json!({"identifier": user, "secret": password.expose_secret()});
        let mut call = Call::new(Method::POST, self.endpoint.url("/v2/auth/token")?);
        let json = HeaderValue::from_static("application/json");
        call.headers.insert(CONTENT_TYPE, json);
        call.payload = Payload::Bytes(Bytes::from(body.to_string()));
        let mut answer = self.endpoint.send(&call, None).await?;
        if answer.status != 200 {
            return Err(answer.into_fault().await);
        }
        let body = answer.body(LIMIT).await?;
        // The parser's own words could quote the token.
        let token: Token = serde_json::from_slice(&body)
            .map_err(|_| answer.content("it did not answer with a token"))?;
        let text = format!("Bearer {}", token.access_token.expose_secret());
        let mut header = HeaderValue::from_str(&text)
            .map_err(|_| answer.content("its token is none that a header can hold"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl Remote {
    /// Those of `tags` that Docker Hub's settings for this repository do not let move; none where the repository is not
    /// there yet, or not ours to look at.
    pub(super) async fn immutable_on(&self, hub: &Hub, tags: &[Tag]) -> Result<Vec<Tag>, Fault> {
        let Some((namespace, name)) = self.api_name.as_str().split_once('/') else {
            return Ok(Vec::new());
        };
        let name = name.replace('/', "%2F");
        let url = hub
            .endpoint
            .url(&format!("/v2/namespaces/{namespace}/repositories/{name}"))?;
        let call = Call::new(Method::GET, url);
        let mut answer = hub.endpoint.send(&call, None).await?;
        if matches!(answer.status, 401 | 403 | 404) {
            // A private repository, or none.
            let login = self.registry.0.auth.login(&self.api_name).await?;
            let Some(Credential::Login { user, password }) = login else {
                return Ok(Vec::new());
            };
            let header = hub.login(&user, &password).await?;
            answer = hub.endpoint.send(&call, Some(&header)).await?;
        }
        match answer.status {
            200 => {}
            401 | 403 | 404 => return Ok(Vec::new()),
            _ => return Err(answer.into_fault().await),
        }
        let body = answer.body(LIMIT).await?;
        let settings: Settings = serde_json::from_slice(&body)
            .map_err(|_| answer.content("it did not answer with a repository"))?;
        let rules = settings
            .immutable_tags_settings
            .filter(|settings| settings.enabled)
            .map(|settings| settings.rules);
        let rules: Vec<Regex> = rules
            .into_iter()
            .flatten()
            .filter_map(|rule| Regex::new(&format!("^(?:{rule})$")).ok())
            .collect();
        let covered = |tag: &&Tag| rules.iter().any(|rule| rule.is_match(tag.as_str()));
        Ok(tags.iter().filter(covered).cloned().collect())
    }
}
