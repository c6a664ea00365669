//! Decides what Docker Hub's own API is asked beside the registry: its tags, and which of them its settings do not let move.
//! Must never stop a release by itself: who may push may not always ask, and a push tells in the end.

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::limits::{HUB_TAGS, Kind};
use super::pages::{self, List, Next, Way};
use super::transport::{Call, Payload};
use super::{Credential, Options, Remote};
use crate::error::Error;
use crate::model::fault::{Class, Fault};
use crate::model::reference::{BadName, Tag};
use bytes::Bytes;
use regex::Regex;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

/// Where it is.
pub(super) const API: &str = "https://hub.docker.com";

/// The API's connections.
pub(super) struct Hub {
    endpoint: Endpoint,
    /// Who logged in last, and the token for that. It lasts 10 minutes; that it is over, the API tells.
    session: tokio::sync::Mutex<Option<(String, HeaderValue)>>,
}

/// `POST /v2/auth/token`.
#[derive(Deserialize)]
struct Token {
    access_token: SecretString,
}

/// `GET /v2/namespaces/{namespace}/repositories/{repository}/tags`, as much of it as is wanted.
#[derive(Deserialize)]
struct TagPage {
    next: Option<String>,
    results: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
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
            session: tokio::sync::Mutex::default(),
        })
    }

    async fn login(&self, user: &str, password: &SecretString) -> Result<SecretString, Fault> {
        let body = serde_json::json!({"identifier": user, "secret": password.expose_secret()});
        let mut call = Call::new(Method::POST, self.endpoint.url("/v2/auth/token")?);
        let json = HeaderValue::from_static("application/json");
        call.headers.insert(CONTENT_TYPE, json);
        call.payload = Payload::Bytes(Bytes::from(body.to_string()));
        let mut answer = self.endpoint.send(&call, None).await?;
        if answer.status != 200 {
            return Err(answer.into_fault().await);
        }
        let body = answer.body(Kind::Token).await?;
        // The parser's own words could quote the token.
        let token: Token = serde_json::from_slice(&body)
            .map_err(|_| answer.content("it did not answer with a token"))?;
        Ok(token.access_token)
    }
}

impl Remote {
    /// This repository in the API; none where its name has no namespace.
    fn on_hub(&self, hub: &Hub, rest: &str) -> Result<Option<Url>, Fault> {
        let Some((namespace, name)) = self.api_name.as_str().split_once('/') else {
            return Ok(None);
        };
        let name = name.replace('/', "%2F");
        let path = format!("/v2/namespaces/{namespace}/repositories/{name}{rest}");
        hub.endpoint.url(&path).map(Some)
    }

    /// Asks with our login; none where there is none.
    async fn ask_hub(&self, hub: &Hub, call: &Call) -> Result<Option<Answer>, Fault> {
        let login = self.registry.0.auth.login(&self.api_name).await?;
        let Some(Credential::Login { user, password }) = login else {
            return Ok(None);
        };
        let (token, fresh) = self.session(hub, &user, &password, None).await?;
        let answer = hub.endpoint.send(call, Some(&token)).await?;
        if answer.status != 401 || fresh {
            return Ok(Some(answer));
        }
        let (token, _) = self.session(hub, &user, &password, Some(&token)).await?;
        hub.endpoint.send(call, Some(&token)).await.map(Some)
    }

    /// The token that we have, or a fresh one: true. `ended` is one that does not serve any more.
    async fn session(
        &self,
        hub: &Hub,
        user: &str,
        password: &SecretString,
        ended: Option<&HeaderValue>,
    ) -> Result<(HeaderValue, bool), Fault> {
        let mut session = hub.session.lock().await;
        if let Some((known, token)) = session.as_ref()
            && known == user
            && ended.is_none_or(|ended| ended != token)
        {
            return Ok((token.clone(), false));
        }
        let token = hub.login(user, password).await?;
        self.registry.0.auth.keep_secret(&token);
        let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| {
                let detail = "Docker Hub's token is none that a header can hold";
                self.registry.fault(Class::Content, "", detail)
            })?;
        header.set_sensitive(true);
        *session = Some((user.to_owned(), header.clone()));
        Ok((header, true))
    }

    /// The tags that the API lists; none where there is no login to ask with, or no such repository.
    pub(super) async fn tags_on(&self, hub: &Hub) -> Result<Vec<Tag>, Fault> {
        let mut list = List::new(HUB_TAGS);
        let Some(mut url) = self.on_hub(hub, "/tags?page_size=100")? else {
            return Ok(Vec::new());
        };
        loop {
            let page = self.tried(|_| self.hub_page(hub, &url, list.way)).await?;
            let next = list.take(page, &self.asked(&url))?;
            let next = match next {
                Next::Named(url) => Some(url),
                Next::After(_) => {
                    self.on_hub(hub, &format!("/tags?page_size=100&page={}", list.pages + 1))?
                }
                Next::End => None,
            };
            match next {
                Some(next) => url = next,
                None => return Ok(list.entries.into_keys().collect()),
            }
        }
    }

    /// One page of tags, and where the next one is; a list that ends in the middle is a fault. That there is no page after
    /// the last one, Docker Hub says with a 404.
    async fn hub_page(
        &self,
        hub: &Hub,
        url: &Url,
        way: Way,
    ) -> Result<pages::Page<Tag, ()>, Fault> {
        let call = Call::new(Method::GET, url.clone());
        let Some(mut answer) = self.ask_hub(hub, &call).await? else {
            return Ok(pages::Page::empty());
        };
        match answer.status {
            200 => {}
            404 if way != Way::Named && !answer.is_html() => return Ok(pages::Page::empty()),
            _ => return Err(answer.into_fault().await),
        }
        let body = answer.body(Kind::ApiPage).await?;
        let page: TagPage = serde_json::from_slice(&body)
            .map_err(|_| answer.content("it did not answer with a list of tags"))?;
        // As of the registry's own list: better none than one with holes.
        let tags = page.results.iter().map(|tag| Ok((tag.name.parse()?, ())));
        let tags: Result<Vec<_>, BadName> = tags.collect();
        let next = page.next.filter(|next| !next.is_empty());
        let next = next.map(|next| pages::at(&answer, &next, |url| hub.endpoint.is_own(url)));
        Ok(pages::Page {
            entries: tags.map_err(|error| answer.content(error.to_string()))?,
            next: next.transpose()?,
            bytes: body.len(),
        })
    }

    /// Those of `tags` that Docker Hub's settings for this repository do not let move; none where the repository is not
    /// there yet, or not ours to look at.
    pub(super) async fn immutable_on(&self, hub: &Hub, tags: &[Tag]) -> Result<Vec<Tag>, Fault> {
        let Some(url) = self.on_hub(hub, "")? else {
            return Ok(Vec::new());
        };
        let call = Call::new(Method::GET, url);
        let mut answer = hub.endpoint.send(&call, None).await?;
        if matches!(answer.status, 401 | 403 | 404) {
            // A private repository, or none.
            match self.ask_hub(hub, &call).await? {
                Some(known) => answer = known,
                None => return Ok(Vec::new()),
            }
        }
        match answer.status {
            200 => {}
            401 | 403 | 404 => return Ok(Vec::new()),
            _ => return Err(answer.into_fault().await),
        }
        let body = answer.body(Kind::Api).await?;
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
