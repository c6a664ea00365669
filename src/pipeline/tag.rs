//! Decides the order in which tags move: version tags on every target first, `latest` last.
//! Must never begin before every list is on every target, nor be interrupted once it has begun.

use super::{assemble::List, context::Context, targets::Targets};
use crate::{
    error::Result,
    events::{Event, Stage},
    model::{
        plan::{ImagePlan, Plan},
        reference::Tag,
    },
};
use futures::future::try_join_all;

/// Lets every tag of the plan name its list, on every target; `latest` of all images after all other tags.
pub async fn all(context: &Context, targets: &Targets, plan: &Plan, lists: &[List]) -> Result<()> {
    context.stage(Stage::Tag);
    for latest in [false, true] {
        for (image, list) in plan.images.iter().zip(lists) {
            for tag in image.tags.iter().filter(|tag| tag.is_latest() == latest) {
                one(context, targets, image, tag, list).await?;
            }
        }
    }
    Ok(())
}

async fn one(
    context: &Context,
    targets: &Targets,
    image: &ImagePlan,
    tag: &Tag,
    list: &List,
) -> Result<()> {
    let moves = targets.of(image.name()).iter().map(|target| async move {
        target
            .put_manifest(&tag.clone().into(), &list.manifest)
            .await?;
        context.events.send(Event::Tagged {
            place: target.repository().to_string(),
            tag: tag.to_string(),
            digest: list.manifest.digest(),
        });
        Ok(())
    });
    try_join_all(moves).await.map(|_: Vec<()>| ())
}
