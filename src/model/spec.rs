//! Decides what rpub.toml can say, once every mistake in it is ruled out.
//! Must never hold text that was not checked; `config` makes these values.

use super::{
    api::ApiAddress,
    compression::CompressionLevel,
    fault::Policy,
    platform::Platform,
    reference::{BadName, Host, Place, Repository, RepositoryName},
    tags::TagRules,
};
use std::{collections::BTreeMap, time::Duration};

/// All of rpub.toml.
#[derive(Debug, Clone)]
pub struct Spec {
    /// `org.opencontainers.image.source`, if the file says it.
    pub source: Option<String>,
    /// `org.opencontainers.image.licenses`, an SPDX expression.
    pub licenses: Option<String>,
    /// `[tags]`.
    pub tags: TagRules,
    /// `[[registry]]`; never empty: the directory store where the file names none.
    pub destinations: Vec<Destination>,
    /// `[[image]]`; never empty, each name once.
    pub images: Vec<ImageSpec>,
    /// `[retry]`.
    pub retry: Policy,
    /// `[prune]`.
    pub prune: PruneRules,
    /// `compression_level`, if the file says it.
    pub compression_level: Option<CompressionLevel>,
}

impl Spec {
    /// The registries that images go to.
    pub fn registries_mut(&mut self) -> impl Iterator<Item = &mut RegistrySpec> {
        let all = self.destinations.iter_mut();
        all.filter_map(|destination| match destination {
            Destination::Registry(registry) => Some(registry),
            Destination::Directory(_) => None,
        })
    }
}

/// What is pruned, and what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneRules {
    /// Whether a release prunes what it superseded.
    pub by_release: bool,
    /// So many of the lists that `latest` named before stay.
    pub keep: usize,
    /// What was pushed so lately may be about to be tagged, and stays.
    pub grace: Duration,
}

impl Default for PruneRules {
    /// A release prunes; no former `latest` stays; a week of grace.
    fn default() -> Self {
        PruneRules {
            by_release: true,
            keep: 0,
            grace: Duration::from_hours(7 * 24),
        }
    }
}

/// A text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no span of time: write days, hours or minutes, such as 7d, 12h or 90m")]
pub struct BadSpan(String);

/// A span of time as users write it: `7d`, `1d 12h`, `90m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl std::str::FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let bad = || BadSpan(text.chars().take(100).collect());
        let span: jiff::Span = text.parse().map_err(|_| bad())?;
        // Months and years have no length of their own, and are refused here.
        let days = jiff::SpanRelativeTo::days_are_24_hours();
        let exact = span.to_duration(days).map_err(|_| bad())?;
        exact.try_into().map(Span).map_err(|_| bad())
    }
}

/// Where images go: one `[[registry]]`, or one `--to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A remote registry.
    Registry(RegistrySpec),
    /// A directory store, the path as the user wrote it.
    Directory(String),
}

/// One remote registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySpec {
    /// Its host.
    pub host: Host,
    /// What stands before every image's name.
    pub namespace: Option<RepositoryName>,
    /// Plain HTTP; only for loopback.
    pub insecure: bool,
    /// A file of further certificate authorities, PEM.
    pub ca_file: Option<String>,
    /// Whose rules it keeps beyond those of a registry.
    pub service: Service,
    /// Where that service's own API is, if not at its usual place.
    pub api: Option<ApiAddress>,
}

/// Who runs a registry: what can be asked and deleted there depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// GitHub's container registry.
    Ghcr,
    /// Docker Hub.
    DockerHub,
    /// A registry and nothing beside it.
    Plain,
}

impl Service {
    /// Who runs a host, as far as it is known by its name.
    pub fn of(host: &Host) -> Service {
        if host.is_docker_hub() {
            Service::DockerHub
        } else if host.as_str() == "ghcr.io" {
            Service::Ghcr
        } else {
            Service::Plain
        }
    }
}

/// The name is none of `ghcr`, `docker-hub`, `plain`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no service: there are ghcr, docker-hub and plain")]
pub struct BadService(String);

impl std::str::FromStr for Service {
    type Err = BadService;

    fn from_str(text: &str) -> Result<Self, BadService> {
        match text {
            "ghcr" => Ok(Service::Ghcr),
            "docker-hub" => Ok(Service::DockerHub),
            "plain" => Ok(Service::Plain),
            _ => Err(BadService(text.chars().take(100).collect())),
        }
    }
}

/// Where layers are cached, if anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CachePlaces {
    /// Where steps that were built before are taken from.
    pub from: Option<RegistrySpec>,
    /// Where new ones are left.
    pub to: Option<RegistrySpec>,
}

impl CachePlaces {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }
}

/// The network that the steps of a build have, in podman's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// One of their own.
    #[default]
    Private,
    /// This machine's.
    Host,
}

/// The name is neither `private` nor `host`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: there are private and host")]
pub struct BadNetwork(String);

impl std::str::FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        match text {
            "private" => Ok(Network::Private),
            "host" => Ok(Network::Host),
            _ => Err(BadNetwork(text.chars().take(100).collect())),
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Network::Private => "private",
            Network::Host => "host",
        })
    }
}

/// One `[[image]]`.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    /// Its name within each namespace.
    pub name: RepositoryName,
    /// The build context's folder, relative to rpub.toml.
    pub context: String,
    /// What to build, each platform once, in the file's order: the platform and its Containerfile, relative to rpub.toml.
    pub platforms: Vec<(Platform, String)>,
    /// The stage to build; the last where none is named.
    pub target: Option<String>,
    /// The network of its build steps.
    pub network: Network,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Labels beyond those that rpub makes.
    pub labels: BTreeMap<String, String>,
    /// `org.opencontainers.image.description`.
    pub description: Option<String>,
}

/// Why a `--to` is no destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDestination {
    /// A part of it is not a name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// It is neither a host nor a path.
    #[error("{0:?} is neither a registry nor a folder")]
    Neither(String),
    /// Plain HTTP to another machine.
    #[error("plain HTTP is for this machine only, not for {0}")]
    Insecure(Host),
    /// A layer cache in a folder.
    #[error("a layer cache is in a registry: HOST/NAMESPACE, not {0:?}")]
    NoRegistry(String),
    /// Docker Hub without a namespace.
    #[error("Docker Hub wants a namespace: docker.io/OWNER")]
    HubNamespace,
}

impl RegistrySpec {
    /// Where layers are cached, as `--cache-from` says it: as `--to`, but with the case of an owner's name in a variable
    /// of GitHub's.
    ///
    /// # Errors
    /// It is none, or a folder.
    pub fn of_cache(text: &str) -> Result<Self, BadDestination> {
        match text.to_ascii_lowercase().parse()? {
            Destination::Registry(spec) => Ok(spec),
            Destination::Directory(_) => {
                Err(BadDestination::NoRegistry(text.chars().take(200).collect()))
            }
        }
    }

    /// The rules that hold between the fields.
    pub fn check(self) -> Result<Self, BadDestination> {
        if self.insecure && !self.host.is_loopback() {
            return Err(BadDestination::Insecure(self.host));
        }
        if self.host.is_docker_hub() && self.namespace.is_none() {
            return Err(BadDestination::HubNamespace);
        }
        Ok(self)
    }
}

impl std::str::FromStr for Destination {
    type Err = BadDestination;

    /// `ghcr.io/owner`, `http://127.0.0.1:5000/owner` (loopback only), `./folder`, `/folder`, `oci:folder`.
    fn from_str(text: &str) -> Result<Self, BadDestination> {
        if let Some(path) = text.strip_prefix("oci:").filter(|path| !path.is_empty()) {
            return Ok(Destination::Directory(path.to_owned()));
        }
        if text.starts_with(['.', '/']) {
            return Ok(Destination::Directory(text.to_owned()));
        }
        let (insecure, bare) = match text.strip_prefix("http://") {
            Some(bare) => (true, bare),
            None => (false, text.strip_prefix("https://").unwrap_or(text)),
        };
        let (host, namespace) = match bare.split_once('/') {
            Some((host, namespace)) => (host, Some(namespace)),
            None => (bare, None),
        };
        if !host.contains(['.', ':']) && host != "localhost" {
            return Err(BadDestination::Neither(text.chars().take(200).collect()));
        }
        let host = host.parse()?;
        let spec = RegistrySpec {
            service: Service::of(&host),
            host,
            namespace: namespace.map(str::parse).transpose()?,
            insecure,
            ca_file: None,
            api: None,
        };
        spec.check().map(Destination::Registry)
    }
}

impl Destination {
    /// The repository of an image at this destination.
    pub fn repository(&self, image: &RepositoryName) -> Result<Repository, BadName> {
        Ok(match self {
            Destination::Registry(registry) => Repository {
                place: Place::Registry(registry.host.clone()),
                name: image.within(registry.namespace.as_ref())?,
            },
            Destination::Directory(path) => Repository {
                place: Place::Directory(path.clone()),
                name: image.clone(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_in_a_registry_whatever_the_case_of_its_owner() {
        let spec = RegistrySpec::of_cache("ghcr.io/Owner").unwrap();
        assert_eq!(spec.namespace.unwrap().as_str(), "owner");
        assert!(
            RegistrySpec::of_cache("http://127.0.0.1:5000/ns")
                .unwrap()
                .insecure
        );
        for bad in [
            "./out",
            "oci:out",
            "",
            "Owner",
            "docker.io",
            "http://ghcr.io/owner",
        ] {
            assert!(RegistrySpec::of_cache(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn destinations_are_registries_or_folders() {
        let image: RepositoryName = "app".parse().unwrap();
        for (text, repository) in [
            ("ghcr.io/owner", "ghcr.io/owner/app"),
            ("https://ghcr.io/owner", "ghcr.io/owner/app"),
            ("http://127.0.0.1:5000/ns", "127.0.0.1:5000/ns/app"),
            ("localhost:5000", "localhost:5000/app"),
            ("./out", "oci:./out/app"),
            ("/srv/out", "oci:/srv/out/app"),
            ("oci:out", "oci:out/app"),
        ] {
            let destination: Destination = text.parse().unwrap();
            assert_eq!(
                destination.repository(&image).unwrap().to_string(),
                repository
            );
        }
        for bad in [
            "out",
            "",
            "oci:",
            "http://ghcr.io/owner",
            "docker.io",
            "ghcr.io/Owner",
        ] {
            assert!(bad.parse::<Destination>().is_err(), "{bad}");
        }
    }
}
