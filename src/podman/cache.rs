//! Decides how podman is told of a layer cache in a registry, and what of a failure may be the cache's doing.
//! Must never let what is true of the cache (plain HTTP, its login) be true of the images that a build begins with.

use super::build::BuildRequest;
use super::check::is_for;
use super::known::at_least;
use super::libpod::{Failure, Lines};
use super::{Engine, Login};
use crate::error::{Error, Kind};
use crate::model::{bases::bases, fault::one_line};
use base64::Engine as _;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};

/// A layer cache behind the relay: podman asks there for each step's image, and leaves each new one there.
#[derive(Debug, Clone)]
pub struct BuildCache {
    /// Where to ask: `127.0.0.1:PORT/name`.
    pub from: Option<String>,
    /// Where to leave.
    pub to: Option<String>,
    /// The user at the relay.
    pub user: String,
    /// The throw-away password there.
    pub password: SecretString,
}

impl BuildCache {
    pub(super) fn login(&self) -> Login<'_> {
        Login {
            user: &self.user,
            password: &self.password,
        }
    }

    /// The same as a file of logins, as podman reads them.
    pub(super) fn login_file(&self) -> SecretString {
        let both = format!("{}:{}", self.user, self.password.expose_secret());
        let auth = base64::engine::general_purpose::STANDARD.encode(both);
        let names = self.from.iter().chain(&self.to);
        let hosts = names.filter_map(|name| name.split('/').next());
        let auths: serde_json::Map<_, _> = hosts
            .map(|host| (host.to_owned(), serde_json::json!({ "auth": auth })))
            .collect();
        serde_json::json!({ "auths": auths }).to_string().into()
    }

    /// The query's part. 4.3 takes one name, later ones a list of names in JSON and refuse a bare one.
    pub(super) fn query(&self, version: &str) -> Vec<(&'static str, String)> {
        let place = |name: &str| {
            if at_least(version, (4, 4)) {
                serde_json::json!([name]).to_string()
            } else {
                name.to_owned()
            }
        };
        let mut query = vec![
            // The relay speaks plain HTTP, on loopback. podman would take that for the images of FROM as well: those are
            // here already, and with this no other is fetched.
            ("tlsVerify", "false".to_owned()),
            ("pullpolicy", "never".to_owned()),
        ];
        query.extend(self.from.as_deref().map(|name| ("cachefrom", place(name))));
        query.extend(self.to.as_deref().map(|name| ("cacheto", place(name))));
        query
    }
}

impl BuildRequest {
    /// The cache, where there is one and it may be used.
    pub(super) fn usable_cache(&self) -> Option<&BuildCache> {
        self.cache.as_ref().filter(|_| !self.no_cache)
    }

    /// How podman is told the time to date the image to.
    ///
    /// From 5.6 on `timestamp` is part of what a step is known by, so that no commit would find another's steps. With a
    /// cache only the image is dated there, and the files in new layers are as old as they are.
    pub(super) fn date(&self, version: &str) -> Option<(&'static str, String)> {
        let key = if self.usable_cache().is_some() && at_least(version, (5, 6)) {
            "sourcedateepoch"
        } else {
            "timestamp"
        };
        self.timestamp.map(|seconds| (key, seconds.to_string()))
    }

    /// Whether a build that failed like this may succeed without the cache: podman says that the relay failed, that an
    /// image is not here (with a cache it does not fetch any), or it failed before the first step.
    pub fn may_do_without_cache(&self, error: &Error) -> bool {
        let Some(cache) = self.usable_cache() else {
            return false;
        };
        let names = [&cache.from, &cache.to];
        let mut names = names.into_iter().flatten();
        error.kind == Kind::Build
            && (names.any(|name| error.what.contains(name.as_str()))
                || error.what.contains("image not known")
                || error.what.contains("no such image")
                || !error.place.contains("STEP "))
    }
}

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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    /// A build with a cache in both directions, and a date.
    pub(in crate::podman) fn request() -> BuildRequest {
        BuildRequest {
            context: PathBuf::from("."),
            containerfile: PathBuf::from("Containerfile"),
            platform: "linux/amd64".parse().unwrap(),
            tag: "x:y".to_owned(),
            labels: BTreeMap::new(),
            args: BTreeMap::new(),
            target: None,
            timestamp: Some(7),
            no_cache: false,
            cache: Some(BuildCache {
                from: Some("127.0.0.1:1/from".to_owned()),
                to: Some("127.0.0.1:1/to".to_owned()),
                user: "rpub".to_owned(),
                password: SecretString::from("hunter2"),
            }),
        }
    }

    #[test]
    fn the_cache_is_named_as_each_podman_wants_it() {
        let request = request();
        for (version, from, to, date) in [
            ("4.3.1", "127.0.0.1:1/from", "127.0.0.1:1/to", "timestamp"),
            (
                "4.4.0-rc1",
                "[\"127.0.0.1:1/from\"]",
                "[\"127.0.0.1:1/to\"]",
                "timestamp",
            ),
            (
                "4.9.3",
                "[\"127.0.0.1:1/from\"]",
                "[\"127.0.0.1:1/to\"]",
                "timestamp",
            ),
            (
                "5.5.2",
                "[\"127.0.0.1:1/from\"]",
                "[\"127.0.0.1:1/to\"]",
                "timestamp",
            ),
            (
                "5.6.0",
                "[\"127.0.0.1:1/from\"]",
                "[\"127.0.0.1:1/to\"]",
                "sourcedateepoch",
            ),
            (
                "10.0",
                "[\"127.0.0.1:1/from\"]",
                "[\"127.0.0.1:1/to\"]",
                "sourcedateepoch",
            ),
        ] {
            let query: BTreeMap<_, _> = request.query(version).into_iter().collect();
            assert_eq!(query["cachefrom"], from, "{version}");
            assert_eq!(query["cacheto"], to, "{version}");
            assert_eq!(query["tlsVerify"], "false");
            assert_eq!(query["pullpolicy"], "never");
            assert_eq!(query[date], "7", "{version}");
            let dates = ["timestamp", "sourcedateepoch"];
            assert_eq!(
                dates.iter().filter(|key| query.contains_key(*key)).count(),
                1
            );
        }
    }

    #[test]
    fn without_cache_nothing_of_it_is_said() {
        let mut without = request();
        without.cache = None;
        let mut forbidden = request();
        forbidden.no_cache = true;
        for request in [without, forbidden] {
            let query: BTreeMap<_, _> = request.query("5.8.0").into_iter().collect();
            for key in [
                "cachefrom",
                "cacheto",
                "tlsVerify",
                "pullpolicy",
                "sourcedateepoch",
            ] {
                assert!(!query.contains_key(key), "{key}");
            }
            let error = Error::new(Kind::Build, "image not known", "Containerfile", "");
            assert!(!request.may_do_without_cache(&error));
        }
    }

    #[test]
    fn only_what_may_be_the_caches_doing_is_built_again() {
        let request = request();
        for (what, place, expected) in [
            ("exit status 1", "Containerfile STEP 2/3: RUN x", false),
            (
                "pushing 127.0.0.1:1/to:abc: denied",
                "Containerfile STEP 2/3: RUN x",
                true,
            ),
            (
                "debian: image not known",
                "Containerfile STEP 1/3: FROM debian",
                true,
            ),
            ("HTTP 400", "Containerfile", true),
        ] {
            let error = Error::new(Kind::Build, what, place, "");
            assert_eq!(request.may_do_without_cache(&error), expected, "{what}");
        }
        let elsewhere = Error::new(Kind::Engine, "HTTP 400", "podman", "");
        assert!(!request.may_do_without_cache(&elsewhere));
    }
}
