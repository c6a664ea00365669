//! Decides what stands under a tag for a moment, so that the tag goes when that is deleted: where a registry removes no tag.
//! Must never have the digest of anything that somebody else pushed, nor of another tag's throw-away manifest.

use super::{Deletion, Reason};
use crate::model::{
    digest::Digest,
    manifest::{RawManifest, media_type},
    reference::{Repository, Tag},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Its one blob: OCI's empty descriptor names it (image-spec, "Guidance for an Empty Descriptor").
pub const EMPTY: &[u8] = b"{}";
/// What says that a manifest is one of these.
const KIND: &str = "application/vnd.rpub.throw-away.v1";

/// A manifest of one tag alone: it holds the repository, the tag, and what the release has given the tag. Each run makes
/// the same one, so that the next run knows what a killed one has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThrowAway {
    manifest: RawManifest,
    tag: Tag,
}

impl ThrowAway {
    /// The one for a tag that a release let name `released`; none where its own text could not be read back.
    pub fn of(repository: &Repository, tag: &Tag, released: Digest) -> Option<Self> {
        let empty = json!({
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": Digest::of(EMPTY),
            "size": EMPTY.len(),
        });
        let text = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "artifactType": KIND,
            "config": empty,
            "layers": [empty],
            "annotations": {
                "rpub.repository": repository.to_string(),
                "rpub.tag": tag,
                "rpub.released": released,
            },
        });
        let manifest = RawManifest::parse(text.to_string().into_bytes(), "").ok()?;
        let tag = tag.clone();
        Some(ThrowAway { manifest, tag })
    }

    /// Whether a manifest is one of these, of whatever tag: nobody has published anything there.
    pub fn is_one(manifest: &RawManifest) -> bool {
        let text: Value = serde_json::from_slice(manifest.bytes()).unwrap_or_default();
        text.get("artifactType").and_then(Value::as_str) == Some(KIND)
    }

    /// What is put under the tag.
    pub fn manifest(&self) -> &RawManifest {
        &self.manifest
    }

    /// Its deletion, and with it its tag's. No other tag may name it.
    pub fn deletion(&self) -> Deletion {
        Deletion {
            digest: self.manifest.digest(),
            reason: Reason::ThrowAway,
            tags: BTreeSet::from([self.tag.clone()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reference::Place;

    #[test]
    fn a_throw_away_manifest_is_of_one_tag_alone_and_always_the_same() {
        let repository = |name: &str| Repository {
            place: Place::Registry("ghcr.io".parse().unwrap()),
            name: name.parse().unwrap(),
        };
        let [first, second] = [b"1", b"2"].map(|bytes| Digest::of(bytes));
        let of = |name: &str, tag: &str, released| {
            ThrowAway::of(&repository(name), &tag.parse().unwrap(), released).unwrap()
        };
        let one = of("o/app", "1.2.3", first);
        assert_eq!(one, of("o/app", "1.2.3", first));
        for other in [
            of("o/other", "1.2.3", first),
            of("o/app", "1.2", first),
            of("o/app", "1.2.3", second),
        ] {
            assert_ne!(one.manifest().digest(), other.manifest().digest());
        }
        assert!(ThrowAway::is_one(one.manifest()));
        let parts: BTreeSet<_> = one
            .manifest()
            .blobs()
            .into_iter()
            .collect::<Vec<_>>()
            .iter()
            .map(|part| part.digest)
            .collect();
        assert_eq!(parts, BTreeSet::from([Digest::of(EMPTY)]));
        let deletion = one.deletion();
        assert_eq!(deletion.digest(), one.manifest().digest());
        assert_eq!(deletion.tags().len(), 1);
        assert!(deletion.tags().contains(&"1.2.3".parse().unwrap()));
        let image = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#,
            media_type::OCI_INDEX
        );
        assert!(!ThrowAway::is_one(
            &RawManifest::parse(image.into_bytes(), "").unwrap()
        ));
    }
}
