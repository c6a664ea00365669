//! Decides which images podman fetches before a build that may fetch none, because a layer cache is asked there.
//! Must never fail: what cannot be fetched the build misses, and says so.

use super::Engine;
use super::check::is_for;
use super::libpod::{Failure, Lines};
use super::request::BuildRequest;
use crate::model::{bases::bases, fault::one_line};
use reqwest::Method;

impl Engine {
    /// Fetches the images that a build begins with, where they are not here for its platform, as podman itself would: over
    /// TLS, with the user's own logins. What cannot be fetched the build misses, and says so.
    pub(super) async fn pull_bases(&self, request: &BuildRequest, containerfile: &str) {
        let platform = &request.platform;
        for name in bases(containerfile, &request.args) {
            // The name may be another platform's, of the build before: then `missing` would not fetch this one.
            if let Ok(Some(here)) = self.inspect(&name).await
                && is_for(&here, platform)
            {
                continue;
            }
            let mut query = vec![("reference", name.as_str()), ("policy", "always")];
            query.extend([("OS", platform.os()), ("Arch", platform.arch())]);
            query.extend(platform.variant().map(|variant| ("Variant", variant)));
            let call = self.libpod.request(Method::POST, &["images", "pull"]);
            let pulling = async {
                let mut lines = Lines::of(self.libpod.send(call.query(&query)).await?);
                while let Some(progress) = lines.next().await? {
                    if !progress.error.is_empty() {
                        return Err(Failure {
                            causes: Vec::new(),
                            status: Some(200),
                            words: one_line(&progress.error),
                        });
                    }
                }
                Ok(())
            };
            let pulled: Result<(), Failure> = pulling.await;
            if let Err(failure) = pulled {
                tracing::debug!(%name, words = failure.words, "a base image is not fetched");
            }
        }
    }
}
