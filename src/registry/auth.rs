//! Decides how a registry's challenge is answered: which login, which token, for which scope, and how long it serves.
//! Must never send a credential over plain HTTP off this machine, nor let one into a fault.

use super::answer::Answer;
use super::challenge::Challenge;
use super::credentials::{Credential, CredentialSource, basic};
use super::limits::Kind;
use super::scope::{Scope, adds};
use super::transport::{Call, Payload, Transport};
use crate::model::doctor::registry::Login;
use crate::model::fault::{Class, Fault};
use crate::model::reference::{Host, RepositoryName};
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What GHCR's tokens without `expires_in` last, by the token specification.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(1);

/// A header that says who we are, and the number by which to take it back.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) header: HeaderValue,
    serial: u64,
    until: Option<Instant>,
}

/// One token per scope; the lock lets one request fetch it while the others wait for it.
type Slot = Arc<tokio::sync::Mutex<Option<Grant>>>;

/// What one registry knows of us.
pub(super) struct Auth {
    host: Host,
    insecure: bool,
    credentials: CredentialSource,
    challenge: Mutex<Option<Challenge>>,
    slots: Mutex<HashMap<Scope, Slot>>,
    logins: Mutex<HashMap<RepositoryName, Arc<tokio::sync::OnceCell<Option<Credential>>>>>,
    /// All that must never be told, for [`Auth::scrub`].
    secrets: Mutex<Vec<SecretString>>,
    serial: Mutex<u64>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Each holds plain values that one statement changes: no panic can leave them half written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
    expires_in: Option<u64>,
}

impl Auth {
    pub(super) fn new(host: Host, insecure: bool, credentials: CredentialSource) -> Self {
        Auth {
            host,
            insecure,
            credentials,
            challenge: Mutex::default(),
            slots: Mutex::default(),
            logins: Mutex::default(),
            secrets: Mutex::default(),
            serial: Mutex::default(),
        }
    }

    /// Where the login for a repository is, if there is one.
    pub(super) async fn whence(&self, name: &RepositoryName) -> Result<Option<Login>, Fault> {
        let located = self.credentials.locate(&self.host, name).await?;
        Ok(located.map(|(_, login)| login))
    }

    /// What to send along with a request, where the registry has asked before.
    pub(super) async fn grant(
        &self,
        transport: &Transport,
        scope: &Scope,
    ) -> Result<Option<Grant>, Fault> {
        let challenge = locked(&self.challenge).clone();
        match challenge {
            None => Ok(None),
            Some(challenge) => self
                .answer(transport, &challenge, scope, None)
                .await
                .map(Some),
        }
    }

    /// What to send after a 401: never the same again.
    pub(super) async fn renew(
        &self,
        transport: &Transport,
        scope: &Scope,
        refused: &Answer,
        used: Option<&Grant>,
    ) -> Result<Grant, Fault> {
        let headers = refused.headers.get_all(WWW_AUTHENTICATE);
        let challenge = Challenge::choose(headers.iter().filter_map(|value| value.to_str().ok()));
        let Some(challenge) = challenge else {
            return Err(refused.as_fault(Class::Auth, "it does not say how to log in"));
        };
        // The scope belongs to this request alone; the rest serves all.
        let known = match challenge.clone() {
            Challenge::Bearer { realm, service, .. } => Challenge::Bearer {
                realm,
                service,
                scope: None,
            },
            Challenge::Basic => Challenge::Basic,
        };
        *locked(&self.challenge) = Some(known);
        if challenge == Challenge::Basic && used.is_some() {
            return Err(refused.as_fault(Class::Auth, "it refuses the login"));
        }
        self.answer(transport, &challenge, scope, used).await
    }

    async fn answer(
        &self,
        transport: &Transport,
        challenge: &Challenge,
        scope: &Scope,
        used: Option<&Grant>,
    ) -> Result<Grant, Fault> {
        let login = self.login(&scope.name).await?;
        let Challenge::Bearer {
            realm,
            service,
            scope: wanted,
        } = challenge
        else {
            return match login {
                Some(Credential::Login { user, password }) => self.basic(&user, &password),
                _ => Err(self.fault("it wants user and password, and none were found")),
            };
        };
        let slot = Arc::clone(locked(&self.slots).entry(scope.clone()).or_default());
        let mut slot = slot.lock().await;
        if let Some(grant) = slot.as_ref() {
            let fresh = grant.until.is_none_or(|until| Instant::now() < until);
            // Another request may have renewed it while we waited for the lock.
            if fresh && used.is_none_or(|used| used.serial != grant.serial) {
                return Ok(grant.clone());
            }
        }
        let mut scopes = scope.texts();
        let wanted = wanted.iter().flat_map(|wanted| wanted.split_whitespace());
        let more: Vec<_> = wanted.filter(|wanted| adds(&scopes, wanted)).collect();
        scopes.extend(more.into_iter().map(str::to_owned));
        let realm = self.realm(realm)?;
        let call = self.token_call(realm, service.as_deref(), &scopes, login.as_ref());
        let grant = self.fetch(transport, &call?, login.is_some()).await?;
        *slot = Some(grant.clone());
        Ok(grant)
    }

    /// The login for a repository, if there is one.
    pub(super) async fn login(&self, name: &RepositoryName) -> Result<Option<Credential>, Fault> {
        let cell = Arc::clone(locked(&self.logins).entry(name.clone()).or_default());
        let found = cell
            .get_or_try_init(|| self.credentials.find(&self.host, name))
            .await?
            .clone();
        match &found {
            Some(Credential::Login { user, password }) => {
                self.keep_secret(password);
                self.keep_secret(&basic(user, password));
            }
            Some(Credential::RefreshToken(token)) => self.keep_secret(token),
            None => {}
        }
        Ok(found)
    }

    /// The token service's URL, if credentials may go there.
    fn realm(&self, realm: &str) -> Result<Url, Fault> {
        let url = Url::parse(realm)
            .map_err(|_| self.fault("its challenge names a token service that is no URL"))?;
        if super::may_go(&url, self.insecure) {
            Ok(url)
        } else {
            Err(self.fault("its token service is not https: the login was not sent there"))
        }
    }

    fn token_call(
        &self,
        mut url: Url,
        service: Option<&str>,
        scopes: &[String],
        login: Option<&Credential>,
    ) -> Result<Call, Fault> {
        if let Some(Credential::RefreshToken(token)) = login {
            return Ok(refresh_call(url, service, scopes, token));
        }
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(service.map(|service| ("service", service)));
            query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
        }
        let mut call = Call::new(Method::GET, url);
        if let Some(Credential::Login { user, password }) = login {
            let grant = self.basic(user, password)?;
            call.headers.insert(AUTHORIZATION, grant.header);
        }
        Ok(call)
    }

    async fn fetch(
        &self,
        transport: &Transport,
        call: &Call,
        logged_in: bool,
    ) -> Result<Grant, Fault> {
        let started = Instant::now();
        let mut answer = transport.send(call, None).await?;
        if answer.status != 200 {
            let mut fault = answer.into_fault().await;
            if matches!(fault.class, Class::Auth | Class::Permission) {
                let who = if logged_in {
                    "the token service refuses the login"
                } else {
                    "the token service wants a login, and none was found"
                };
                fault.detail = format!("{who}: {}", fault.detail);
            }
            return Err(fault);
        }
        let body = answer.body(Kind::Token).await?;
        // The parser's own words can quote the token, so they are not told.
        let told: Option<TokenAnswer> = serde_json::from_slice(&body).ok();
        let lifetime = told.as_ref().and_then(|told| told.expires_in);
        let token = told
            .and_then(|told| told.token.or(told.access_token))
            .filter(|token| !token.expose_secret().is_empty())
            .ok_or_else(|| answer.content("the token service did not answer with a token"))?;
        self.keep_secret(&token);
        // `expires_in: 0` and the like are taken as what the specification says where nothing is said.
        let lifetime = lifetime
            .filter(|seconds| *seconds > 0)
            .map_or(DEFAULT_LIFETIME, |seconds| {
                Duration::from_secs(seconds.min(24 * 3600))
            });
        // Renewed a little before it ends, so that it does not end on its way.
        let margin = (lifetime / 4).min(Duration::from_secs(10));
        self.sealed("Bearer", &token, Some(started + lifetime - margin))
    }

    fn basic(&self, user: &str, password: &SecretString) -> Result<Grant, Fault> {
        self.sealed("Basic", &basic(user, password), None)
    }

    fn sealed(
        &self,
        scheme: &str,
        secret: &SecretString,
        until: Option<Instant>,
    ) -> Result<Grant, Fault> {
        let text = format!("{scheme} {}", secret.expose_secret());
        let mut header = HeaderValue::from_str(&text)
            .map_err(|_| self.fault("the token has characters that no header can hold"))?;
        // Debug prints of headers, ours or a library's, leave it out.
        header.set_sensitive(true);
        let mut serial = locked(&self.serial);
        *serial += 1;
        Ok(Grant {
            header,
            serial: *serial,
            until,
        })
    }

    fn fault(&self, detail: &str) -> Fault {
        Fault::new(Class::Auth, self.host.as_str(), "", detail)
    }

    /// Remembers what must never be told.
    pub(super) fn keep_secret(&self, secret: &SecretString) {
        let mut secrets = locked(&self.secrets);
        let known = |known: &SecretString| known.expose_secret() == secret.expose_secret();
        if !secret.expose_secret().is_empty() && !secrets.iter().any(known) {
            secrets.push(secret.clone());
        }
    }

    /// Takes our secrets out of what a registry said: one that echoes a header must not get it into a log.
    pub(super) fn scrub(&self, mut fault: Fault) -> Fault {
        let secrets = locked(&self.secrets);
        let texts = [
            Some(&mut fault.detail),
            fault.code.as_mut(),
            Some(&mut fault.request),
        ];
        let texts = texts.into_iter().flatten().chain(&mut fault.causes);
        for text in texts {
            for secret in secrets.iter() {
                // A registry's text is cut to a line: the beginning of a long token counts as the token.
                let secret = secret.expose_secret();
                let start: String = secret.chars().take(24).collect();
                if text.contains(&start) {
                    *text = text.replace(secret, "***").replace(&start, "***");
                }
            }
        }
        fault
    }
}

/// The `OAuth2` way: a refresh token for an access token (distribution, `spec/auth/oauth`).
fn refresh_call(
    mut url: Url,
    service: Option<&str>,
    scopes: &[String],
    token: &SecretString,
) -> Call {
    let mut form = url.clone();
    form.set_query(None);
    form.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("client_id", "rpub")
        .append_pair("service", service.unwrap_or_default())
        .append_pair("scope", &scopes.join(" "))
        .append_pair("refresh_token", token.expose_secret());
    let body = form.query().unwrap_or_default().to_owned();
    url.set_fragment(None);
    let mut call = Call::new(Method::POST, url);
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    call.headers.insert(CONTENT_TYPE, kind);
    call.payload = Payload::Bytes(Bytes::from(body));
    call
}
