//! Decides what a release of a ref would do: images, platforms, tags, repositories, labels; all from its arguments.
//! Must never touch the network, the disk or the clock.

use super::{
    digest::Digest,
    platform::Platform,
    reference::{BadName, Reference, Repository, RepositoryName, Tag},
    run::Run,
    spec::{Destination, ImageSpec, Spec},
    tags::NoTag,
    version::{GitRef, Revision},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Which tags a build gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tagging {
    /// Those that the rules give its ref.
    #[default]
    ByRef,
    /// Somebody started it by hand (FR-016): a version is released as ever, any other ref gets the manual tags alone.
    ByHand,
    /// This one and no other; the ref then counts as no version.
    Named(Tag),
}

impl Tagging {
    /// A tag of the user's own choice.
    ///
    /// # Errors
    /// [`NoPlan::Reserved`] for what only a release may name: `latest`, and all that looks like a version.
    pub fn named(text: &str) -> Result<Tagging, NoPlan> {
        let tag: Tag = text.parse().map_err(NoPlan::BadTag)?;
        let version = text.trim_start_matches(['v', 'V']);
        if tag.is_latest() || version.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(NoPlan::Reserved(tag));
        }
        Ok(Tagging::Named(tag))
    }
}

/// What the world says, gathered before anything is decided.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Which tags are asked for.
    pub tagging: Tagging,
    /// What to release.
    pub git_ref: GitRef,
    /// The commit, where there is one.
    pub revision: Option<Revision>,
    /// When the source was made (commit time or `SOURCE_DATE_EPOCH`).
    pub created: jiff::Timestamp,
    /// The web address of the git remote, where there is one.
    pub source: Option<String>,
    /// The CI run that this is, if it is one.
    pub run: Option<Run>,
}

/// What a release would do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is released.
    pub git_ref: GitRef,
    /// The commit it is made from.
    pub revision: Option<Revision>,
    /// When its source was made; what is built is dated to it.
    pub created: jiff::Timestamp,
    /// The CI run that makes it, if it is one.
    pub run: Option<Run>,
    /// One per `[[image]]`, in the file's order.
    pub images: Vec<ImagePlan>,
}

/// What it would do for one image.
#[derive(Debug, Clone)]
pub struct ImagePlan {
    /// What rpub.toml says of it.
    pub spec: ImageSpec,
    /// The tags it gets, `latest` last.
    pub tags: Vec<Tag>,
    /// Where it goes.
    pub repositories: Places,
    /// Its OCI labels.
    pub labels: BTreeMap<String, String>,
}

impl ImagePlan {
    /// The image's name.
    pub fn name(&self) -> &RepositoryName {
        &self.spec.name
    }
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// A tag pattern cannot be filled in.
    #[error(transparent)]
    Tag(#[from] NoTag),
    /// The rules give no tag.
    #[error("the rules give no tag for {0}")]
    NoTags(String),
    /// A repository's name is too long.
    #[error(transparent)]
    Name(#[from] BadName),
    /// No image is called so.
    #[error("there is no image {name:?} in rpub.toml")]
    NoImage {
        /// What was asked for.
        name: String,
        /// The nearest there is.
        nearest: Option<String>,
    },
    /// A tag of the user's own that is none.
    #[error(transparent)]
    BadTag(BadName),
    /// A tag of the user's own that belongs to releases.
    #[error("{0} is a tag that releases give")]
    Reserved(Tag),
    /// Two destinations are one.
    #[error("{0} is named twice")]
    Twice(String),
}

/// OCI's annotation keys, which are label keys too (OCI image-spec, annotations.md).
mod label {
    pub(super) const TITLE: &str = "org.opencontainers.image.title";
    pub(super) const SOURCE: &str = "org.opencontainers.image.source";
    pub(super) const REVISION: &str = "org.opencontainers.image.revision";
    pub(super) const VERSION: &str = "org.opencontainers.image.version";
    pub(super) const CREATED: &str = "org.opencontainers.image.created";
    pub(super) const DESCRIPTION: &str = "org.opencontainers.image.description";
    pub(super) const LICENSES: &str = "org.opencontainers.image.licenses";
}

/// What to do instead, where a label is one that rpub makes; none for all others.
pub fn label_is_made(key: &str) -> Option<&'static str> {
    match key {
        label::TITLE => Some("remove it: the title is the image's name"),
        label::SOURCE => Some("use the key source, above the tables"),
        label::REVISION | label::VERSION | label::CREATED => Some("remove it: rpub asks git"),
        label::DESCRIPTION => Some("use the image's key description"),
        label::LICENSES => Some("use the key licenses, above the tables"),
        _ if key.starts_with("rpub.") => Some("use a name that does not begin with rpub."),
        _ => None,
    }
}

/// Where an image goes: each destination with the image's repository there.
pub type Places = Vec<(Destination, Repository)>;

/// Where each image of rpub.toml goes; `only` names the images wanted, all of them when empty.
pub fn places<'s>(spec: &'s Spec, only: &[String]) -> Result<Vec<(&'s ImageSpec, Places)>, NoPlan> {
    for name in only {
        if !spec.images.iter().any(|image| image.name.as_str() == name) {
            let known = spec.images.iter().map(|image| image.name.as_str());
            return Err(NoPlan::NoImage {
                name: name.clone(),
                nearest: super::nearest::nearest(name, known).map(str::to_owned),
            });
        }
    }
    let wanted =
        |image: &&ImageSpec| only.is_empty() || only.iter().any(|name| image.name.as_str() == name);
    let places = spec.images.iter().filter(wanted).map(|image| {
        let mut places = Places::new();
        for destination in &spec.destinations {
            let repository = destination.repository(&image.name)?;
            if places.iter().any(|(_, known)| *known == repository) {
                return Err(NoPlan::Twice(repository.to_string()));
            }
            places.push((destination.clone(), repository));
        }
        Ok((image, places))
    });
    places.collect()
}

/// The plan for `inputs`; `only` as in [`places`].
pub fn plan(spec: &Spec, inputs: &Inputs, only: &[String]) -> Result<Plan, NoPlan> {
    let places = places(spec, only)?;
    let git_ref = match (&inputs.tagging, &inputs.git_ref) {
        (Tagging::Named(_), GitRef::Version(name, _)) => GitRef::Tag(name.clone()),
        (_, as_it_is) => as_it_is.clone(),
    };
    let revision = inputs.revision.as_ref();
    let tags = match &inputs.tagging {
        Tagging::ByRef => spec.tags.tags(&git_ref, revision)?,
        Tagging::ByHand => spec.tags.by_hand(&git_ref, revision)?,
        Tagging::Named(tag) => vec![tag.clone()],
    };
    if tags.is_empty() {
        return Err(NoPlan::NoTags(git_ref.to_string()));
    }
    let images = places.into_iter().map(|(image, repositories)| ImagePlan {
        spec: image.clone(),
        tags: tags.clone(),
        repositories,
        labels: labels(spec, image, &git_ref, inputs),
    });
    Ok(Plan {
        git_ref: git_ref.clone(),
        revision: inputs.revision.clone(),
        created: inputs.created,
        run: inputs.run.clone(),
        images: images.collect(),
    })
}

fn labels(
    spec: &Spec,
    image: &ImageSpec,
    git_ref: &GitRef,
    inputs: &Inputs,
) -> BTreeMap<String, String> {
    let version = match git_ref.version() {
        Some(version) => version.to_string(),
        None => git_ref.short().to_owned(),
    };
    let made = [
        (label::TITLE, Some(image.name.to_string())),
        (
            label::SOURCE,
            spec.source.clone().or_else(|| inputs.source.clone()),
        ),
        (
            label::REVISION,
            inputs.revision.as_ref().map(ToString::to_string),
        ),
        (label::VERSION, Some(version)),
        (label::CREATED, Some(inputs.created.to_string())),
        (label::DESCRIPTION, image.description.clone()),
        (label::LICENSES, spec.licenses.clone()),
    ];
    let made = made
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let mut labels = image.labels.clone();
    labels.extend(made);
    // One line each: that is all a LABEL can hold.
    for value in labels.values_mut() {
        *value = value.replace(char::is_control, " ");
    }
    labels
}

/// The plan as `--format json` gives it; `schemas/plan.schema.json` is made from this type.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "rpub plan", deny_unknown_fields)]
pub struct PlanDocument {
    /// The version of this document's form.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// The full ref: `refs/tags/v1.2.3`.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// The version without its `v`; null where the ref is no version.
    pub version: Option<String>,
    /// The commit id; null outside a git repository.
    pub revision: Option<String>,
    /// One per image, in the order of rpub.toml.
    pub images: Vec<ImageDocument>,
}

/// One image of a plan.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "image", deny_unknown_fields)]
pub struct ImageDocument {
    /// The image's name in rpub.toml.
    pub name: String,
    /// What is built.
    pub platforms: Vec<PlatformDocument>,
    /// The tags it gets, `latest` last.
    pub tags: Vec<String>,
    /// Where it goes, each ready for `:TAG` to be appended.
    pub repositories: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// One platform of an image.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "platform", deny_unknown_fields)]
pub struct PlatformDocument {
    /// `os/arch[/variant]`.
    pub platform: String,
    /// The Containerfile, relative to rpub.toml.
    pub containerfile: String,
}

impl Plan {
    /// The version text of the plan, without `v`; none for other refs.
    pub fn version(&self) -> Option<String> {
        self.git_ref.version().map(ToString::to_string)
    }

    /// The plan as a document.
    pub fn document(&self) -> PlanDocument {
        let images = self.images.iter().map(|image| ImageDocument {
            name: image.name().to_string(),
            platforms: image
                .spec
                .platforms
                .iter()
                .map(|(platform, containerfile)| PlatformDocument {
                    platform: platform.to_string(),
                    containerfile: containerfile.clone(),
                })
                .collect(),
            tags: image.tags.iter().map(ToString::to_string).collect(),
            repositories: image
                .repositories
                .iter()
                .map(|(_, repository)| repository.to_string())
                .collect(),
            labels: image.labels.clone(),
        });
        PlanDocument {
            schema: 1,
            git_ref: self.git_ref.to_string(),
            version: self.version(),
            revision: self.revision.as_ref().map(ToString::to_string),
            images: images.collect(),
        }
    }
}

/// A child of a published list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The platform it runs on.
    pub platform: Platform,
    /// Its manifest's digest.
    pub digest: Digest,
    /// The manifest's size in bytes.
    pub size: u64,
}

/// How users pull what was published: every repository by every tag.
pub fn pull_references(image: &ImagePlan) -> Vec<String> {
    let (tags, repositories) = (&image.tags, &image.repositories);
    repositories
        .iter()
        .flat_map(|(_, repository)| {
            tags.iter()
                .map(|tag| repository.at(&Reference::Tag(tag.clone())))
        })
        .collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
