//! Decides whether what is published is what was meant, by reading all of it back from every target.
//! Must never trust an answer that it did not check against a digest.

use super::{assemble::List, context::Context, targets::Targets};
use crate::{
    error::{Error, Kind, Result},
    events::{Event, Stage},
    model::{
        containerfile,
        digest::Digest,
        history,
        manifest::{Body, CONFIG_LIMIT, ImageConfig, RawManifest},
        plan::{Child, ImagePlan, Plan},
        platform::Platform,
        reference::{Reference, Tag},
        report::{PlatformReport, Published, Report},
        spec::Destination,
        trace::Fact,
    },
    target::Target,
};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use std::sync::Arc;

/// Blobs asked for at once, per target.
const ASKED_AT_ONCE: usize = 8;
/// Images read back at once.
const IMAGES_AT_ONCE: usize = 4;

/// A label that may differ where there is no commit to take the time from.
const CREATED: &str = "org.opencontainers.image.created";

fn wrong(target: &dyn Target, what: String) -> Error {
    Error::new(
        Kind::Registry,
        what,
        target.repository().to_string(),
        "run rpub release again; if it stays, something else writes to this repository",
    )
}

/// Reads every list back by digest from every target, with children, platforms, labels and HEALTHCHECK.
///
/// Answers the children of each image with the compressed sizes that users will pull, and their manifests.
pub async fn lists(
    context: &Context,
    targets: &Targets,
    plan: &Plan,
    lists: &[List],
) -> Result<Vec<(Published, Vec<RawManifest>)>> {
    context.stage(Stage::Verify);
    let reads = plan
        .images
        .iter()
        .zip(lists)
        .map(|(image, list)| async move {
            let digest = list.manifest.digest();
            let checked = children(context, targets, image, digest).await?;
            let manifests = checked.iter().map(|one| one.manifest.clone()).collect();
            let image = published(image, digest, checked);
            context
                .events
                .send(Event::Fact(Fact::Checked(image.clone())));
            Ok((image, manifests))
        });
    stream::iter(reads)
        .buffered(IMAGES_AT_ONCE)
        .try_collect()
        .await
}

/// One child of a list, as it was read back.
pub struct Checked {
    /// What the list says of it, its size as users pull it.
    pub child: Child,
    /// Its manifest.
    pub manifest: RawManifest,
    /// The same for the report.
    pub report: PlatformReport,
}

/// Reads one image's list back by digest from every target; its children.
pub async fn children(
    context: &Context,
    targets: &Targets,
    image: &ImagePlan,
    digest: Digest,
) -> Result<Vec<Checked>> {
    let reads = targets
        .of(image.name())
        .iter()
        .map(|target| one_list(context, &**target, image, digest));
    // Every target gave the same children of the same digests, so the first speaks for all.
    Ok(try_join_all(reads).await?.swap_remove(0))
}

/// The list that all of `tags` name on all of `targets`; none where they do not agree, or one is not there.
pub async fn agreed(
    targets: &[Arc<dyn Target>],
    tags: impl Iterator<Item = &Tag>,
) -> Result<Option<RawManifest>> {
    let mut agreed: Option<Digest> = None;
    for tag in tags {
        for (_, digest) in resolve_everywhere(targets, tag).await? {
            if digest.is_none() || agreed.is_some_and(|other| Some(other) != digest) {
                return Ok(None);
            }
            agreed = digest;
        }
    }
    let (Some(digest), Some(target)) = (agreed, targets.first()) else {
        return Ok(None);
    };
    Ok(target.read_manifest(&digest.into()).await?)
}

async fn resolve_everywhere(
    targets: &[Arc<dyn Target>],
    tag: &Tag,
) -> Result<Vec<(Arc<dyn Target>, Option<Digest>)>> {
    let reference = Reference::Tag(tag.clone());
    let asks = targets.iter().map(|target| async {
        let digest = target.resolve(&reference).await?;
        Ok((Arc::clone(target), digest))
    });
    try_join_all(asks).await
}

/// `rpub verify`: what is published for a plan, whoever published it.
pub async fn published_for(context: &Context, plan: &Plan) -> Result<Report> {
    context.stage(Stage::Verify);
    let targets = Targets::open(context, plan)?;
    let mut images = Vec::new();
    for image in &plan.images {
        let mut agreed: Option<(String, Digest)> = None;
        for tag in &image.tags {
            for (target, digest) in resolve_everywhere(targets.of(image.name()), tag).await? {
                let name = target.repository().at(&tag.clone().into());
                let digest = digest.ok_or_else(|| wrong(&*target, format!("there is no {tag}")))?;
                match &agreed {
                    Some((first, other)) if *other != digest => {
                        let what = format!("{tag} names {digest}, and {first} names {other}");
                        return Err(wrong(&*target, what));
                    }
                    Some(_) => {}
                    None => agreed = Some((name, digest)),
                }
            }
        }
        // A plan has at least one tag, and an image at least one target.
        let Some((_, digest)) = agreed else { continue };
        let checked = children(context, &targets, image, digest).await?;
        images.push(published(image, digest, checked));
    }
    Ok(report(context, plan, None, images))
}

/// The report of what was read back.
pub fn report(
    context: &Context,
    plan: &Plan,
    podman: Option<String>,
    images: Vec<Published>,
) -> Report {
    Report {
        schema: 1,
        git_ref: plan.git_ref.to_string(),
        version: plan.version(),
        revision: plan.revision.as_ref().map(ToString::to_string),
        podman,
        run: plan.run.as_ref().map(|run| run.url.clone()),
        images,
        moves: Vec::new(),
        pruned: Vec::new(),
        stages: context.clock.times(),
    }
}

fn published(image: &ImagePlan, digest: Digest, children: Vec<Checked>) -> Published {
    Published {
        name: image.name().to_string(),
        digest,
        tags: image.tags.iter().map(ToString::to_string).collect(),
        repositories: image
            .repositories
            .iter()
            .map(|(_, repository)| repository.to_string())
            .collect(),
        plain_http: image
            .repositories
            .iter()
            .filter(|(place, _)| matches!(place, Destination::Registry(spec) if spec.insecure))
            .map(|(_, repository)| repository.to_string())
            .collect(),
        references: crate::model::plan::pull_references(image),
        platforms: children.into_iter().map(|one| one.report).collect(),
    }
}

/// Reads one list from one target; its children in the plan's order, sizes as users pull them.
async fn one_list(
    context: &Context,
    target: &dyn Target,
    image: &ImagePlan,
    digest: Digest,
) -> Result<Vec<Checked>> {
    let list = read(target, digest).await?;
    let listed = list.children();
    let wanted = &image.spec.platforms;
    if listed.len() != wanted.len() {
        let what = format!(
            "{digest} lists {} manifests for {} platforms",
            listed.len(),
            wanted.len()
        );
        return Err(wrong(target, what));
    }
    let mut out = Vec::new();
    for (platform, file) in wanted {
        let entry = listed.iter().find(|entry| {
            entry
                .platform
                .as_ref()
                .is_some_and(|listed| listed.is(platform))
        });
        let Some(entry) = entry else {
            return Err(wrong(target, format!("{digest} does not list {platform}")));
        };
        let manifest = read(target, entry.digest).await?;
        let report = check_child(context, target, image, platform, file, &manifest).await?;
        out.push(Checked {
            child: Child {
                platform: platform.clone(),
                digest: entry.digest,
                size: report.size,
            },
            manifest,
            report,
        });
    }
    Ok(out)
}

async fn read(target: &dyn Target, digest: Digest) -> Result<RawManifest> {
    let manifest = target.read_manifest(&digest.into()).await?;
    manifest.ok_or_else(|| wrong(target, format!("{digest} is not there")))
}

/// Checks one child: its blobs are there, its config is for the platform and has the labels and the HEALTHCHECK.
/// Answers what the report says of it.
async fn check_child(
    context: &Context,
    target: &dyn Target,
    image: &ImagePlan,
    platform: &Platform,
    file: &str,
    manifest: &RawManifest,
) -> Result<PlatformReport> {
    let digest = manifest.digest();
    let Body::Image {
        config: about,
        layers,
    } = manifest.body()
    else {
        return Err(wrong(target, format!("{digest} is a list inside a list")));
    };
    let sizes: Vec<u64> = stream::iter(manifest.blobs())
        .map(|blob| async move {
            match target.blob_size(blob.digest).await? {
                Some(size) if size == blob.size => Ok(size),
                Some(size) => {
                    let what = format!("blob {} has {size} bytes, not {}", blob.digest, blob.size);
                    Err(wrong(target, what))
                }
                None => Err(wrong(target, format!("blob {} is not there", blob.digest))),
            }
        })
        .buffered(ASKED_AT_ONCE)
        .try_collect()
        .await?;
    let config = read_config(target, about.digest).await?;
    if !platform.accepts(&config.os, &config.architecture, config.variant.as_deref()) {
        let what = format!(
            "{digest} is for {}/{}, not {platform}",
            config.os, config.architecture
        );
        return Err(wrong(target, what));
    }
    let labels = config.labels();
    for (key, value) in image.labels.iter().filter(|(key, _)| *key != CREATED) {
        if labels.get(key) != Some(value) {
            let has = labels.get(key).map_or("nothing", String::as_str);
            return Err(wrong(
                target,
                format!("{digest}: label {key} is {has:?}, not {value:?}"),
            ));
        }
    }
    // The Containerfile may be gone where another machine built; podman's checks have run there.
    let declared = crate::files::text(&context.path(file))
        .is_ok_and(|text| containerfile::declares_healthcheck(&text, image.spec.target.as_deref()));
    if declared && !config.has_healthcheck() {
        return Err(wrong(target, format!("{digest} has lost its HEALTHCHECK")));
    }
    Ok(PlatformReport {
        platform: platform.clone(),
        digest,
        size: sizes.iter().sum(),
        config: about.digest,
        layers: history::layers(layers, config.history.as_deref().unwrap_or_default()),
    })
}

async fn read_config(target: &dyn Target, digest: Digest) -> Result<ImageConfig> {
    let missing = || wrong(target, format!("config {digest} is not there"));
    let (size, mut stream) = target.read_blob(digest).await?.ok_or_else(missing)?;
    if size > CONFIG_LIMIT as u64 {
        return Err(wrong(
            target,
            format!("config {digest} has {size} bytes: too many"),
        ));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() > CONFIG_LIMIT {
            return Err(wrong(target, format!("config {digest} is too large")));
        }
    }
    if Digest::of(&bytes) != digest {
        return Err(wrong(
            target,
            format!("config {digest} came back as something else"),
        ));
    }
    ImageConfig::parse(&bytes).map_err(|error| wrong(target, format!("{digest}: {error}")))
}
