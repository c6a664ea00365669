//! Decides to which API beside a registry that registry's login may go, where a file of the repository names one.
//! Must never take a file's word for an origin that the registry's own host does not vouch for.

use super::reference::{BadName, Host};
use super::spec::Service;
use std::{fmt, str::FromStr};

/// Why a text is no address of an API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadApi {
    /// It has no scheme that rpub speaks.
    #[error(
        "{0:?} is no address of an API: it begins with https:// (http:// on this machine only)"
    )]
    Scheme(String),
    /// What stands behind the scheme is no host.
    #[error(transparent)]
    Host(#[from] BadName),
    /// `--registry-api` without its `=`.
    #[error("{0:?} names no registry: write HOST=URL")]
    NoRegistry(String),
}

/// Why a login does not go where a file says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Everybody knows where this service's API and certificates are.
    #[error("{0} has its API and its certificates at their usual places: a file names no others")]
    WellKnown(Host),
    /// The service has its API elsewhere than its registry.
    #[error("the login for {host} would go to {api}, which is not of that host")]
    Elsewhere {
        /// The registry.
        host: Host,
        /// Where its login would have gone.
        api: ApiAddress,
    },
    /// A service's usual API is for that service's own registry.
    #[error("the login for {0} would go to the API of another host's service")]
    ForeignService(Host),
}

/// Where a service's own API is: `https://github.example.com/api/v3`. Plain HTTP only on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiAddress {
    text: String,
    host: Host,
    secure: bool,
}

impl ApiAddress {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ApiAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ApiAddress {
    type Err = BadApi;

    fn from_str(text: &str) -> Result<Self, BadApi> {
        let scheme = || BadApi::Scheme(text.chars().take(200).collect());
        let (secure, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://").ok_or_else(scheme)?),
        };
        // A host of the model has no @, no backslash and no white space: no URL parser finds another one here.
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host: Host = rest[..end].parse()?;
        if !secure && !host.is_loopback() {
            return Err(scheme());
        }
        Ok(ApiAddress {
            text: text.to_owned(),
            host,
            secure,
        })
    }
}

/// The API of one registry, as the command line names it: `HOST=URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryApi {
    /// The registry.
    pub host: Host,
    /// Its API.
    pub api: ApiAddress,
}

impl FromStr for RegistryApi {
    type Err = BadApi;

    fn from_str(text: &str) -> Result<Self, BadApi> {
        let (host, api) = text
            .split_once('=')
            .ok_or_else(|| BadApi::NoRegistry(text.chars().take(200).collect()))?;
        Ok(RegistryApi {
            host: host.parse()?,
            api: api.parse()?,
        })
    }
}

/// Whether what a file says of a registry lets its login go to no origin but the registry's own.
///
/// `api` is the file's; `insecure` says that the registry speaks plain HTTP.
///
/// # Errors
/// It would go elsewhere.
pub fn check(
    host: &Host,
    insecure: bool,
    service: Service,
    api: Option<&ApiAddress>,
) -> Result<(), Refused> {
    let foreign = || Err(Refused::ForeignService(host.clone()));
    if is_well_known(host) {
        return match api {
            Some(_) => Err(Refused::WellKnown(host.clone())),
            None if service != Service::Plain && service != Service::of(host) => foreign(),
            None => Ok(()),
        };
    }
    match api {
        None if service != Service::Plain => foreign(),
        None => Ok(()),
        Some(api) if is_of(host, insecure, api) => Ok(()),
        Some(api) => Err(Refused::Elsewhere {
            host: host.clone(),
            api: api.clone(),
        }),
    }
}

/// Whether a registry is one of those whose API and certificates everybody knows, under any of its names.
pub fn is_well_known(host: &Host) -> bool {
    let (name, _) = parts(host);
    let name = name.trim_end_matches('.');
    ["ghcr.io", "docker.io"]
        .iter()
        .any(|known| name == *known || name.ends_with(&format!(".{known}")))
}

/// The same host, or a name in its domain or above: who has a domain decides about all names in it.
fn is_of(host: &Host, insecure: bool, api: &ApiAddress) -> bool {
    let port = |host: &Host, secure| {
        let usual = if secure { 443 } else { 80 };
        parts(host).1.unwrap_or(usual)
    };
    let own_port = port(&api.host, api.secure) == port(host, !insecure);
    let usual_port = api.secure && port(&api.host, true) == 443;
    let (one, other) = (parts(host).0, parts(&api.host).0);
    (own_port || usual_port) && (one == other || within(one, other) || within(other, one))
}

/// `a.example.org` is within `example.org`. Addresses, and names without a dot, are within nothing.
fn within(inner: &str, outer: &str) -> bool {
    let last = outer.rsplit('.').next().unwrap_or_default();
    // What ends with a number is an address, in one of its many forms.
    let is_name = last.starts_with(|c: char| c.is_ascii_alphabetic());
    let has_domain = outer.split('.').filter(|part| !part.is_empty()).count() > 1;
    let before = inner
        .strip_suffix(outer)
        .and_then(|before| before.strip_suffix('.'));
    is_name && has_domain && before.is_some_and(|before| !before.is_empty())
}

/// A host's name, and its port where it has one.
fn parts(host: &Host) -> (&str, Option<u16>) {
    let text = host.as_str();
    match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(host: &str, service: Service, api: Option<&str>) -> Result<(), Refused> {
        let host: Host = host.parse().unwrap();
        let api = api.map(|api| api.parse().unwrap());
        check(&host, host.is_loopback(), service, api.as_ref())
    }

    #[test]
    fn a_login_goes_to_its_own_host_or_within_its_domain() {
        for (host, api) in [
            (
                "containers.github.example.com",
                "https://github.example.com/api/v3",
            ),
            ("github.example.com", "https://api.github.example.com"),
            ("hub.example.com", "https://hub.example.com"),
            ("hub.example.com:8443", "https://hub.example.com:8443/x"),
            ("hub.example.com:8443", "https://hub.example.com"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/api"),
            ("[::1]:5000", "http://[::1]:5000"),
        ] {
            assert_eq!(
                checked(host, Service::Ghcr, Some(api)),
                Ok(()),
                "{host} {api}"
            );
        }
        for (host, api) in [
            ("registry.example.com", "https://evil.test"),
            ("registry.example.com", "https://other.example.com"),
            ("registry.example.com", "https://evilregistry.example.com"),
            (
                "registry.example.com",
                "https://registry.example.com.evil.test",
            ),
            ("registry.example.com", "https://registry.example.com:8443"),
            ("registry.example.com", "https://com"),
            ("0.0.1", "https://10.0.0.1"),
            ("10.0.0.1", "https://0.0.1"),
            ("10.0.0.1:5000", "https://10.0.0.1:5001"),
            ("127.0.0.1:5000", "http://127.0.0.1:5001"),
            ("127.0.0.1:5000", "http://localhost:5000"),
            ("127.0.0.1:5000", "http://127.0.0.1"),
            ("[::1]:5000", "http://[::1]:5001"),
            ("localhost:5000", "https://a.localhost:5000"),
        ] {
            let refused = checked(host, Service::DockerHub, Some(api)).unwrap_err();
            assert!(matches!(refused, Refused::Elsewhere { .. }), "{host} {api}");
        }
    }

    #[test]
    fn the_well_known_have_their_own_apis_and_nobody_else_has_those() {
        for host in [
            "ghcr.io",
            "ghcr.io:443",
            "ghcr.io.",
            "docker.io",
            "index.docker.io",
            "registry-1.docker.io",
            "registry-1.docker.io:443",
        ] {
            for api in ["https://ghcr.io", "https://docker.io", "https://evil.test"] {
                let refused = checked(host, Service::Ghcr, Some(api)).unwrap_err();
                assert!(matches!(refused, Refused::WellKnown(_)), "{host} {api}");
            }
        }
        for (host, own) in [
            ("ghcr.io", Service::Ghcr),
            ("docker.io", Service::DockerHub),
        ] {
            for service in [Service::Ghcr, Service::DockerHub, Service::Plain] {
                let good = service == own || service == Service::Plain;
                assert_eq!(
                    checked(host, service, None).is_ok(),
                    good,
                    "{host} {service:?}"
                );
            }
        }
        for service in [Service::Ghcr, Service::DockerHub] {
            assert!(checked("registry.example.com", service, None).is_err());
        }
        assert!(checked("registry.example.com", Service::Plain, None).is_ok());
    }

    #[test]
    fn an_address_is_https_and_nothing_hides_its_host() {
        for bad in [
            "evil.test",
            "http://evil.test",
            "ftp://evil.test",
            "https://ghcr.io@evil.test",
            "https://ghcr.io\\@evil.test",
            "https:///evil.test",
            "https:/evil.test",
            "https://ghcr.io:443@evil.test/",
            "https://EVIL.test",
            "https://evil .test",
            "ht\ntps://evil.test",
            "",
        ] {
            assert!(bad.parse::<ApiAddress>().is_err(), "{bad:?}");
        }
        let typed: RegistryApi = "127.0.0.1:5000=http://127.0.0.1:5001/api?x=y"
            .parse()
            .unwrap();
        assert_eq!(typed.host.as_str(), "127.0.0.1:5000");
        assert_eq!(typed.api.as_str(), "http://127.0.0.1:5001/api?x=y");
        assert!("ghcr.io".parse::<RegistryApi>().is_err());
    }
}
