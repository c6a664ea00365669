//! Decides which of podman-api's calls are made: inspect, tag and removal by name.
//! Must never use its build, push or manifest calls, nor show its errors' Debug (it may hold a whole response).

use super::{Engine, engine_error, peer::Peer};
use crate::error::{Error, Result};
use crate::model::fault::one_line;
use podman_api::{Podman, opts::ImageTagOpts};
use reqwest::Method;
use std::collections::BTreeMap;
use std::time::Duration;

/// The calls, over one socket.
pub(super) struct Client(Podman);

/// An image in podman's storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// podman's id: 64 hex digits.
    pub id: String,
    /// `linux`
    pub os: String,
    /// `arm64`
    pub arch: String,
    /// `v8`; podman's API does not tell it before some 5.x, so `None` means "not told".
    pub variant: Option<String>,
    /// The media type that its manifest has in podman's storage: Docker's or OCI's.
    pub media_type: String,
    /// Labels, from its Containerfile and the build request alike.
    pub labels: BTreeMap<String, String>,
    /// Whether a HEALTHCHECK is there, other than `NONE`.
    pub healthcheck: bool,
    /// Bytes in podman's storage, uncompressed, with all its layers.
    pub size: u64,
    /// Digests of its layers, uncompressed.
    pub layers: Vec<String>,
}

impl Client {
    /// It serves as long as the peer lives.
    pub(super) fn new(peer: &Peer) -> Self {
        // Not `adjust_api_version`: it picks the Docker API's version.
        Client(Podman::unix_versioned(peer.address(), (4, 0, 0)))
    }
}

/// A podman-api error in its own words, one line; never its Debug.
fn words(error: podman_api::Error) -> String {
    match error {
        podman_api::Error::Fault { message, .. } => one_line(&message),
        other => one_line(&other.to_string()),
    }
}

/// How often a call is made that podman fails in.
const TRIES: u32 = 3;
/// Between two tries; what podman fell over has passed by then.
const PAUSE: Duration = Duration::from_millis(200);

/// Makes a call again where podman answers 500: 4.3 falls over images that come and go while it looks at them
/// ("runtime error: invalid memory address"), as they do when several releases run at once.
async fn patiently<T>(
    call: impl AsyncFn() -> Result<T, podman_api::Error>,
) -> Result<T, podman_api::Error> {
    let mut tries = 1..TRIES;
    loop {
        match call().await {
            Err(podman_api::Error::Fault { code, message })
                if code.as_u16() == 500 && tries.next().is_some() =>
            {
                tracing::debug!(%message, "podman fails: trying again");
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

fn is_missing(error: &podman_api::Error) -> bool {
    matches!(error, podman_api::Error::Fault { code, .. } if code.as_u16() == 404)
}

fn failed(what: &str, image: &str, error: podman_api::Error) -> Error {
    let causes = crate::model::fault::causes(std::error::Error::source(&error));
    let mut failed = engine_error(
        format!("{what}: {}", words(error)),
        image,
        "run `podman info` to see whether podman is well, then run it again",
    );
    failed.causes = causes;
    failed
}

impl Engine {
    /// What podman knows of an image (a name or an id); `None` where there is none.
    pub async fn inspect(&self, image: &str) -> Result<Option<Inspected>> {
        self.unless_cancelled(async {
            let known = self.client.0.images().get(image);
            let data = match patiently(async || known.inspect().await).await {
                Ok(data) => data,
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => {
                    return Err(failed("podman could not inspect the image", image, error));
                }
            };
            let test = data.healthcheck.and_then(|check| check.test);
            Ok(Some(Inspected {
                id: data.id.unwrap_or_default(),
                os: data.os.unwrap_or_default(),
                arch: data.architecture.unwrap_or_default(),
                variant: None,
                media_type: data.manifest_type.unwrap_or_default(),
                labels: data.labels.unwrap_or_default().into_iter().collect(),
                healthcheck: test
                    .is_some_and(|test| test.first().is_some_and(|first| first != "NONE")),
                size: data
                    .virtual_size
                    .or(data.size)
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or(0),
                layers: data.root_fs.and_then(|fs| fs.layers).unwrap_or_default(),
            }))
        })
        .await
    }

    /// Gives an image (a name or an id) one more name, `repository:tag`; takes that name from an image that had it.
    pub async fn tag(&self, image: &str, repository: &str, tag: &str) -> Result<()> {
        self.unless_cancelled(async {
            let options = ImageTagOpts::builder().repo(repository).tag(tag).build();
            let known = self.client.0.images().get(image);
            let tagged = patiently(async || known.tag(&options).await).await;
            tagged.map_err(|error| failed("podman could not name the image", image, error))
        })
        .await
    }

    /// Takes a name from an image; the image goes too if that was its last one. No such name is fine.
    ///
    /// It does not force: an image that a container uses stays, and that is an error.
    pub async fn untag_or_remove(&self, name: &str) -> Result<()> {
        self.unless_cancelled(async {
            // podman-api's `remove` forces; its `delete` is podman's plain `rmi`.
            let image = self.client.0.images().get(name);
            match patiently(async || image.delete().await).await {
                Ok(()) => Ok(()),
                Err(error) if is_missing(&error) => Ok(()),
                Err(error) => Err(failed("podman could not remove the name", name, error)),
            }
        })
        .await
    }

    /// Takes a name, `repository:tag`, from an image that stays, even without any. No such name is fine.
    pub async fn untag(&self, name: &str) -> Result<()> {
        let call = self
            .libpod
            .request(Method::POST, &["images", name, "untag"]);
        let query = name
            .rsplit_once(':')
            .map(|(repo, tag)| [("repo", repo), ("tag", tag)]);
        self.unless_cancelled(async {
            match self
                .libpod
                .send(call.query(&query.unwrap_or_default()))
                .await
            {
                Ok(_) => Ok(()),
                Err(failure) if failure.status == Some(404) => Ok(()),
                Err(failure) => Err(failure.into_error(
                    "podman could not take the name away",
                    name,
                    "try `podman untag` by hand to see why",
                )),
            }
        })
        .await
    }

    /// Removes an image that a build made on its way, known by the first digits of its id; one that has a name, or is
    /// gone, is left as it is. Images made from it stay whole.
    pub async fn remove_step(&self, id: &str) -> Result<()> {
        self.unless_cancelled(async {
            let image = self.client.0.images().get(id);
            let remove = async || {
                let found = image.inspect().await?;
                let names = [found.repo_tags, found.repo_digests];
                if names.iter().flatten().any(|names| !names.is_empty()) {
                    return Ok(());
                }
                image.delete().await
            };
            match patiently(remove).await {
                Err(error) if !is_missing(&error) => Err(failed(
                    "podman could not remove the image of a step",
                    id,
                    error,
                )),
                _ => Ok(()),
            }
        })
        .await
    }
}
