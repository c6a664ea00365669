//! Decides how digest records become manifest lists: by podman's manifest API, through the relay, by digest.
//! Must never accept a missing or double platform, or records of two commits; never write a tag.

use super::{context::Context, push::Dock, scraps::Scraps};
use crate::{
    error::{Error, Kind, Result},
    events::Stage,
    model::{
        manifest::RawManifest,
        plan::{Child, ImagePlan, Plan},
        record::{self, Record},
        reference::{Reference, Tag},
    },
    podman::Engine,
};

/// A manifest list that every target of its image has by digest.
#[derive(Debug, Clone)]
pub struct List {
    /// The list.
    pub manifest: RawManifest,
    /// What it lists, in the plan's order.
    pub children: Vec<Child>,
}

/// One list per image of the plan, in its order.
pub async fn lists(
    context: &Context,
    engine: &Engine,
    dock: &Dock,
    plan: &Plan,
    records: &[Record],
    scraps: &Scraps,
) -> Result<Vec<List>> {
    context.stage(Stage::Assemble);
    let children = check_records(plan, records)?;
    let mut out = Vec::new();
    for (image, children) in plan.images.iter().zip(children) {
        let manifest = one(engine, dock, image, &children, scraps).await?;
        check(image, &manifest, &children)?;
        out.push(List { manifest, children });
    }
    Ok(out)
}

/// For every image of the plan its children, where the records are exactly what the plan needs.
pub fn check_records(plan: &Plan, records: &[Record]) -> Result<Vec<Vec<Child>>> {
    record::children(plan, records).map_err(|error| {
        Error::new(
            Kind::Failed,
            error.to_string(),
            error.file_name(),
            "run rpub push on every machine again, with the same ref, and hand over all of its records",
        )
    })
}

async fn one(
    engine: &Engine,
    dock: &Dock,
    image: &ImagePlan,
    children: &[Child],
    scraps: &Scraps,
) -> Result<RawManifest> {
    let name = scraps.list(image.name());
    // Podman's own tag for it at the relay; it never leaves the relay.
    let tag: Tag = Tag::latest();
    let work = async {
        engine.manifest_create(&name).await?;
        for child in children {
            let reference = Reference::Digest(child.digest);
            let source = format!("docker://{}", dock.address(image.name(), &reference));
            engine.manifest_add(&name, &source, dock.login()).await?;
        }
        let destination = dock.address(image.name(), &Reference::Tag(tag.clone()));
        engine
            .manifest_push(&name, &destination, dock.login())
            .await
    };
    let pushed = work.await;
    dock.received(image.name(), &tag, pushed)
}

/// The list that came out has exactly the children that went in, each once and for its platform.
fn check(image: &ImagePlan, list: &RawManifest, children: &[Child]) -> Result<()> {
    let wrong = |what: String| {
        Err(Error::new(
            Kind::Failed,
            what,
            image.name().to_string(),
            "run it again; if it stays, report it with podman's version",
        ))
    };
    let listed = list.children();
    if listed.len() != children.len() {
        return wrong(format!(
            "podman made a list of {} entries for {} platforms",
            listed.len(),
            children.len()
        ));
    }
    for child in children {
        let entry = listed.iter().find(|entry| entry.digest == child.digest);
        let right = entry
            .and_then(|entry| entry.platform.as_ref())
            .is_some_and(|platform| platform.is(&child.platform));
        if !right {
            return wrong(format!(
                "podman's list does not name {} for {}",
                child.digest, child.platform
            ));
        }
    }
    Ok(())
}
