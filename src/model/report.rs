//! Decides what a finished release says of itself, as data.
//! Must never claim what was not read back.

use super::{digest::Digest, journal::Progress, platform::Platform, pruned::Pruned};
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
    /// What every tag named before and names now, on each repository, in the order in which they moved.
    pub moves: Vec<TagMove>,
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
    /// Those of `repositories` that speak plain HTTP: a pull wants `--tls-verify=false`.
    pub plain_http: Vec<String>,
    /// Ready to pull: every repository by every tag.
    pub references: Vec<String>,
    /// Its children.
    pub platforms: Vec<PlatformReport>,
}

impl Published {
    /// The command that pulls from one of its repositories, up to the reference.
    pub fn pull_from(&self, place: &String) -> &'static str {
        if self.plain_http.contains(place) {
            "podman pull --tls-verify=false"
        } else {
            "podman pull"
        }
    }
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
    /// Its config's digest, which is podman's id of the image.
    #[schemars(with = "String")]
    pub config: Digest,
    /// Its layers, base first.
    pub layers: Vec<LayerReport>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "layer", deny_unknown_fields)]
pub struct LayerReport {
    /// Its digest, compressed.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Its compressed size in bytes.
    pub size: u64,
    /// The step that made it, shortened; null where the image does not say.
    pub created_by: Option<String>,
}

/// One tag on one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "move", deny_unknown_fields)]
pub struct TagMove {
    /// The image's name in rpub.toml.
    pub image: String,
    /// The repository, as users write it.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// What it named before; null where it was not there.
    #[schemars(with = "Option<String>")]
    pub from: Option<Digest>,
    /// What it shall name.
    #[schemars(with = "String")]
    pub to: Digest,
    /// How far that has come.
    pub progress: Progress,
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
