//! Decides what podman is asked to build, and when it is asked again.
//! Must never push, nor call an image built that is not what was asked for.

use super::abandoned::Running;
use super::cache::BuildCache;
use super::check::{check_built, is_for};
use super::context::Context;
use super::folder::Order;
use super::libpod::{Failure, Lines};
use super::told::Told;
use super::{Engine, Inspected, engine_error};
use crate::error::{Error, Kind, Result};
use crate::model::{
    containerfile::{declares_healthcheck, with_labels},
    digest::Digest,
    fault::one_line,
    manifest::media_type,
    platform::Platform,
};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// How often a build that lost a cached step is begun.
const TRIES: u32 = 3;

/// What to build.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The folder that COPY and ADD see.
    pub context: PathBuf,
    /// Absolute, or relative to the context; it may lie outside of it.
    pub containerfile: PathBuf,
    /// What to build for.
    pub platform: Platform,
    /// The name that the image gets in podman's storage: `repository:tag`.
    pub tag: String,
    /// Labels on top of the Containerfile's own.
    pub labels: BTreeMap<String, String>,
    /// Values for the Containerfile's ARGs.
    pub args: BTreeMap<String, String>,
    /// The stage to build; the last one if none.
    pub target: Option<String>,
    /// Seconds since 1970 that the image and the files in its layers are dated to, so that building the same again gives
    /// the same; the time of the build if none.
    pub timestamp: Option<i64>,
    /// Whether to build every step again.
    pub no_cache: bool,
    /// A layer cache in a registry.
    pub cache: Option<BuildCache>,
}

/// An image's id in podman's storage: 64 hex digits, the digest of its config. It is not the digest of any registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(String, Digest);

impl ImageId {
    /// The id as podman prints it; `None` where the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let digest = format!("sha256:{text}").parse().ok()?;
        Some(ImageId(text.to_owned(), digest))
    }

    /// The digest of the image's config.
    pub fn digest(&self) -> Digest {
        self.1
    }

    /// 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Engine {
    /// Builds an image in docker format, names it, and checks that it is what was asked for; `on_line` gets every line
    /// that podman prints, as it comes (control characters included).
    ///
    /// An image for the wrong platform, as podman 4.3's layer cache can give, is built once more without any cache.
    /// Cancelled or dropped, it leaves a build that goes on until [`Engine::stop_builds`].
    ///
    /// # Errors
    /// [`crate::error::Kind::Build`] with the failing step as its place and what that printed last as its tail.
    pub async fn build(
        &self,
        request: &BuildRequest,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<ImageId> {
        let (id, built, wants_healthcheck) = self.build_patiently(request, on_line).await?;
        if is_for(&built, &request.platform) || request.no_cache {
            check_built(&built, &request.platform, wants_healthcheck)?;
            return Ok(id);
        }
        tracing::info!(image = %id, platform = %request.platform, "wrong platform from podman's cache: building again without it");
        let request = BuildRequest {
            no_cache: true,
            ..request.clone()
        };
        let (id, built, wants_healthcheck) = self.build_patiently(&request, on_line).await?;
        check_built(&built, &request.platform, wants_healthcheck)?;
        Ok(id)
    }

    /// Builds again, a few times, where somebody else removed a cached step just when it was to be built upon.
    async fn build_patiently(
        &self,
        request: &BuildRequest,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(ImageId, Inspected, bool)> {
        let mut tries = 1..TRIES;
        loop {
            // Boxed: a build's state is large, and callers hold it.
            match Box::pin(self.build_once(request, on_line)).await {
                Err(error) if lost_a_step(&error) && tries.next().is_some() => {
                    tracing::info!(%error, "a cached step went away: building again");
                }
                outcome => return outcome,
            }
        }
    }

    async fn build_once(
        &self,
        request: &BuildRequest,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(ImageId, Inspected, bool)> {
        let (folder, file) = (request.context.clone(), request.containerfile.clone());
        let as_folder = self.is_own();
        let prepared =
            tokio::task::spawn_blocking(move || Context::prepare(&folder, &file, as_folder)).await;
        let context = prepared.map_err(|error| {
            engine_error(
                format!("reading the context broke off: {error}"),
                "build",
                "report this",
            )
        })??;
        let wants_healthcheck = declares_healthcheck(context.text(), request.target.as_deref());
        if request.usable_cache().is_some() {
            let pulling = async {
                self.pull_bases(request, context.text()).await;
                Ok(())
            };
            self.unless_cancelled(pulling).await?;
        }
        let building = self.stream_build(request, context, on_line);
        let id = self.unless_cancelled(building).await?;
        let built = self.inspect(id.as_str()).await?.ok_or_else(|| {
            engine_error(
                "podman says the build succeeded, but does not know the image",
                id.as_str(),
                "run it again; something removes images while rpub works",
            )
        })?;
        Ok((id, built, wants_healthcheck))
    }

    async fn stream_build(
        &self,
        request: &BuildRequest,
        context: Context,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<ImageId> {
        let labelled = with_labels(context.text(), request.target.as_deref(), &request.labels);
        let (order, handed) = self.order(request, context, &labelled)?;
        let mut told = Told::new(request);
        let outcome = async {
            let mut output = self.abandoned.read(match order {
                Order::Call(call) => Running::Called(Lines::of(self.libpod.send(*call).await?)),
                Order::Own(build) => Running::Own(build),
            });
            while let Some(progress) = output.next().await? {
                if !progress.error.is_empty() {
                    told.finish(on_line);
                    return Err(Failure {
                        causes: Vec::new(),
                        status: Some(200),
                        words: one_line(&progress.error),
                    });
                }
                told.hear(&progress.stream, on_line);
            }
            told.finish(on_line);
            Ok(())
        };
        let outcome: Result<(), Failure> = outcome.await;
        // A file that could not be packed is the cause of whatever podman then said.
        if let Some(cause) = handed.trouble.get() {
            return Err(Error::new(
                cause.kind,
                &cause.what,
                &cause.place,
                &cause.hint,
            ));
        }
        match outcome {
            Ok(()) => match told.id.take() {
                Some(id) => Ok(id),
                None => Err(told.failure("podman ended the build without an image")),
            },
            Err(Failure {
                status: None,
                words,
                causes,
            }) => {
                let hint = if self.is_own() {
                    "see whether this machine ran out of memory (dmesg), then run it again"
                } else {
                    "see podman's log (journalctl --user -u podman), then run it again"
                };
                let words = format!("podman broke off the build: {words}");
                let mut error = engine_error(words, told.place(), hint);
                error.causes = causes;
                Err(error)
            }
            Err(failure) => Err(told.failure(&failure.words)),
        }
    }
}

/// podman's words where an image or layer that it had just found is gone.
fn lost_a_step(error: &Error) -> bool {
    error.kind == Kind::Build
        && ["image not known", "layer not known"]
            .iter()
            .any(|words| error.what.contains(words))
}

impl BuildRequest {
    /// The query of the build call, for a podman of this version.
    pub(super) fn query(&self, version: &str) -> Vec<(&'static str, String)> {
        let json = |map: &BTreeMap<String, String>| serde_json::json!(map).to_string();
        let mut query = vec![
            // podman's default, OCI, has no HEALTHCHECK.
            ("outputformat", media_type::DOCKER_MANIFEST.to_owned()),
            ("platform", self.platform.to_string()),
            ("t", self.tag.clone()),
            ("buildargs", json(&self.args)),
            // Not the default; nothing would be cached.
            ("layers", "true".to_owned()),
            ("nocache", self.no_cache.to_string()),
            ("rm", "true".to_owned()),
            ("forcerm", "true".to_owned()),
        ];
        query.extend(self.date(version));
        query.extend(
            self.usable_cache()
                .into_iter()
                .flat_map(|cache| cache.query(version)),
        );
        if let Some(target) = &self.target {
            query.push(("target", target.clone()));
        }
        query
    }
}
