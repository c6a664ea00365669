//! Decides what a finished release says of itself, as data.
//! Must never claim what was not read back.

use super::{digest::Digest, plan::Child, platform::Platform, pruned::Pruned};
use schemars::JsonSchema;
use serde::Serialize;

/// What was published; `--format json` of `release`, `assemble` and `verify`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "rpub report", deny_unknown_fields)]
pub struct Report {
    /// The version of this document's form.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// The full ref.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// The version without its `v`; null for other refs.
    pub version: Option<String>,
    /// The commit id.
    pub revision: Option<String>,
    /// podman's version; null where none was needed.
    pub podman: Option<String>,
    /// Where the CI run can be looked at; null outside of CI.
    pub run: Option<String>,
    /// One per image.
    pub images: Vec<Published>,
    /// What was superseded, of each repository that was pruned: what of it went, and what stays.
    pub pruned: Vec<Pruned>,
    /// How long each stage took, in order.
    pub stages: Vec<StageTime>,
}

/// One image, as every repository now has it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "image", deny_unknown_fields)]
pub struct Published {
    /// Its name in rpub.toml.
    pub name: String,
    /// The digest of its manifest list, equal on every repository.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// The tags that name it.
    pub tags: Vec<String>,
    /// Where it is.
    pub repositories: Vec<String>,
    /// Ready to pull: every repository by every tag.
    pub references: Vec<String>,
    /// Its children.
    pub platforms: Vec<PlatformReport>,
}

/// One child of a list.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "platform", deny_unknown_fields)]
pub struct PlatformReport {
    /// `os/arch[/variant]`.
    #[schemars(with = "String")]
    pub platform: Platform,
    /// Its manifest's digest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// The compressed size of what is pulled, config and layers, in bytes.
    pub size: u64,
}

/// One stage's time.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "stage", deny_unknown_fields)]
pub struct StageTime {
    /// The stage's name.
    pub name: String,
    /// Wall-clock seconds.
    pub seconds: f64,
}

impl From<&Child> for PlatformReport {
    fn from(child: &Child) -> Self {
        PlatformReport {
            platform: child.platform.clone(),
            digest: child.digest,
            size: child.size,
        }
    }
}

/// One image that `rpub build` left in podman's storage.
#[derive(Debug, Serialize)]
pub struct BuiltDocument {
    /// Its name in rpub.toml.
    pub name: String,
    /// What it runs on.
    pub platform: String,
    /// podman's id.
    pub id: String,
    /// Its name in podman's storage.
    pub reference: String,
}

/// Where `rpub serve` listens and what it has.
#[derive(Debug, Serialize)]
pub struct ServingDocument {
    /// `127.0.0.1:5000`.
    pub address: String,
    /// What can be pulled: `127.0.0.1:5000/app:1.2.3`.
    pub references: Vec<String>,
}
