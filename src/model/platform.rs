//! Decides what a platform is: `os/arch` or `os/arch/variant`, in Go's words (`linux/amd64`).
//! Must never accept a near miss (`linux/x86_64`) silently: it names the right one.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A platform in OCI's words: operating system, architecture, and for some a variant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    os: String,
    arch: String,
    variant: Option<String>,
}

/// Why a text is not a platform, with the nearest right one where there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a platform{}", .nearest.as_ref().map_or_else(|| " (expected os/arch, for example linux/amd64)".to_owned(), |n| format!(": did you mean {n:?}?")))]
pub struct NotAPlatform {
    text: String,
    /// The nearest platform we know.
    pub nearest: Option<String>,
}

/// What people write instead, and what they mean.
const ALIASES: &[(&str, &str)] = &[
    ("amd64", "linux/amd64"),
    ("x86_64", "linux/amd64"),
    ("x86-64", "linux/amd64"),
    ("arm64", "linux/arm64"),
    ("arm64/v8", "linux/arm64"),
    ("aarch64", "linux/arm64"),
    ("armv7", "linux/arm/v7"),
    ("armhf", "linux/arm/v7"),
    ("i386", "linux/386"),
    ("i686", "linux/386"),
];

impl Platform {
    /// The platforms that podman can build Linux images for; GOARCH values and their usual variants.
    pub const KNOWN: &[&str] = &[
        "linux/amd64",
        "linux/arm64",
        "linux/arm/v7",
        "linux/arm/v6",
        "linux/arm/v5",
        "linux/arm",
        "linux/386",
        "linux/ppc64le",
        "linux/s390x",
        "linux/riscv64",
        "linux/loong64",
        "linux/mips64le",
    ];

    /// `linux`.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// `amd64`, `arm64`, …
    pub fn arch(&self) -> &str {
        &self.arch
    }

    /// `v7` for `linux/arm/v7`; none for most.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// The platform that an engine's own words name (Go's `os` and `arch`, as podman info reports them).
    pub fn of_engine(os: &str, arch: &str) -> Result<Self, NotAPlatform> {
        format!("{os}/{arch}").parse()
    }

    /// For file and tag names: `linux-amd64`, `linux-arm-v7`.
    pub fn slug(&self) -> String {
        self.to_string().replace('/', "-")
    }

    /// Whether an image that says it is for `os`/`arch` (and perhaps `variant`) is for this platform.
    ///
    /// A variant is compared only where the platform names one: `linux/arm64` takes an image that says `v8`.
    pub fn accepts(&self, os: &str, arch: &str, variant: Option<&str>) -> bool {
        self.os == os
            && self.arch == arch
            && (self.variant.is_none() || self.variant.as_deref() == variant)
    }
}

impl FromStr for Platform {
    type Err = NotAPlatform;

    fn from_str(text: &str) -> Result<Self, NotAPlatform> {
        if Platform::KNOWN.contains(&text) {
            let mut parts = text.split('/').map(str::to_owned);
            // They have two or three parts each, so the first two are there.
            return Ok(Platform {
                os: parts.next().unwrap_or_default(),
                arch: parts.next().unwrap_or_default(),
                variant: parts.next(),
            });
        }
        let lower = text.to_lowercase();
        let bare = lower.strip_prefix("linux/").unwrap_or(&lower);
        let alias = ALIASES.iter().find(|(alias, _)| *alias == bare);
        let nearest = alias.map(|(_, meant)| (*meant).to_owned()).or_else(|| {
            Platform::KNOWN
                .iter()
                .map(|known| (strsim::damerau_levenshtein(known, &lower), known))
                .filter(|(distance, _)| *distance <= 4)
                .min()
                .map(|(_, known)| (*known).to_owned())
        });
        Err(NotAPlatform {
            text: text.chars().take(100).collect(),
            nearest,
        })
    }
}

impl TryFrom<String> for Platform {
    type Error = NotAPlatform;

    fn try_from(text: String) -> Result<Self, NotAPlatform> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> String {
        platform.to_string()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_platforms_parse_and_print() {
        for known in Platform::KNOWN {
            assert_eq!(known.parse::<Platform>().unwrap().to_string(), *known);
        }
    }

    #[test]
    fn a_near_miss_names_the_right_one() {
        for (text, nearest) in [
            ("linux/x86_64", Some("linux/amd64")),
            ("linux/aarch64", Some("linux/arm64")),
            ("arm64", Some("linux/arm64")),
            ("linux/amd46", Some("linux/amd64")),
            ("linux/arm64/v8", Some("linux/arm64")),
            ("Linux/AMD64", Some("linux/amd64")),
            ("plan9", None),
        ] {
            let error = text.parse::<Platform>().unwrap_err();
            assert_eq!(error.nearest.as_deref(), nearest, "{text}");
        }
    }

    #[test]
    fn a_variant_counts_only_where_it_is_asked_for() {
        let arm64: Platform = "linux/arm64".parse().unwrap();
        assert!(arm64.accepts("linux", "arm64", Some("v8")));
        assert!(!arm64.accepts("linux", "amd64", None));
        let v7: Platform = "linux/arm/v7".parse().unwrap();
        assert!(!v7.accepts("linux", "arm", Some("v6")));
    }
}
