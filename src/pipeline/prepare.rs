//! Decides what is written down before any tag moves: what every target has, and every move that will be made.
//! Must never make anything visible.

use super::publish::Ledger;
use crate::{
    error::{Error, Kind, Result},
    events::{Event, Events},
    model::{
        fault::{Class, Fault},
        journal::{Entry, Journal, Step, Stored, StoredChild},
        manifest::RawManifest,
        moves::{self, Conflict, Found, TagKind},
        plan::Child,
        reference::Tag,
        tags::TagRules,
        version::GitRef,
    },
    target::Target,
};
use futures::future::try_join_all;
use std::sync::Arc;

/// One image, ready to be made visible.
pub struct Ready {
    /// Its name in rpub.toml.
    pub name: String,
    /// Its list, which every target has by digest.
    pub list: RawManifest,
    /// What the list lists.
    pub children: Vec<Child>,
    /// Their manifests, in the same order.
    pub manifests: Vec<RawManifest>,
    /// The tags that the plan gives it.
    pub tags: Vec<Tag>,
    /// Where it is published.
    pub targets: Vec<Arc<dyn Target>>,
}

/// What decides about moves beside what the targets have.
pub struct Terms<'a> {
    /// `[tags]` of rpub.toml.
    pub rules: &'a TagRules,
    /// What is released.
    pub git_ref: &'a GitRef,
    /// The commit it is made from.
    pub revision: Option<String>,
    /// Whether version tags may be overwritten.
    pub force: bool,
}

/// Looks what every target has, and writes down every move; nothing is visible after it.
///
/// # Errors
/// [`Kind::Usage`] where a version tag is published with another digest; what targets answer.
pub async fn prepare(
    ready: &[Ready],
    terms: &Terms<'_>,
    ledger: &dyn Ledger,
    events: &Events,
) -> Result<Journal> {
    let mut journal = Journal {
        schema: 1,
        git_ref: terms.git_ref.to_string(),
        revision: terms.revision.clone(),
        images: Vec::new(),
        steps: Vec::new(),
    };
    let looks = ready.iter().map(|image| {
        let targets = image.targets.iter();
        try_join_all(targets.map(|target| look(&**target, &image.tags, events)))
    });
    let seen = try_join_all(looks).await?;
    for (index, (image, seen)) in ready.iter().zip(seen).enumerate() {
        let (found, manifests): (Vec<Found>, Vec<Vec<RawManifest>>) = seen.into_iter().unzip();
        let to = image.list.digest();
        let (rules, git_ref) = (terms.rules, terms.git_ref);
        let decided = moves::decide(rules, git_ref, &image.tags, to, &found, terms.force);
        let decided = decided.map_err(|conflict| refused(image, &conflict))?;
        for left in &decided.left {
            let note = format!(
                "{}: {} stays where it is: {} is newer and published",
                image.name, left.tag, left.newer
            );
            events.send(Event::Note(note));
        }
        for step in &decided.moves {
            let from = step.from.and_then(|digest| {
                let there = manifests.get(step.target)?;
                there.iter().find(|manifest| manifest.digest() == digest)
            });
            journal
                .steps
                .push(Step::new(index, step, from.and_then(Stored::of)));
        }
        journal.images.push(image.entry()?);
    }
    // The order of the release: all version tags of all images, then the floating ones, `latest` of all images last.
    let rank = |step: &Step| match moves::kind(&step.tag, terms.git_ref) {
        TagKind::Version => 0,
        TagKind::Floating | TagKind::Free => 1,
        TagKind::Latest => 2,
    };
    journal.steps.sort_by_key(rank);
    ledger.write(&journal).await?;
    Ok(journal)
}

impl Ready {
    fn entry(&self) -> Result<Entry> {
        let no_text = || {
            Error::new(
                Kind::Failed,
                "one of its manifests is no text",
                self.name.clone(),
                "report this with podman's version",
            )
        };
        let list = Stored::of(&self.list).ok_or_else(no_text)?;
        let stored = |(child, manifest): (&Child, &RawManifest)| {
            Ok(StoredChild {
                platform: child.platform.clone(),
                digest: child.digest,
                size: child.size,
                manifest: Stored::of(manifest).ok_or_else(no_text)?,
            })
        };
        let children = self.children.iter().zip(&self.manifests);
        Ok(Entry {
            name: self.name.clone(),
            repositories: self
                .targets
                .iter()
                .map(|t| t.repository().to_string())
                .collect(),
            list,
            children: children.map(stored).collect::<Result<_>>()?,
        })
    }
}

/// What a target has for the planned tags, with the manifests that they name.
async fn look(
    target: &dyn Target,
    tags: &[Tag],
    events: &Events,
) -> Result<(Found, Vec<RawManifest>), Fault> {
    let list = target.tag_list().await?;
    if let Some(doubt) = list.doubt {
        // It may be the only way that this registry has: who releases there can do nothing about it.
        events.send(Event::Warning(format!(
            "{}: it does not tell whether its list of tags is whole, so a newer version may be missing from it: {}",
            target.repository(),
            doubt.what()
        )));
    }
    let mut found = Found {
        all: list.tags,
        ..Found::default()
    };
    let mut manifests = Vec::new();
    for tag in tags {
        match target.read_manifest(&tag.clone().into()).await? {
            Some(manifest) => {
                found.tags.insert(tag.clone(), manifest.digest());
                manifests.push(manifest);
            }
            // What is believed not to be there is removed by a roll-back.
            None if found.all.contains(tag) => {
                let repository = target.repository();
                let place = repository.at(&tag.clone().into());
                let detail = format!("{tag} is in its list of tags, and cannot be read");
                let host = repository.to_string();
                return Err(Fault::new(Class::Content, host, place, detail));
            }
            None => {}
        }
    }
    Ok((found, manifests))
}

fn refused(image: &Ready, conflict: &Conflict) -> Error {
    let target = image.targets.get(conflict.target);
    let place = target.map_or_else(
        || image.name.clone(),
        |target| target.repository().at(&conflict.tag.clone().into()),
    );
    Error::usage(
        conflict.to_string(),
        place,
        "release a new version; or overwrite it with --force, if nobody has pulled it",
    )
}
