//! Decides what is written down before a tag moves, and what that says of how to go on or back.
//! Must never hold a secret, nor call a move done that was not read back.

use super::{
    digest::Digest,
    manifest::RawManifest,
    moves::Move,
    plan::{ImagePlan, Plan},
    platform::Platform,
    reference::Tag,
    report::TagMove,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything that one release will make visible; written whole, before each visible change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// The version of this document's form: 1.
    pub schema: u32,
    /// The full ref of the release.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// Its commit.
    pub revision: Option<String>,
    /// Its images, in the plan's order.
    pub images: Vec<Entry>,
    /// Every move, in the order in which they are made.
    pub steps: Vec<Step>,
}

/// One image of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name in rpub.toml.
    pub name: String,
    /// Its repositories, as users write them; a step's `target` counts in this list.
    pub repositories: Vec<String>,
    /// Its manifest list.
    pub list: Stored,
    /// What the list lists.
    pub children: Vec<StoredChild>,
}

/// A manifest, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// Its media type.
    pub media_type: String,
    /// Its digest; checked again when it is read.
    pub digest: Digest,
    /// Its text: manifests are JSON.
    pub text: String,
}

/// A child of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredChild {
    /// The platform it runs on.
    pub platform: Platform,
    /// Its manifest's digest.
    pub digest: Digest,
    /// Its compressed size in bytes.
    pub size: u64,
    /// Its manifest, whole, so that it can be put back where somebody prunes it at the wrong moment.
    pub manifest: Stored,
}

/// How far a step has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "progress")]
pub enum Progress {
    /// Nothing was sent.
    Planned,
    /// It may have been sent.
    Begun,
    /// It was read back.
    Done,
    /// It was taken back.
    Undone,
}

/// One tag on one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The image's place in [`Journal::images`].
    pub image: usize,
    /// The target's place in the image's repositories.
    pub target: usize,
    /// The tag.
    pub tag: Tag,
    /// What it named before, whole, so that it can be put back; none where it was not there.
    pub from: Option<Stored>,
    /// What it shall name.
    pub to: Digest,
    /// How far it has come.
    pub progress: Progress,
}

/// Why a journal cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal is damaged: {0}")]
pub struct BadJournal(String);

impl BadJournal {
    pub(super) fn new(why: &dyn std::fmt::Display) -> Self {
        BadJournal(why.to_string())
    }

    pub(super) fn unknown_schema(schema: u32) -> Self {
        BadJournal(format!("schema {schema} is not known"))
    }

    /// A step names an image or a target that is not there.
    pub fn unknown_image() -> Self {
        BadJournal("a step is on no target".to_owned())
    }
}

impl Stored {
    /// The manifest as it is stored; none where its bytes are no text, which no manifest's are.
    pub fn of(manifest: &RawManifest) -> Option<Self> {
        Some(Stored {
            media_type: manifest.media_type().to_owned(),
            digest: manifest.digest(),
            text: String::from_utf8(manifest.bytes().to_vec()).ok()?,
        })
    }

    /// The manifest again, its digest checked.
    pub fn manifest(&self) -> Result<RawManifest, BadJournal> {
        let manifest = RawManifest::parse(self.text.clone().into_bytes(), &self.media_type)
            .map_err(|error| BadJournal::new(&error))?;
        if manifest.digest() == self.digest {
            Ok(manifest)
        } else {
            Err(BadJournal(format!("{} is not what it holds", self.digest)))
        }
    }
}

impl Journal {
    /// Reads a journal; everything in it that counts somewhere is checked.
    pub fn parse(text: &str) -> Result<Self, BadJournal> {
        let journal: Journal =
            serde_json::from_str(text).map_err(|error| BadJournal::new(&error))?;
        if journal.schema != 1 {
            return Err(BadJournal::unknown_schema(journal.schema));
        }
        for step in &journal.steps {
            let image = journal.images.get(step.image);
            if image.is_none_or(|image| step.target >= image.repositories.len()) {
                return Err(BadJournal::unknown_image());
            }
            if let Some(from) = &step.from {
                from.manifest()?;
            }
        }
        for image in &journal.images {
            image.list.manifest()?;
            for child in &image.children {
                child.manifest.manifest()?;
            }
        }
        Ok(journal)
    }

    /// Whether it is of the same release: the same ref and commit, the same images at the same places.
    pub fn is_of(&self, plan: &Plan) -> bool {
        let same = |(entry, image): (&Entry, &ImagePlan)| {
            let places = image.repositories.iter().map(|(_, r)| r.to_string());
            entry.name == image.name().as_str() && entry.repositories.iter().cloned().eq(places)
        };
        self.git_ref == plan.git_ref.to_string()
            && self.revision == plan.revision.as_ref().map(ToString::to_string)
            && self.images.len() == plan.images.len()
            && self.images.iter().zip(&plan.images).all(same)
    }

    /// The repository of a step, as users write it.
    pub fn place(&self, step: &Step) -> Option<&str> {
        let places = &self.images.get(step.image)?.repositories;
        places.get(step.target).map(String::as_str)
    }

    /// A step as users write it: `ghcr.io/o/app:1.2.3`.
    pub fn name(&self, step: &Step) -> String {
        format!("{}:{}", self.place(step).unwrap_or("?"), step.tag)
    }
}

impl Journal {
    /// Every step, as a report says it.
    pub fn moves(&self) -> Vec<TagMove> {
        let image = |step: &Step| self.images.get(step.image).map(|entry| entry.name.clone());
        let one = |step: &Step| TagMove {
            image: image(step).unwrap_or_default(),
            repository: self.place(step).unwrap_or_default().to_owned(),
            tag: step.tag.to_string(),
            from: step.from.as_ref().map(|from| from.digest),
            to: step.to,
            progress: step.progress,
        };
        self.steps.iter().map(one).collect()
    }
}

/// A release that did not end, as `rpub status` gives it.
#[derive(Debug, Serialize)]
pub struct UnfinishedDocument {
    /// The journal's file.
    pub journal: String,
    /// The full ref.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// Its commit.
    pub revision: Option<String>,
    /// Its moves, in order.
    pub moves: Vec<MoveDocument>,
}

/// One move of a release that did not end.
#[derive(Debug, Serialize)]
pub struct MoveDocument {
    /// `ghcr.io/o/app:1.2.3`.
    pub reference: String,
    /// What it named before; null where it was not there.
    pub from: Option<Digest>,
    /// What it shall name.
    pub to: Digest,
    /// `planned`, `begun`, `done` or `undone`.
    pub progress: Progress,
}

impl Journal {
    /// What `rpub status` says of it; `file` is where it lies.
    pub fn document(&self, file: String) -> UnfinishedDocument {
        let document = |step: &Step| MoveDocument {
            reference: self.name(step),
            from: step.from.as_ref().map(|from| from.digest),
            to: step.to,
            progress: step.progress,
        };
        UnfinishedDocument {
            journal: file,
            git_ref: self.git_ref.clone(),
            revision: self.revision.clone(),
            moves: self.steps.iter().map(document).collect(),
        }
    }
}

impl Step {
    /// The step for a move of an image's tag, `from` being the manifest that it named.
    pub fn new(image: usize, step: &Move, from: Option<Stored>) -> Self {
        Step {
            image,
            target: step.target,
            tag: step.tag.clone(),
            from,
            to: step.to,
            progress: Progress::Planned,
        }
    }
}
