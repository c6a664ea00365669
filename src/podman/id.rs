//! Decides what the id of an image in podman's storage is.
//! Must never be taken for the digest of a manifest.

use crate::model::digest::Digest;
use std::fmt;

/// An image's id in podman's storage: 64 hex digits, the digest of its config. It is not the digest of any registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(String, Digest);

impl ImageId {
    /// The id as podman prints it; `None` where the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let digest = format!("sha256:{text}").parse().ok()?;
        Some(ImageId(text.to_owned(), digest))
    }

    /// The digest of the image's config.
    pub fn digest(&self) -> Digest {
        self.1
    }

    /// 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
