//! Decides which login belongs to a repository: the first of the places where people and CI keep them that has one.
//! Must never print, log or name a secret; a broken file is named by its path alone.

use super::helper;
use crate::error::Error;
use crate::files;
use crate::model::doctor::registry::Login;
use crate::model::fault::{Class, Fault};
use crate::model::reference::{Host, RepositoryName};
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Docker Hub's key in auth files, and what credential helpers know it by.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// The environment as a value, so that tests need not change the process's.
#[derive(Clone)]
pub struct Environment(Arc<Lookup>);

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Environment {
    /// The process's own.
    pub fn of_process() -> Self {
        Environment(Arc::new(|name| std::env::var(name).ok()))
    }

    /// These variables and no others.
    pub fn of<K: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables: BTreeMap<String, String> = variables
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        Environment(Arc::new(move |name| variables.get(name).cloned()))
    }

    /// A variable, if it is set and not empty.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}

/// How we say who we are.
#[derive(Debug, Clone)]
pub enum Credential {
    /// User and password, or user and token.
    Login {
        /// The user's name.
        user: String,
        /// The password, or the token that stands for it.
        password: SecretString,
    },
    /// An `OAuth2` refresh token (`identitytoken` in auth files).
    RefreshToken(SecretString),
}

/// Where logins are looked for, in this order: an explicit auth file, `$REGISTRY_AUTH_FILE`,
/// `$DOCKER_CONFIG/config.json`, `$XDG_RUNTIME_DIR/containers/auth.json`, `$XDG_CONFIG_HOME/containers/auth.json`,
/// `~/.docker/config.json`, and then the variables that CI sets.
#[derive(Debug, Clone)]
pub struct CredentialSource {
    authfile: Option<PathBuf>,
    environment: Environment,
    fixed: Option<Credential>,
}

impl CredentialSource {
    /// Looks in `authfile` first, which must exist and be JSON, then where `environment` points.
    pub fn new(authfile: Option<PathBuf>, environment: Environment) -> Result<Self, Error> {
        if let Some(path) = &authfile {
            let place = path.display().to_string();
            let text = files::text(path).map_err(|error| {
                let hint = "check the path, or make the file with podman login --authfile";
                Error::usage(format!("cannot read the auth file: {error}"), &place, hint)
            })?;
            AuthFile::parse(&text).map_err(|what| {
                let hint = "make it again with podman login --authfile";
                Error::usage(what, &place, hint)
            })?;
        }
        Ok(CredentialSource {
            authfile,
            environment,
            fixed: None,
        })
    }

    /// No logins at all.
    pub fn anonymous() -> Self {
        CredentialSource {
            authfile: None,
            environment: Environment::of::<String, String>([]),
            fixed: None,
        }
    }

    /// This login for every repository.
    pub fn login(user: impl Into<String>, password: SecretString) -> Self {
        CredentialSource {
            fixed: Some(Credential::Login {
                user: user.into(),
                password,
            }),
            ..CredentialSource::anonymous()
        }
    }

    /// The login for a repository, if there is one anywhere.
    ///
    /// Fails with [`Class::Auth`] where a file or a helper that had to be asked is broken.
    pub async fn find(
        &self,
        host: &Host,
        name: &RepositoryName,
    ) -> Result<Option<Credential>, Fault> {
        if let Some(fixed) = &self.fixed {
            return Ok(Some(fixed.clone()));
        }
        let located = self.locate(host, name).await?;
        Ok(located.map(|(credential, _)| credential))
    }

    /// The same, and where it is.
    pub(super) async fn locate(
        &self,
        host: &Host,
        name: &RepositoryName,
    ) -> Result<Option<(Credential, Login)>, Fault> {
        for path in self.files() {
            let broken = |what: String| {
                Fault::new(
                    Class::Auth,
                    host.as_str(),
                    "",
                    format!("{}: {what}", path.display()),
                )
            };
            let text = match files::text(&path) {
                Ok(text) => text,
                Err(error) if is_missing(&error) => continue,
                Err(error) => return Err(broken(error.to_string())),
            };
            let file = AuthFile::parse(&text).map_err(|what| broken(what.to_owned()))?;
            if let Some(found) = self.in_file(&file, host, name).await.map_err(broken)? {
                tracing::debug!(%host, file = %path.display(), "a login was found");
                return Ok(Some((found, Login::File(path.display().to_string()))));
            }
        }
        let variable = if host.as_str() == "ghcr.io" {
            "GITHUB_TOKEN"
        } else {
            "DOCKERHUB_TOKEN"
        };
        let found = self.in_ci(host);
        Ok(found.map(|found| (found, Login::Variable(variable))))
    }

    fn files(&self) -> Vec<PathBuf> {
        let var = |name| self.environment.get(name).map(PathBuf::from);
        let home = var("HOME");
        let config =
            var("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let containers = |dir: PathBuf| dir.join("containers/auth.json");
        [
            self.authfile.clone(),
            var("REGISTRY_AUTH_FILE"),
            var("DOCKER_CONFIG").map(|dir| dir.join("config.json")),
            var("XDG_RUNTIME_DIR").map(containers),
            config.map(containers),
            home.map(|home| home.join(".docker/config.json")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    async fn in_file(
        &self,
        file: &AuthFile,
        host: &Host,
        name: &RepositoryName,
    ) -> Result<Option<Credential>, String> {
        let server = if host.is_docker_hub() {
            DOCKER_HUB_KEY
        } else {
            host.as_str()
        };
        let hosts = spellings(host);
        let helper = file
            .cred_helpers
            .iter()
            .find(|(key, _)| hosts.contains(&bare(key)));
        if let Some((_, helper)) = helper
            && let Some(found) = helper::get(helper, server, &self.environment).await?
        {
            return Ok(Some(found));
        }
        for key in keys(host, name) {
            let entries = file.auths.iter().filter(|(found, _)| bare(found) == key);
            for (_, entry) in entries {
                if let Some(found) = entry.credential()? {
                    return Ok(Some(found));
                }
            }
        }
        match &file.creds_store {
            Some(helper) => helper::get(helper, server, &self.environment).await,
            None => Ok(None),
        }
    }

    /// What CI sets, where no file says otherwise. GHCR takes any user name with a token.
    fn in_ci(&self, host: &Host) -> Option<Credential> {
        let var = |name| self.environment.get(name);
        let (user, password) = if host.as_str() == "ghcr.io" {
            let user = var("GITHUB_ACTOR").unwrap_or_else(|| "github-actions".to_owned());
            (user, var("GITHUB_TOKEN")?)
        } else if host.is_docker_hub() {
            (var("DOCKERHUB_USERNAME")?, var("DOCKERHUB_TOKEN")?)
        } else {
            return None;
        };
        Some(Credential::Login {
            user,
            password: password.into(),
        })
    }
}

/// A file that is not there has no entry for us; nor has one that belongs to somebody else (sudo keeps `XDG_RUNTIME_DIR`).
fn is_missing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as E;
    matches!(
        error.kind(),
        E::NotFound | E::NotADirectory | E::PermissionDenied
    )
}

fn spellings(host: &Host) -> Vec<&str> {
    if host.is_docker_hub() {
        vec!["docker.io", "index.docker.io", "registry-1.docker.io"]
    } else {
        vec![host.as_str()]
    }
}

/// The keys a repository's login can lie under, the most particular first: `host/owner/app`, `host/owner`, `host`.
fn keys(host: &Host, name: &RepositoryName) -> Vec<String> {
    let mut keys = Vec::new();
    let mut rest = Some(name.as_str());
    while let Some(path) = rest {
        keys.extend(spellings(host).iter().map(|host| format!("{host}/{path}")));
        rest = path.rsplit_once('/').map(|(parent, _)| parent);
    }
    keys.extend(spellings(host).iter().map(ToString::to_string));
    keys
}

/// A key without what Docker used to put around it: `https://index.docker.io/v1/` is `index.docker.io`.
fn bare(key: &str) -> &str {
    let key = key
        .strip_prefix("https://")
        .or(key.strip_prefix("http://"))
        .unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1")
        .or(key.strip_suffix("/v2"))
        .unwrap_or(key)
}

/// `auth.json` and Docker's `config.json` (containers-auth.json(5)).
#[derive(Deserialize)]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(rename = "credHelpers", default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(rename = "credsStore")]
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<SecretString>,
    username: Option<String>,
    password: Option<SecretString>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<SecretString>,
}

impl AuthFile {
    fn parse(text: &str) -> Result<Self, &'static str> {
        // The parser's own words can quote what it stumbled over, so they go no further.
        serde_json::from_str(text).map_err(|_| "it is not an auth file in JSON")
    }
}

impl Entry {
    fn credential(&self) -> Result<Option<Credential>, String> {
        let given = |secret: &Option<SecretString>| {
            secret
                .clone()
                .filter(|secret| !secret.expose_secret().is_empty())
        };
        if let Some(token) = given(&self.identity_token) {
            return Ok(Some(Credential::RefreshToken(token)));
        }
        if let Some(auth) = given(&self.auth) {
            return login(auth.expose_secret())
                .map(Some)
                .ok_or_else(|| "an entry's auth is not base64 of user:password".to_owned());
        }
        let (Some(user), Some(password)) = (self.username.clone(), given(&self.password)) else {
            return Ok(None);
        };
        Ok(Some(Credential::Login { user, password }))
    }
}

/// `base64(user:password)`; some tools leave the padding out.
fn login(auth: &str) -> Option<Credential> {
    use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoder = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient);
    let text = String::from_utf8(decoder.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credential::Login {
        user: user.to_owned(),
        // Docker once padded passwords with NUL bytes.
        password: password.trim_matches('\0').into(),
    })
}

/// `user:password` in base64, as Basic wants it.
pub(super) fn basic(user: &str, password: &SecretString) -> SecretString {
    STANDARD
        .encode(format!("{user}:{}", password.expose_secret()))
        .into()
}

/// Whether a name can be part of `docker-credential-NAME` without leading elsewhere.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(plain)
        && Path::new(name).file_name().is_some()
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
