//! Decides how podman is told what to build: as the query of a call, and as the options of `podman build`.
//! Must never let what is true of a layer cache (plain HTTP, its login) be true of the images that a build begins with.

use super::Login;
use super::known::at_least;
use crate::error::{Error, Kind};
use crate::model::{manifest::media_type, platform::Platform, spec::Network};
use base64::Engine as _;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// The network that its steps have.
    pub network: Network,
    /// A layer cache in a registry.
    pub cache: Option<BuildCache>,
}

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
            ("nsoptions", self.namespaces()),
            // As `podman build` does by itself: steps get the names of podman's proxies.
            ("httpproxy", "true".to_owned()),
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

    /// What [`BuildRequest::query`] asks for, as options of `podman build`.
    pub(super) fn options(&self, version: &str) -> Vec<String> {
        let mut options = vec![
            "--format=docker".to_owned(),
            format!("--network={}", self.network),
        ];
        for (key, value) in self.query(version) {
            let option = match key {
                // These have more than one value, or another form.
                "outputformat" | "buildargs" | "cachefrom" | "cacheto" | "nsoptions" => continue,
                "t" => "tag",
                "httpproxy" => "http-proxy",
                "nocache" => "no-cache",
                "forcerm" => "force-rm",
                "sourcedateepoch" => "source-date-epoch",
                "tlsVerify" => "tls-verify",
                "pullpolicy" => "pull",
                same => same,
            };
            options.push(format!("--{option}={value}"));
        }
        let args = self.args.iter();
        options.extend(args.map(|(key, value)| format!("--build-arg={key}={value}")));
        if let Some(cache) = self.usable_cache() {
            let from = cache.from.iter().map(|name| format!("--cache-from={name}"));
            let to = cache.to.iter().map(|name| format!("--cache-to={name}"));
            options.extend(from.chain(to));
        }
        options
    }

    /// The namespaces of steps; without them, a service gives them this machine's network.
    fn namespaces(&self) -> String {
        let host = self.network == Network::Host;
        serde_json::json!([{ "Name": "network", "Host": host }]).to_string()
    }

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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

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
            network: Network::Private,
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

    #[test]
    fn a_network_is_asked_for_both_ways() {
        for (network, option, namespaces) in [
            (
                Network::Private,
                "--network=private",
                r#"[{"Name":"network","Host":false}]"#,
            ),
            (
                Network::Host,
                "--network=host",
                r#"[{"Name":"network","Host":true}]"#,
            ),
        ] {
            let request = BuildRequest {
                network,
                ..request()
            };
            assert!(request.options("4.3.1").contains(&option.to_owned()));
            let query: BTreeMap<_, _> = request.query("4.3.1").into_iter().collect();
            assert_eq!(query["nsoptions"], namespaces);
        }
    }

    #[test]
    fn all_that_a_call_asks_for_is_an_option() {
        let request = BuildRequest {
            args: [("KEY", "a=b c"), ("EMPTY", "")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            target: Some("stage".to_owned()),
            ..request()
        };
        let common =
            "--format=docker --network=private --platform=linux/amd64 --tag=x:y --layers=true";
        let args = "--build-arg=EMPTY= --build-arg=KEY=a=b c";
        for (version, no_cache, expected) in [
            (
                "4.9.3",
                false,
                format!(
                    "{common} --no-cache=false --http-proxy=true --rm=true --force-rm=true --timestamp=7 --tls-verify=false --pull=never \
                     --target=stage {args} --cache-from=127.0.0.1:1/from --cache-to=127.0.0.1:1/to"
                ),
            ),
            (
                "5.6.0",
                true,
                format!(
                    "{common} --no-cache=true --http-proxy=true --rm=true --force-rm=true --timestamp=7 --target=stage {args}"
                ),
            ),
        ] {
            let request = BuildRequest {
                no_cache,
                ..request.clone()
            };
            assert_eq!(request.options(version).join(" "), expected);
        }
        let dated = request.options("5.6.0");
        assert!(
            dated.contains(&"--source-date-epoch=7".to_owned()),
            "{dated:?}"
        );
    }
}
