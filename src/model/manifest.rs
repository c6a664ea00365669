//! Decides what a manifest, an index or a config says; reads each as hostile input.
//! Must never re-serialise what it read: digests are of bytes, so the raw bytes travel along unchanged.

use super::{digest::Digest, platform::Platform};
use serde::Deserialize;
use std::collections::BTreeMap;

/// No manifest or index is larger (OCI distribution-spec recommends 4 MiB).
pub const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;
/// No config is larger.
pub const CONFIG_LIMIT: usize = 8 * 1024 * 1024;

/// Media types, by the names their specifications give them.
pub mod media_type {
    /// Docker's image manifest, version 2, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// OCI's image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI's image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// All four, as an Accept header asks for them.
    pub const ALL: &[&str] = &[OCI_INDEX, DOCKER_LIST, DOCKER_MANIFEST, OCI_MANIFEST];
}

/// Why bytes are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a manifest: {0}")]
pub struct BadManifest(String);

/// What points at a blob or manifest (OCI image-spec, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Descriptor {
    /// What it points at is of this type.
    #[serde(rename = "mediaType")]
    pub media_type: String,
    /// … has this digest
    pub digest: Digest,
    /// … and this many bytes.
    pub size: u64,
    /// In an index: what it runs on.
    pub platform: Option<DescriptorPlatform>,
}

/// The platform of an index's entry; hostile, so plain strings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DescriptorPlatform {
    /// `linux`
    pub os: String,
    /// `arm64`
    pub architecture: String,
    /// `v8`
    pub variant: Option<String>,
}

impl DescriptorPlatform {
    /// Whether it is the platform we mean.
    pub fn is(&self, platform: &Platform) -> bool {
        platform.accepts(&self.os, &self.architecture, self.variant.as_deref())
    }
}

impl std::fmt::Display for DescriptorPlatform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// A manifest or an index as its bytes, with what they were found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    bytes: Vec<u8>,
    digest: Digest,
    media_type: String,
    body: Body,
    subject: Option<Digest>,
}

/// What the bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// One image for one platform: a config and layers.
    Image {
        /// The config blob.
        config: Descriptor,
        /// The layers, base first.
        layers: Vec<Descriptor>,
    },
    /// A list: one entry per platform (or attestation).
    Index(Vec<Descriptor>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
}

impl RawManifest {
    /// Reads `bytes`, which came with `content_type` (empty where none did).
    ///
    /// Refuses what is too large, not JSON, of a media type that is not one of [`media_type::ALL`], of a type other
    /// than its own `mediaType` says, or both index and image at once (CVE-2021-41190).
    pub fn parse(bytes: Vec<u8>, content_type: &str) -> Result<Self, BadManifest> {
        let bad = |why: &str| BadManifest(super::fault::one_line(why));
        if bytes.len() > MANIFEST_LIMIT {
            return Err(bad("larger than 4 MiB"));
        }
        let wire: Wire = serde_json::from_slice(&bytes).map_err(|e| bad(&e.to_string()))?;
        if wire.schema_version != 2 {
            return Err(bad("schemaVersion is not 2"));
        }
        let declared = content_type.split(';').next().unwrap_or_default().trim();
        let media_type = match (&wire.media_type, declared) {
            (Some(own), "") => own.clone(),
            (Some(own), declared) if own == declared => own.clone(),
            (Some(own), declared) => {
                return Err(bad(&format!("it says {own} and came as {declared}")));
            }
            (None, declared) => declared.to_owned(),
        };
        let body = match (wire.manifests, wire.config, wire.layers) {
            (Some(manifests), None, None) => Body::Index(manifests),
            (None, Some(config), Some(layers)) => Body::Image { config, layers },
            _ => return Err(bad("neither an image manifest nor an index")),
        };
        let right = match body {
            Body::Index(_) => [media_type::OCI_INDEX, media_type::DOCKER_LIST],
            Body::Image { .. } => [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST],
        };
        if !right.contains(&media_type.as_str()) {
            return Err(bad(&format!(
                "its media type {media_type:?} is not one for what it holds"
            )));
        }
        Ok(RawManifest {
            digest: Digest::of(&bytes),
            bytes,
            media_type,
            body,
            subject: wire.subject.map(|subject| subject.digest),
        })
    }

    /// The bytes, unchanged.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The media type, one of [`media_type::ALL`].
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// What they say.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The manifest that it says it is about: an image for its signature, its SBOM and the like.
    pub fn subject(&self) -> Option<Digest> {
        self.subject
    }

    /// The blobs an image manifest needs, config first; none for an index.
    pub fn blobs(&self) -> Vec<&Descriptor> {
        match &self.body {
            Body::Image { config, layers } => std::iter::once(config).chain(layers).collect(),
            Body::Index(_) => Vec::new(),
        }
    }

    /// The manifests an index lists; none for an image.
    pub fn children(&self) -> &[Descriptor] {
        match &self.body {
            Body::Index(children) => children,
            Body::Image { .. } => &[],
        }
    }
}

/// What of an image's config decides or is told: platform, labels, HEALTHCHECK, history. Docker's and OCI's configs share these names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ImageConfig {
    /// `linux`
    #[serde(default)]
    pub os: String,
    /// `amd64`
    #[serde(default)]
    pub architecture: String,
    /// `v8`
    pub variant: Option<String>,
    /// What runs.
    #[serde(default)]
    pub config: RunConfig,
    /// The steps it was made by, base first.
    #[serde(default)]
    pub history: Option<Vec<Step>>,
}

/// One step of an image's history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Step {
    /// The step, as the builder wrote it.
    #[serde(default)]
    pub created_by: Option<String>,
    /// Whether it made no layer.
    #[serde(default)]
    pub empty_layer: Option<bool>,
}

/// The part of a config that says how to run it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RunConfig {
    /// Labels.
    #[serde(rename = "Labels", default)]
    pub labels: Option<BTreeMap<String, String>>,
    /// HEALTHCHECK: only docker-format configs have it.
    #[serde(rename = "Healthcheck", default)]
    pub healthcheck: Option<Healthcheck>,
}

/// A HEALTHCHECK as Docker writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Healthcheck {
    /// `["CMD-SHELL", "…"]`, `["CMD", …]` or `["NONE"]`.
    #[serde(rename = "Test", default)]
    pub test: Vec<String>,
}

impl ImageConfig {
    /// Reads a config blob.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadManifest> {
        serde_json::from_slice(bytes)
            .map_err(|e| BadManifest(super::fault::one_line(&format!("its config: {e}"))))
    }

    /// Its labels.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.config.labels.clone().unwrap_or_default()
    }

    /// Whether a HEALTHCHECK that checks something is there.
    pub fn has_healthcheck(&self) -> bool {
        self.config
            .healthcheck
            .as_ref()
            .is_some_and(|check| check.test.first().is_some_and(|first| first != "NONE"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(kind: &str) -> String {
        format!(
            r#"{{"mediaType":"{kind}","digest":"{}","size":2}}"#,
            Digest::of(b"{}")
        )
    }

    #[test]
    fn an_image_manifest_is_read_and_keeps_its_bytes() {
        let text = format!(
            r#"{{ "schemaVersion":2, "mediaType":"{}", "config":{}, "layers":[{}] }}"#,
            media_type::DOCKER_MANIFEST,
            descriptor("application/vnd.docker.container.image.v1+json"),
            descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip"),
        );
        let manifest = RawManifest::parse(text.clone().into_bytes(), "").unwrap();
        assert_eq!(manifest.bytes(), text.as_bytes());
        assert_eq!(manifest.digest(), Digest::of(text.as_bytes()));
        assert_eq!(manifest.blobs().len(), 2);
        assert!(manifest.children().is_empty());
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#,
            media_type::OCI_INDEX
        );
        let both = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[],"layers":[],"config":{}}}"#,
            media_type::OCI_INDEX,
            descriptor("x")
        );
        for (text, content_type) in [
            ("<html>", ""),
            ("{}", media_type::OCI_INDEX),
            (index.as_str(), media_type::DOCKER_LIST),
            (both.as_str(), ""),
            (r#"{"schemaVersion":2,"manifests":[]}"#, ""),
            (
                r#"{"schemaVersion":2,"manifests":[]}"#,
                media_type::OCI_MANIFEST,
            ),
            (
                r#"{"schemaVersion":1,"manifests":[]}"#,
                media_type::OCI_INDEX,
            ),
        ] {
            assert!(
                RawManifest::parse(text.as_bytes().to_vec(), content_type).is_err(),
                "{text} as {content_type}"
            );
        }
        assert!(
            RawManifest::parse(
                index.into_bytes(),
                "application/vnd.oci.image.index.v1+json; charset=utf-8"
            )
            .is_ok()
        );
    }

    #[test]
    fn a_healthcheck_of_none_is_none() {
        for (config, expected) in [
            (
                r#"{"config":{"Healthcheck":{"Test":["CMD","/bin/true"]}}}"#,
                true,
            ),
            (r#"{"config":{"Healthcheck":{"Test":["NONE"]}}}"#, false),
            (r#"{"config":{"Labels":null}}"#, false),
            ("{}", false),
        ] {
            assert_eq!(
                ImageConfig::parse(config.as_bytes())
                    .unwrap()
                    .has_healthcheck(),
                expected,
                "{config}"
            );
        }
    }
}
