//! Decides what podman is asked to build, and when it is asked again.
//! Must never push, nor call an image built that is not what was asked for.

use super::abandoned::Running;
use super::check::{check_built, is_for};
use super::context::Context;
use super::folder::Order;
use super::id::ImageId;
use super::libpod::{Failure, Lines};
use super::request::BuildRequest;
use super::told::{Told, breaks_out};
use super::{Engine, Inspected, engine_error};
use crate::error::{Error, Kind, Result};
use crate::model::{
    containerfile::{declares_healthcheck, with_labels},
    fault::one_line,
    spec::Network,
    step_network,
};

/// How often a build that lost a cached step is begun.
const TRIES: u32 = 3;

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
        let asking = step_network::first_that_asks(context.text());
        if let Some(line) = asking.filter(|_| request.network == Network::Private) {
            return Err(breaks_out(format!(
                "{}:{line}",
                request.containerfile.display()
            )));
        }
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
                if told.breaks_out {
                    break;
                }
            }
            told.finish(on_line);
            Ok(())
        };
        let outcome: Result<(), Failure> = outcome.await;
        if told.breaks_out {
            self.stop_builds().await;
            return Err(breaks_out(told.place()));
        }
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
