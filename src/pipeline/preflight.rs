//! Decides, before anything is built, whether the targets can be used, and whether there is anything to build.
//! Must never write to a target.

use super::{assemble::List, context::Context, targets::Targets, verify};
use crate::{
    error::{Error, Kind, Result},
    events::Event,
    model::{
        fault::Class,
        moves::{self, TagKind},
        plan::{ImagePlan, Plan},
        reference::Tag,
    },
    target::Target,
};
use futures::future::try_join_all;

/// Whether every target answers, knows us and takes a push, before minutes are spent on building.
///
/// A registry may refuse to show what is not there yet: that alone says nothing.
pub(super) async fn reachable(
    context: &Context,
    targets: &Targets,
    plan: &Plan,
    force: bool,
) -> Result<()> {
    let mut asks = Vec::new();
    for image in &plan.images {
        for target in targets.of(image.name()) {
            asks.push(usable(context, plan, image, &**target, force));
        }
    }
    try_join_all(asks).await?;
    Ok(())
}

async fn usable(
    context: &Context,
    plan: &Plan,
    image: &ImagePlan,
    target: &dyn Target,
    force: bool,
) -> Result<()> {
    let there = match target.tags().await {
        Err(fault) if fault.class == Class::Permission => Vec::new(),
        other => other?,
    };
    target.may_push().await?;
    let immutable = match target.immutable(&image.tags).await {
        Ok(tags) => tags,
        Err(fault) => {
            let what = format!("whether tags are immutable there is not known: {fault}");
            context.events.send(Event::Warning(what));
            return Ok(());
        }
    };
    // A version tag that is there stays as it is anyway.
    let moves = |tag: &&Tag| force || moves::kind(tag, &plan.git_ref) != TagKind::Version;
    let stuck = immutable
        .iter()
        .filter(moves)
        .find(|tag| there.contains(*tag));
    match stuck {
        Some(tag) => Err(Error::usage(
            format!("{tag} is immutable there, and cannot be moved"),
            target.repository().at(&tag.clone().into()),
            "take it out of the repository's immutable tag rules (hub.docker.com, Settings), or out of [tags] in rpub.toml",
        )),
        None => Ok(()),
    }
}

/// The lists of this very version and commit, where every target has them already under every version tag: then there
/// is nothing to build. None for anything but a version of a known commit.
pub(super) async fn released_before(
    context: &Context,
    plan: &Plan,
    targets: &Targets,
) -> Result<Option<Vec<List>>> {
    if plan.revision.is_none() || plan.git_ref.version().is_none() {
        return Ok(None);
    }
    let mut lists = Vec::new();
    for image in &plan.images {
        let own = |tag: &&Tag| moves::kind(tag, &plan.git_ref) == TagKind::Version;
        let own_tags = image.tags.iter().filter(own);
        let list = match verify::agreed(targets.of(image.name()), own_tags).await {
            // As in `reachable`: not ours to see is as good as not there.
            Err(error) if error.kind == Kind::Permission => None,
            other => other?,
        };
        let Some(list) = list else { return Ok(None) };
        // Another commit's, or an incomplete one's: not ours.
        let checked = verify::children(context, targets, image, list.digest()).await;
        let Ok(checked) = checked else {
            return Ok(None);
        };
        lists.push(List {
            manifest: list,
            children: checked.into_iter().map(|one| one.child).collect(),
        });
    }
    Ok(Some(lists))
}
