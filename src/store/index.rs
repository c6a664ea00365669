//! Decides what a layout's `index.json` says, and what it says after a tag has moved.
//! Must never trust the file, nor lose an entry or a field that it does not know.

use crate::model::{digest::Digest, manifest::RawManifest, reference::Tag};
use serde_json::{Map, Value, json};

/// No index.json is larger.
pub(super) const LIMIT: u64 = 16 * 1024 * 1024;

/// Where a tag is written (OCI image-spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An `index.json`, as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Index {
    fields: Map<String, Value>,
    manifests: Vec<Value>,
}

/// What one entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) digest: Digest,
    pub(super) media_type: String,
}

impl Index {
    /// The index of an empty layout.
    pub(super) fn empty() -> Self {
        let mut fields = Map::new();
        fields.insert("schemaVersion".to_owned(), json!(2));
        Index {
            fields,
            manifests: Vec::new(),
        }
    }

    /// Reads a file's bytes; the error is one line.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let Value::Object(mut fields) = value else {
            return Err("it is not an object".to_owned());
        };
        if fields.get("schemaVersion") != Some(&json!(2)) {
            return Err("its schemaVersion is not 2".to_owned());
        }
        let Some(Value::Array(manifests)) = fields.remove("manifests") else {
            return Err("it has no list of manifests".to_owned());
        };
        Ok(Index { fields, manifests })
    }

    /// The file's bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut fields = self.fields.clone();
        let manifests = Value::Array(self.manifests.clone());
        fields.insert("manifests".to_owned(), manifests);
        Value::Object(fields).to_string().into_bytes()
    }

    /// What a tag names; an entry that names nothing readable is an error.
    pub(super) fn find(&self, tag: &Tag) -> Result<Option<Entry>, String> {
        let Some(entry) = self
            .manifests
            .iter()
            .find(|e| ref_name(e) == Some(tag.as_str()))
        else {
            return Ok(None);
        };
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let digest = text("digest").parse().map_err(|e| format!("{tag}: {e}"))?;
        Ok(Some(Entry {
            digest,
            media_type: text("mediaType").to_owned(),
        }))
    }

    /// All tags, sorted, each once. Entries without one, or whose name is none (`podman save` writes whole references
    /// there), are not ours to show.
    pub(super) fn tags(&self) -> Vec<Tag> {
        let names = self.manifests.iter().filter_map(ref_name);
        let mut tags: Vec<Tag> = names.filter_map(|name| name.parse().ok()).collect();
        tags.sort();
        tags.dedup();
        tags
    }

    /// The tags that name a manifest.
    pub(super) fn tags_of(&self, digest: Digest) -> Vec<Tag> {
        let names = |tag: &Tag| matches!(self.find(tag), Ok(Some(entry)) if entry.digest == digest);
        self.tags().into_iter().filter(names).collect()
    }

    /// Whether there is an entry that no tag of ours finds.
    pub(super) fn has_strangers(&self) -> bool {
        let found = |entry: &Value| {
            let tag: Option<Tag> = ref_name(entry)?.parse().ok();
            self.find(&tag?).ok()?
        };
        self.manifests.iter().any(|entry| found(entry).is_none())
    }

    /// Lets a tag name a manifest, and nothing else any more.
    pub(super) fn tag(&mut self, tag: &Tag, manifest: &RawManifest) {
        self.untag(tag);
        self.manifests.push(json!({
            "mediaType": manifest.media_type(),
            "digest": manifest.digest(),
            "size": manifest.bytes().len(),
            "annotations": { REF_NAME: tag },
        }));
    }

    /// Takes a tag away, be it there or not.
    pub(super) fn untag(&mut self, tag: &Tag) {
        self.manifests.retain(|e| ref_name(e) != Some(tag.as_str()));
    }
}

fn ref_name(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REF_NAME)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::media_type;
    use proptest::prelude::*;

    fn manifest(filler: &str) -> RawManifest {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]{filler}}}"#,
            media_type::OCI_INDEX
        );
        RawManifest::parse(text.into_bytes(), "").unwrap()
    }

    #[test]
    fn store_index_moves_a_tag_and_keeps_what_it_does_not_know() {
        let theirs = r#"{"schemaVersion":2,"x":1,"manifests":[{"digest":"?","y":2},{"annotations":{"org.opencontainers.image.ref.name":"a b"}}]}"#;
        let mut index = Index::parse(theirs.as_bytes()).unwrap();
        let tag: Tag = "v1".parse().unwrap();
        index.tag(&tag, &manifest(""));
        index.tag(&tag, &manifest(" "));
        let again = Index::parse(&index.bytes()).unwrap();
        assert_eq!(again, index);
        assert_eq!(again.tags(), vec![tag.clone()]);
        let entry = again.find(&tag).unwrap().unwrap();
        assert_eq!(entry.digest, manifest(" ").digest());
        assert_eq!(again.manifests.len(), 3);
        assert_eq!(again.fields["x"], json!(1));
        assert_eq!(again.manifests[0]["y"], json!(2));
    }

    #[test]
    fn store_index_refuses_what_is_none() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"schemaVersion":1,"manifests":[]}"#,
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":2,"manifests":{}}"#,
        ] {
            assert!(Index::parse(text.as_bytes()).is_err(), "{text}");
        }
        let hostile = r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:../../x","annotations":{"org.opencontainers.image.ref.name":"v1"}}]}"#;
        let index = Index::parse(hostile.as_bytes()).unwrap();
        assert!(index.find(&"v1".parse().unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn store_index_never_panics(entries in "[\\[\\]{}:,\"a-z0-9]{0,60}") {
            let text = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
            if let Ok(index) = Index::parse(text.as_bytes()) {
                let _ = index.tags();
                let _ = index.find(&Tag::latest());
            }
        }
    }
}
