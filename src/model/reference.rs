//! Decides what names are: hosts, repository names, tags, references; made only by parsing.
//! Must never build a name by joining strings that were not checked.

use super::digest::Digest;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}: {reason}")]
pub struct BadName {
    text: String,
    kind: &'static str,
    /// What the rule is.
    pub reason: &'static str,
}

fn bad(text: &str, kind: &'static str, reason: &'static str) -> BadName {
    BadName {
        text: text.chars().take(200).collect(),
        kind,
        reason,
    }
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

checked_text! {
    /// A registry's host, with its port where it has one: `ghcr.io`, `127.0.0.1:5000`, `[::1]:5000`.
    Host
}

impl FromStr for Host {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = |reason| bad(text, "registry host", reason);
        if text.contains("://") {
            return Err(bad("leave out the scheme (https:// is what rpub uses)"));
        }
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']').ok_or_else(|| bad("a ] is missing"))?;
                if name.parse::<core::net::Ipv6Addr>().is_err() {
                    return Err(bad("that is no IPv6 address"));
                }
                (name, port.strip_prefix(':'))
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        if port.is_some_and(|port| port.parse::<u16>().map_or(true, |p| p == 0)) {
            return Err(bad("the port must be a number from 1 to 65535"));
        }
        let plain = name.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b':')
        });
        if name.is_empty() || !plain || name.starts_with(['.', '-']) || name.len() > 253 {
            return Err(bad("use a lower-case host name, such as ghcr.io"));
        }
        Ok(Host(text.to_owned()))
    }
}

impl Host {
    /// Whether it names this machine, so that plain HTTP may be allowed.
    pub fn is_loopback(&self) -> bool {
        let name = match self.0.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.0.split(':').next().unwrap_or_default(),
        };
        name == "localhost"
            || name
                .parse::<core::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// Whether it is Docker Hub, under any of its names.
    pub fn is_docker_hub(&self) -> bool {
        matches!(
            self.as_str(),
            "docker.io" | "index.docker.io" | "registry-1.docker.io"
        )
    }

    /// The host that answers the registry protocol: Docker Hub's is not the one in its names.
    pub fn endpoint(&self) -> &str {
        if self.is_docker_hub() {
            "registry-1.docker.io"
        } else {
            &self.0
        }
    }
}

checked_text! {
    /// A repository's name within its registry: `owner/app`; one or more components, lower case
    /// (OCI distribution-spec, "Pulling manifests").
    RepositoryName
}

fn is_component(part: &str) -> bool {
    let bytes = part.as_bytes();
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends_are_alnum = bytes.first().is_some_and(alnum) && bytes.last().is_some_and(alnum);
    // Separators: one `.`, one or two `_`, any number of `-`.
    let separators_are_right = part
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'));
    ends_are_alnum && separators_are_right
}

impl FromStr for RepositoryName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = |reason| bad(text, "repository name", reason);
        if text.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(bad("registries want lower case"));
        }
        if text.len() > 255 {
            return Err(bad("it is longer than 255 characters"));
        }
        if !text.split('/').all(is_component) {
            return Err(bad(
                "use lower-case letters and digits, joined by . _ __ or -, in parts divided by /",
            ));
        }
        Ok(RepositoryName(text.to_owned()))
    }
}

impl RepositoryName {
    /// `namespace/name`; checked again, because two right parts can be too long together.
    pub fn within(&self, namespace: Option<&RepositoryName>) -> Result<RepositoryName, BadName> {
        match namespace {
            Some(namespace) => format!("{namespace}/{self}").parse(),
            None => Ok(self.clone()),
        }
    }
}

checked_text! {
    /// An image tag: at most 128 of letters, digits, `_`, `.`, `-`, not beginning with `.` or `-`
    /// (OCI distribution-spec).
    Tag
}

impl FromStr for Tag {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = |reason| bad(text, "tag", reason);
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if text.len() > 128 {
            return Err(bad("it is longer than 128 characters"));
        }
        if text.starts_with(['.', '-'])
            || !text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        {
            return Err(bad(
                "use letters, digits, _ . and -, beginning with a letter, a digit or _",
            ));
        }
        Ok(Tag(text.to_owned()))
    }
}

impl Tag {
    /// The tag that moves: `latest`.
    pub fn latest() -> Self {
        Tag("latest".to_owned())
    }

    /// Whether it is `latest`.
    pub fn is_latest(&self) -> bool {
        self.0 == "latest"
    }
}

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// By tag, which can move.
    Tag(Tag),
    /// By digest, which cannot.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.contains(':') {
            text.parse().map(Reference::Digest).map_err(|_| {
                bad(
                    text,
                    "reference",
                    "expected a tag or sha256:<64 hex digits>",
                )
            })
        } else {
            text.parse().map(Reference::Tag)
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Tag(tag) => tag.fmt(f),
            Reference::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Reference::Tag(tag)
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Reference::Digest(digest)
    }
}

/// Where a repository lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A remote registry.
    Registry(Host),
    /// A directory store: the path as the user wrote it.
    Directory(String),
}

/// One repository in one place; printed as users write it: `ghcr.io/owner/app`, `oci:./rpub-out/app`
/// (the latter is what skopeo and podman call it too).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    /// The registry or the directory.
    pub place: Place,
    /// The name within it.
    pub name: RepositoryName,
}

impl Repository {
    /// `REPOSITORY:TAG` or `REPOSITORY@DIGEST`, ready to be pulled.
    pub fn at(&self, reference: &Reference) -> String {
        match reference {
            Reference::Tag(tag) => format!("{self}:{tag}"),
            Reference::Digest(digest) => format!("{self}@{digest}"),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Registry(host) => write!(f, "{host}/{}", self.name),
            Place::Directory(path) => write!(f, "oci:{path}/{}", self.name),
        }
    }
}

impl Serialize for Repository {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts() {
        for good in [
            "ghcr.io",
            "docker.io",
            "localhost:5000",
            "127.0.0.1:5000",
            "[::1]:5000",
            "a-b.c",
        ] {
            assert_eq!(good.parse::<Host>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "https://ghcr.io",
            "ghcr.io/",
            "GHCR.io",
            "a b",
            "h:0",
            "h:70000",
            "h:",
            "[::1",
            "-a",
            "u@h",
            "h?x",
        ] {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (host, expected) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.8.8.8", true),
            ("[::1]:5000", true),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(
                host.parse::<Host>().unwrap().is_loopback(),
                expected,
                "{host}"
            );
        }
    }

    #[test]
    fn repository_names_follow_the_specification() {
        for good in ["a", "owner/app", "a.b/c_d/e__f/g---h", "0/1"] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        for bad in [
            "", "/", "a/", "/a", "a//b", "A/b", "a..b", "a___b", "-a", "a-", "a/../b", "a b", "é",
            "a._b",
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
    }

    proptest! {
        /// The hand-written check and the specification's own regular expression agree.
        #[test]
        fn components_agree_with_the_specifications_expression(text in "[a-c0._/-]{0,12}") {
            let spec = regex::Regex::new(r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$").unwrap();
            prop_assert_eq!(text.parse::<RepositoryName>().is_ok(), spec.is_match(&text));
        }

        #[test]
        fn tags_agree_with_the_specifications_expression(text in "[a-zA-Z0-9_.:/+ -]{0,130}") {
            let spec = regex::Regex::new(r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$").unwrap();
            prop_assert_eq!(text.parse::<Tag>().is_ok(), spec.is_match(&text));
        }
    }
}
