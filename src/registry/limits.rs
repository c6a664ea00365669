//! Decides how much is read of each kind of answer that is no blob, and of a list in all.
//! Must never leave a kind of answer without a bound.

use crate::model::manifest::MANIFEST_LIMIT;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A kind of answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// What went wrong. It is cut there, not refused.
    Error,
    /// A token.
    Token,
    /// One thing of a service's API: an owner, a repository, a version.
    Api,
    /// A page of a service's API: a hundred versions or tags, with all that is known of each.
    ApiPage,
    /// A manifest, or a list in the form of one.
    Manifest,
    /// A page of tags.
    Tags,
}

impl Kind {
    /// The most that is read of it, in bytes.
    pub(super) const fn most(self) -> usize {
        match self {
            Kind::Error => 64 * KIB,
            Kind::Token => 256 * KIB,
            Kind::Api => MIB,
            Kind::ApiPage => 8 * MIB,
            Kind::Manifest | Kind::Tags => MANIFEST_LIMIT,
        }
    }
}

/// What all pages of a list may come to; one that has more is not read to its end, and so counts as unknown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    /// What is listed.
    pub(super) of: &'static str,
    /// How many pages.
    pub(super) pages: usize,
    /// How many different entries.
    pub(super) entries: usize,
    /// How many bytes of all pages.
    pub(super) bytes: usize,
}

/// A repository's tags, by the registry itself.
pub(super) const TAGS: Whole = Whole {
    of: "tags",
    pages: 1000,
    entries: 100_000,
    bytes: 16 * MIB,
};

/// A repository's tags by Docker Hub's API, which describes every image of each.
pub(super) const HUB_TAGS: Whole = Whole {
    bytes: 256 * MIB,
    ..TAGS
};

/// A package's versions by GitHub's API.
pub(super) const VERSIONS: Whole = Whole {
    of: "versions",
    bytes: 256 * MIB,
    ..TAGS
};

/// What is about one manifest.
pub(super) const REFERRERS: Whole = Whole {
    of: "referrers",
    pages: 100,
    entries: 10_000,
    bytes: 16 * MIB,
};
