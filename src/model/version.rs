//! Decides what a git ref is, and whether a tag is a version (semver 2.0 with a leading `v`).
//! Must never let a tag that looks like a version and is not one pass as something else (FR-021).

use super::reference::Tag;
use std::fmt;

/// A version that was released as `v<major>.<minor>.<patch>[-pre][+build]`; ordered as semver orders.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

/// Why a tag that looks like a version is not one, and the nearest right one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{tag:?} looks like a version but is not v<major>.<minor>.<patch>: {reason}{}", super::nearest::did_you_mean(.nearest.as_deref()))]
pub struct BadVersion {
    tag: String,
    reason: String,
    /// What was probably meant.
    pub nearest: Option<String>,
}

impl Version {
    /// The version that a git tag names; `None` where it does not look like one.
    ///
    /// A tag looks like a version when it begins with a digit, or with `v` or `V` and a digit.
    pub fn of_git_tag(tag: &str) -> Result<Option<Version>, BadVersion> {
        let bare = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
        if !bare.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(None);
        }
        let bad = |reason: String| BadVersion {
            tag: tag.chars().take(200).collect(),
            reason,
            nearest: nearest(bare),
        };
        if !tag.starts_with('v') {
            return Err(bad("it must begin with a lower-case v".to_owned()));
        }
        let version = semver::Version::parse(bare).map_err(|e| bad(e.to_string()))?;
        let version = Version(version);
        if version.image_tag_text().parse::<Tag>().is_err() {
            return Err(bad("it is too long for an image tag".to_owned()));
        }
        Ok(Some(version))
    }

    /// As an image tag says it: without `v`, and without build metadata (`+` is no character of a tag).
    pub fn image_tag_text(&self) -> String {
        let mut plain = self.0.clone();
        plain.build = semver::BuildMetadata::EMPTY;
        plain.to_string()
    }

    /// Whether it is a pre-release (`-rc.1`): it gets its own tag only, and never moves `latest`.
    pub fn is_prerelease(&self) -> bool {
        !self.0.pre.is_empty()
    }

    /// Major, minor, patch.
    pub fn numbers(&self) -> (u64, u64, u64) {
        (self.0.major, self.0.minor, self.0.patch)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The first three numbers, leading zeros dropped, missing ones zero; kept with a valid pre-release.
fn nearest(bare: &str) -> Option<String> {
    let core_end = bare.find(['-', '+']).unwrap_or(bare.len());
    let (core, rest) = bare.split_at(core_end);
    let mut numbers: Vec<u64> = core
        .split('.')
        .take(3)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    numbers.resize(3, 0);
    let core = format!("{}.{}.{}", numbers[0], numbers[1], numbers[2]);
    [format!("{core}{rest}"), core]
        .into_iter()
        .find(|text| semver::Version::parse(text).is_ok())
        .map(|text| format!("v{text}"))
}

/// A git ref by its kind; only [`GitRef::Version`] makes a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitRef {
    /// `refs/tags/v1.2.3`.
    Version(String, Version),
    /// Another tag: `refs/tags/nightly`.
    Tag(String),
    /// `refs/heads/main`.
    Branch(String),
    /// Anything else: `refs/pull/7/merge`, a commit, `HEAD`.
    Other(String),
}

impl GitRef {
    /// Reads a full ref (`refs/tags/…`, `refs/heads/…`); everything else is [`GitRef::Other`].
    pub fn parse(full: &str) -> Result<GitRef, BadVersion> {
        if let Some(tag) = full.strip_prefix("refs/tags/") {
            return Ok(match Version::of_git_tag(tag)? {
                Some(version) => GitRef::Version(tag.to_owned(), version),
                None => GitRef::Tag(tag.to_owned()),
            });
        }
        Ok(match full.strip_prefix("refs/heads/") {
            Some(branch) => GitRef::Branch(branch.to_owned()),
            None => GitRef::Other(full.to_owned()),
        })
    }

    /// The version, if it is one.
    pub fn version(&self) -> Option<&Version> {
        match self {
            GitRef::Version(_, version) => Some(version),
            _ => None,
        }
    }

    /// The short name: `v1.2.3`, `main`.
    pub fn short(&self) -> &str {
        match self {
            GitRef::Version(name, _)
            | GitRef::Tag(name)
            | GitRef::Branch(name)
            | GitRef::Other(name) => name,
        }
    }
}

impl fmt::Display for GitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GitRef::Version(name, _) | GitRef::Tag(name) => write!(f, "refs/tags/{name}"),
            GitRef::Branch(name) => write!(f, "refs/heads/{name}"),
            GitRef::Other(name) => f.write_str(name),
        }
    }
}

/// A commit id: 40 (or 64) lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision(String);

/// Why a text is not a commit id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a full commit id")]
pub struct BadRevision(String);

impl std::str::FromStr for Revision {
    type Err = BadRevision;

    fn from_str(text: &str) -> Result<Self, BadRevision> {
        let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hex && matches!(text.len(), 40 | 64) {
            Ok(Revision(text.to_owned()))
        } else {
            Err(BadRevision(text.chars().take(100).collect()))
        }
    }
}

impl Revision {
    /// The first 7 digits, as `{{sha}}` gives them.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_version_is_one_or_is_refused_fr_021() {
        for good in ["v1.2.3", "v0.0.0", "v1.2.3-rc.1", "v1.2.3+build.5"] {
            assert!(Version::of_git_tag(good).unwrap().is_some(), "{good}");
        }
        for other in ["nightly", "v", "vendor", "release-1.2.3", ""] {
            assert_eq!(Version::of_git_tag(other), Ok(None), "{other}");
        }
        for (bad, nearest) in [
            ("1.2.3", Some("v1.2.3")),
            ("V1.2.3", Some("v1.2.3")),
            ("v1.2", Some("v1.2.0")),
            ("1.2", Some("v1.2.0")),
            ("v01.2.3", Some("v1.2.3")),
            ("v1.2.3.4", Some("v1.2.3")),
            ("v1.2.3-", Some("v1.2.3")),
            ("v1.2.3-01", Some("v1.2.3")),
            ("v1.2.x", None),
            ("v99999999999999999999.0.0", None),
        ] {
            let error = Version::of_git_tag(bad).unwrap_err();
            assert_eq!(error.nearest.as_deref(), nearest, "{bad}");
        }
    }

    #[test]
    fn a_version_too_long_for_a_tag_is_refused() {
        let long = format!("v1.2.3-{}", "a".repeat(130));
        assert!(Version::of_git_tag(&long).is_err());
    }

    #[test]
    fn refs_have_kinds() {
        assert!(matches!(
            GitRef::parse("refs/tags/v1.2.3"),
            Ok(GitRef::Version(..))
        ));
        assert!(matches!(
            GitRef::parse("refs/tags/nightly"),
            Ok(GitRef::Tag(_))
        ));
        assert!(matches!(
            GitRef::parse("refs/heads/v1.2"),
            Ok(GitRef::Branch(_))
        ));
        assert!(matches!(
            GitRef::parse("refs/pull/7/merge"),
            Ok(GitRef::Other(_))
        ));
        assert_eq!(
            GitRef::parse("refs/heads/a/b").unwrap().to_string(),
            "refs/heads/a/b"
        );
    }
}
