//! Decides which request of the OCI distribution-spec a path is; names hold slashes, so it is read from the right.
//! Must never let an unchecked piece of a path through: what comes out is parsed, never text.

use crate::model::{
    digest::Digest,
    reference::{BadName, Reference, RepositoryName},
};
use std::fmt;

/// A random number that names an upload; never a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct UploadId(u128);

impl UploadId {
    /// A new one, from the system's random source.
    pub(super) fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(UploadId(u128::from_be_bytes(bytes)))
    }

    fn parse(text: &str) -> Option<Self> {
        // from_str_radix alone would take a sign and upper case: two texts for one upload.
        let plain =
            text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok()?;
        plain.then_some(UploadId(number))
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a path asks for.
#[derive(PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`
    Base,
    /// `/v2/<name>/tags/list`
    Tags(RepositoryName),
    /// `/v2/<name>/manifests/<reference>`
    Manifest(RepositoryName, Reference),
    /// `/v2/<name>/blobs/<digest>`
    Blob(RepositoryName, Digest),
    /// `/v2/<name>/blobs/uploads/`
    Uploads(RepositoryName),
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload(RepositoryName, UploadId),
}

impl Route {
    /// The repository, where the path names one.
    pub(super) fn name(&self) -> Option<&RepositoryName> {
        match self {
            Route::Base => None,
            Route::Tags(name)
            | Route::Manifest(name, _)
            | Route::Blob(name, _)
            | Route::Uploads(name)
            | Route::Upload(name, _) => Some(name),
        }
    }
}

/// Why a path is none of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// The repository's name is not one.
    Name(BadName),
    /// The blob's digest is not one.
    Digest(String),
    /// Neither a tag nor a digest.
    Reference(BadName),
    /// Not an id that the relay hands out.
    Upload,
    /// Nothing that the specification knows.
    Unknown,
}

/// Reads a request's path.
pub(super) fn parse(path: &str) -> Result<Route, NoRoute> {
    // Of all that these paths may hold, only the colon is ever written with a percent sign.
    let path = path.replace("%3A", ":").replace("%3a", ":");
    if path == "/v2" || path == "/v2/" {
        return Ok(Route::Base);
    }
    let rest = path.strip_prefix("/v2/").ok_or(NoRoute::Unknown)?;
    let name = |text: &str| text.parse::<RepositoryName>().map_err(NoRoute::Name);
    if let Some(repository) = rest.strip_suffix("/tags/list") {
        return Ok(Route::Tags(name(repository)?));
    }
    if let Some(repository) = rest
        .strip_suffix("/blobs/uploads/")
        .or_else(|| rest.strip_suffix("/blobs/uploads"))
    {
        return Ok(Route::Uploads(name(repository)?));
    }
    let (before, last) = rest.rsplit_once('/').ok_or(NoRoute::Unknown)?;
    if let Some(repository) = before.strip_suffix("/blobs/uploads") {
        let repository = name(repository)?;
        let id = UploadId::parse(last).ok_or(NoRoute::Upload)?;
        return Ok(Route::Upload(repository, id));
    }
    if let Some(repository) = before.strip_suffix("/blobs") {
        let repository = name(repository)?;
        let digest = last.parse().map_err(|e| NoRoute::Digest(format!("{e}")))?;
        return Ok(Route::Blob(repository, digest));
    }
    if let Some(repository) = before.strip_suffix("/manifests") {
        let repository = name(repository)?;
        let reference = last.parse().map_err(NoRoute::Reference)?;
        return Ok(Route::Manifest(repository, reference));
    }
    Err(NoRoute::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(path: &str) -> String {
        match parse(path) {
            Ok(Route::Base) => "base".to_owned(),
            Ok(Route::Tags(name)) => format!("tags {name}"),
            Ok(Route::Manifest(name, reference)) => format!("manifest {name} {reference}"),
            Ok(Route::Blob(name, digest)) => format!("blob {name} {}", digest.short()),
            Ok(Route::Uploads(name)) => format!("uploads {name}"),
            Ok(Route::Upload(name, id)) => format!("upload {name} {id}"),
            Err(NoRoute::Name(_)) => "bad name".to_owned(),
            Err(NoRoute::Digest(_)) => "bad digest".to_owned(),
            Err(NoRoute::Reference(_)) => "bad reference".to_owned(),
            Err(NoRoute::Upload) => "bad upload".to_owned(),
            Err(NoRoute::Unknown) => "unknown".to_owned(),
        }
    }

    #[test]
    fn relay_paths_are_read_from_the_right() {
        let digest = Digest::of(b"");
        let id = "0123456789abcdef0123456789abcdef";
        for (path, expected) in [
            ("/v2/".to_owned(), "base".to_owned()),
            ("/v2".to_owned(), "base".to_owned()),
            ("/v2/a/tags/list".to_owned(), "tags a".to_owned()),
            (
                "/v2/tags/list/tags/list".to_owned(),
                "tags tags/list".to_owned(),
            ),
            (
                "/v2/a/b/c/manifests/v1".to_owned(),
                "manifest a/b/c v1".to_owned(),
            ),
            (
                "/v2/a/manifests/manifests/v1".to_owned(),
                "manifest a/manifests v1".to_owned(),
            ),
            (
                format!("/v2/a/manifests/{digest}"),
                format!("manifest a {digest}"),
            ),
            (
                format!("/v2/a/blobs/{digest}"),
                "blob a e3b0c44298fc".to_owned(),
            ),
            (
                format!("/v2/a/blobs/sha256%3A{}", digest.hex()),
                "blob a e3b0c44298fc".to_owned(),
            ),
            (
                format!("/v2/a/blobs/uploads/blobs/{digest}"),
                "blob a/blobs/uploads e3b0c44298fc".to_owned(),
            ),
            (
                "/v2/a/b/blobs/uploads/".to_owned(),
                "uploads a/b".to_owned(),
            ),
            ("/v2/a/b/blobs/uploads".to_owned(), "uploads a/b".to_owned()),
            (
                format!("/v2/a/blobs/uploads/{id}"),
                format!("upload a {id}"),
            ),
            (
                format!("/v2/a/blobs/uploads/{}", id.to_uppercase()),
                "bad upload".to_owned(),
            ),
            (
                format!("/v2/a/blobs/uploads/+{}", &id[1..]),
                "bad upload".to_owned(),
            ),
            ("/v2/a/blobs/uploads/..".to_owned(), "bad upload".to_owned()),
            ("/v2/A/tags/list".to_owned(), "bad name".to_owned()),
            ("/v2/../tags/list".to_owned(), "bad name".to_owned()),
            ("/v2//manifests/v1".to_owned(), "bad name".to_owned()),
            ("/v2/a/blobs/sha512:00".to_owned(), "bad digest".to_owned()),
            ("/v2/a/manifests/.x".to_owned(), "bad reference".to_owned()),
            ("/v2/a/manifests/".to_owned(), "bad reference".to_owned()),
            ("/v2/manifests/v1".to_owned(), "unknown".to_owned()),
            ("/v1/".to_owned(), "unknown".to_owned()),
            ("/".to_owned(), "unknown".to_owned()),
        ] {
            assert_eq!(told(&path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn relay_paths_never_panic(path in "/v2/[a-z0-9:%/.+éA-Z]{0,60}") {
            let _ = parse(&path);
        }
    }
}
