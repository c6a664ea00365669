//! Decides what is said of a prune: what went, what stayed, and why, for each repository.
//! Must never call something deleted that was not.

use super::{
    digest::Digest,
    reference::Tag,
    retention::{Deleted, Deletion, Kept, Refusal},
};
use schemars::JsonSchema;
use serde::Serialize;

/// `--format json` of `rpub prune`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "rpub prune", deny_unknown_fields)]
pub struct PruneDocument {
    /// The version of this document's form.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// Whether nothing was deleted, because it was only asked what would be.
    pub dry_run: bool,
    /// One per repository.
    pub repositories: Vec<Pruned>,
}

/// What came of pruning one repository.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[schemars(rename = "pruned", deny_unknown_fields)]
pub struct Pruned {
    /// The repository, as users write it.
    pub repository: String,
    /// What may go, in the order in which it goes.
    pub deletions: Vec<PrunedManifest>,
    /// What of it stays.
    pub kept: Vec<KeptManifest>,
    /// What was put back, because something needs it after all.
    #[schemars(with = "Vec<String>")]
    pub restored: Vec<Digest>,
    /// Why nothing was looked at, or why it ended before its time; null where it went to its end.
    pub ended: Option<Ended>,
}

/// One manifest that may go.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "deletion", deny_unknown_fields)]
pub struct PrunedManifest {
    /// The manifest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Why it goes.
    pub reason: String,
    /// The tags that go with it: `sha256-…` of something that goes.
    pub tags: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it stays, where it was refused.
    pub why: Option<String>,
    /// What to do about that.
    pub next: Option<String>,
}

/// What became of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "outcome")]
pub enum Outcome {
    /// Nothing yet.
    Planned,
    /// It is gone.
    Deleted,
    /// The place keeps it, as it keeps everything: nobody need do anything.
    Unsupported,
    /// The place did not delete it.
    Refused,
}

/// One manifest that stays.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "kept", deny_unknown_fields)]
pub struct KeptManifest {
    /// The manifest.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Why: `1.2.3 still points at it: kept`.
    pub why: String,
}

/// Why a prune did not go to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ended", deny_unknown_fields)]
pub struct Ended {
    /// What is the matter.
    pub why: String,
    /// What to do; null where nobody need do anything.
    pub next: Option<String>,
}

impl Pruned {
    /// Nothing yet, of a repository.
    pub fn of(repository: String) -> Self {
        Pruned {
            repository,
            ..Pruned::default()
        }
    }

    /// Whether there was nothing to prune.
    pub fn is_idle(&self) -> bool {
        let Pruned {
            deletions,
            kept,
            restored,
            ended,
            ..
        } = self;
        deletions.is_empty() && kept.is_empty() && restored.is_empty() && ended.is_none()
    }

    /// What is left for somebody to do: what is the matter, and the remedy.
    pub fn to_do(&self) -> Vec<(String, String)> {
        let refused = self.deletions.iter().filter_map(|one| {
            let digest = one.digest;
            Some((
                format!("{digest}: {}", one.why.as_ref()?),
                one.next.clone()?,
            ))
        });
        let ended = self.ended.iter();
        let ended = ended.filter_map(|ended| Some((ended.why.clone(), ended.next.clone()?)));
        refused.chain(ended).collect()
    }

    /// How many are gone.
    pub fn deleted(&self) -> usize {
        let gone = |one: &&PrunedManifest| one.outcome == Outcome::Deleted;
        self.deletions.iter().filter(gone).count()
    }

    /// Notes what became of a deletion.
    pub fn note(&mut self, deletion: &Deletion, became: Option<&Deleted>) {
        let (outcome, refusal) = match became {
            None => (Outcome::Planned, None),
            Some(Deleted::Now | Deleted::Before) => (Outcome::Deleted, None),
            Some(Deleted::Refused(refusal)) if refusal.is_usual() => {
                (Outcome::Unsupported, Some(refusal))
            }
            Some(Deleted::Refused(refusal)) => (Outcome::Refused, Some(refusal)),
        };
        let digest = deletion.digest();
        let remedy = |refusal: &&Refusal| outcome == Outcome::Refused && !refusal.is_usual();
        self.deletions.retain(|one| one.digest != digest);
        self.deletions.push(PrunedManifest {
            digest,
            reason: deletion.reason().to_string(),
            tags: deletion.tags().iter().map(Tag::to_string).collect(),
            outcome,
            why: refusal.map(ToString::to_string),
            next: refusal
                .filter(remedy)
                .map(|refusal| refusal.remedy(&self.repository, digest)),
        });
    }

    /// Notes what stays.
    pub fn keep(&mut self, kept: &[Kept]) {
        let kept = kept.iter().map(|one| KeptManifest {
            digest: one.digest,
            why: one.to_string(),
        });
        self.kept = kept.collect();
    }
}
