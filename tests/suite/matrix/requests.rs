//! Decides what kind of request one is, and which requests a release makes: what was seen of a dry run, nothing by hand.
//! Must never name a request that no release makes.

use crate::support::proxy::Seen;
use std::{collections::BTreeMap, fmt};

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Endpoint {
    Token,
    Tags,
    Blob,
    Upload,
    Digest,
    Tag,
}

impl Endpoint {
    pub(super) fn of(target: &str) -> Self {
        let path = target.split('?').next().unwrap_or_default();
        if path == "/token" {
            Endpoint::Token
        } else if path.ends_with("/tags/list") {
            Endpoint::Tags
        } else if path.contains("/blobs/uploads/") {
            Endpoint::Upload
        } else if path.contains("/blobs/sha256:") {
            Endpoint::Blob
        } else if path.contains("/manifests/sha256:") {
            Endpoint::Digest
        } else if path.contains("/manifests/") {
            Endpoint::Tag
        } else {
            panic!("what is {target}?")
        }
    }
}

/// A kind of request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) endpoint: Endpoint,
}

impl Request {
    /// Whether a request is of this kind.
    pub(super) fn is(&self, method: &str, target: &str) -> bool {
        self.method == method && self.endpoint == Endpoint::of(target)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.method, self.endpoint)
    }
}

/// How many requests of each kind there were.
pub(super) fn counted(seen: &[Seen]) -> BTreeMap<Request, u32> {
    let mut out = BTreeMap::new();
    for seen in seen {
        let request = Request {
            method: seen.method.clone(),
            endpoint: Endpoint::of(&seen.target),
        };
        *out.entry(request).or_default() += 1;
    }
    out
}
