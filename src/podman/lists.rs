//! Decides how an image and a manifest list go from podman's storage to the relay.
//! Must never say anything but loopback is fine without TLS, nor show the login.

use super::libpod::{Failure, Lines};
use super::{Engine, engine_error};
use crate::error::{Error, Result};
use crate::model::{compression::CompressionLevel, fault::one_line};
use base64::Engine as _;
use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// How podman logs in to the relay; a throw-away of this run.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// The user.
    pub user: &'a str,
    /// The password; its Debug shows nothing.
    pub password: &'a SecretString,
}

impl Login<'_> {
    /// The value of X-Registry-Auth: URL-safe base64 of JSON.
    pub(super) fn header(&self) -> Result<HeaderValue> {
        let json = serde_json::json!({
            "username": self.user,
            "password": self.password.expose_secret(),
        });
        let encoded = base64::engine::general_purpose::URL_SAFE.encode(json.to_string());
        let mut value = HeaderValue::from_str(&encoded).map_err(|_| {
            engine_error(
                "the login cannot be sent",
                self.user,
                "report this: it is a mistake in rpub",
            )
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// podman's words without the password, should it ever repeat it.
    fn without_secret(&self, words: &str) -> String {
        match self.password.expose_secret() {
            "" => words.to_owned(),
            secret => words.replace(secret, "***"),
        }
    }

    fn error(&self, what: &str, place: &str, failure: &Failure) -> Error {
        let words = self.without_secret(&failure.words);
        let hint = "see above what the registry answered; if it is podman's own trouble, `podman system check` may mend it";
        Failure {
            causes: Vec::new(),
            status: failure.status,
            words,
        }
        .into_error(what, place, hint)
    }
}

/// `docker://` before a name, once.
fn transport(name: &str) -> String {
    let bare = name.strip_prefix("docker://").unwrap_or(name);
    format!("docker://{bare}")
}

impl Engine {
    /// Pushes an image (a name or an id) to `destination`: `127.0.0.1:PORT/name:tag`, over plain HTTP. Layers that must be
    /// compressed are compressed at `level`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Engine`] in podman's words. What the relay itself refused, it knows better.
    pub async fn push(
        &self,
        image: &str,
        destination: &str,
        login: Login<'_>,
        level: Option<CompressionLevel>,
    ) -> Result<()> {
        let what = "podman could not push the image";
        let request = self
            .libpod
            .request(Method::POST, &["images", image, "push"])
            .query(&[
                ("destination", destination),
                ("tlsVerify", "false"),
                // Otherwise 4.3 says nothing at all about what went wrong.
                ("quiet", "false"),
            ])
            // Without compressionFormat, with which podman would compress also what is compressed already.
            .query(
                &level
                    .map(|level| ("compressionLevel", level.to_string()))
                    .as_slice(),
            )
            .header("X-Registry-Auth", login.header()?);
        self.unless_cancelled(async {
            let failed = |failure| login.error(what, destination, &failure);
            let response = self.libpod.send(request).await.map_err(failed)?;
            let mut lines = Lines::of(response);
            while let Some(progress) = lines.next().await.map_err(failed)? {
                if !progress.error.is_empty() {
                    return Err(failed(Failure {
                        causes: Vec::new(),
                        status: Some(500),
                        words: one_line(&progress.error),
                    }));
                }
            }
            Ok(())
        })
        .await
    }

    /// Makes an empty list called `name`; one of that name that is left over is removed first, for amending it would
    /// keep its entries.
    pub async fn manifest_create(&self, name: &str) -> Result<()> {
        self.manifest_remove(name).await?;
        let request = self.libpod.request(Method::POST, &["manifests", name]);
        let sent = async { self.libpod.send(request).await.map(drop) };
        self.unless_cancelled(async {
            sent.await.map_err(|failure| {
                failure.into_error(
                    "podman could not make the manifest list",
                    name,
                    "try `podman manifest create` by hand to see why",
                )
            })
        })
        .await
    }

    /// Adds an image that lies in a registry: `127.0.0.1:PORT/name@sha256:…`, over plain HTTP.
    ///
    /// Adding one twice adds it once, without a word from podman: count the entries.
    pub async fn manifest_add(&self, name: &str, image: &str, login: Login<'_>) -> Result<()> {
        let request = self
            .libpod
            .request(Method::PUT, &["manifests", name])
            .query(&[("tlsVerify", "false")])
            .header("X-Registry-Auth", login.header()?)
            .json(&serde_json::json!({"operation": "update", "images": [transport(image)]}));
        self.unless_cancelled(async {
            let sent = self.libpod.send(request).await.map(drop);
            sent.map_err(|failure| {
                login.error("podman could not add to the manifest list", image, &failure)
            })
        })
        .await
    }

    /// Pushes the list, and only the list, to `destination`: `127.0.0.1:PORT/name:tag`, over plain HTTP.
    pub async fn manifest_push(
        &self,
        name: &str,
        destination: &str,
        login: Login<'_>,
    ) -> Result<()> {
        let bare = destination.strip_prefix("docker://").unwrap_or(destination);
        let request = self
            .libpod
            .request(Method::POST, &["manifests", name, "registry", bare])
            .query(&[("all", "false"), ("tlsVerify", "false")])
            .header("X-Registry-Auth", login.header()?);
        self.unless_cancelled(async {
            let failed = |failure| {
                login.error(
                    "podman could not push the manifest list",
                    destination,
                    &failure,
                )
            };
            let response = self.libpod.send(request).await.map_err(failed)?;
            let mut lines = Lines::of(response);
            while let Some(progress) = lines.next().await.map_err(failed)? {
                if !progress.error.is_empty() {
                    return Err(failed(Failure {
                        causes: Vec::new(),
                        status: Some(500),
                        words: one_line(&progress.error),
                    }));
                }
            }
            Ok(())
        })
        .await
    }

    /// Removes the list called `name` from podman's storage, if it is there.
    pub async fn manifest_remove(&self, name: &str) -> Result<()> {
        let request = self.libpod.request(Method::DELETE, &["manifests", name]);
        self.unless_cancelled(async {
            match self.libpod.send(request).await {
                Ok(_) => Ok(()),
                Err(failure) if failure.status == Some(404) => Ok(()),
                Err(failure) => Err(failure.into_error(
                    "podman could not remove the manifest list",
                    name,
                    "try `podman manifest rm` by hand to see why",
                )),
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let password = SecretString::from("hunter2");
        let login = Login {
            user: "rpub",
            password: &password,
        };
        let failure = Failure {
            causes: Vec::new(),
            status: Some(500),
            words: "denied for rpub:hunter2".to_owned(),
        };
        let error = login.error("x", "y", &failure);
        let shown = format!("{login:?} {:?} {error:?} {error}", login.header().unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        let header = login.header().unwrap();
        assert!(!shown.contains(header.to_str().unwrap()), "{shown}");
        let sent = base64::engine::general_purpose::URL_SAFE.decode(header.as_bytes());
        let sent: serde_json::Value = serde_json::from_slice(&sent.unwrap()).unwrap();
        assert_eq!(
            sent,
            serde_json::json!({"username": "rpub", "password": "hunter2"})
        );
    }
}
