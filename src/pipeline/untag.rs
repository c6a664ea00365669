//! Decides how one tag goes that was not there before: by the place's own call, or with a throw-away manifest.
//! Must never take anything along that another tag names, call a tag gone that was not looked for, or leave junk under one.

use crate::{
    error::{Error, Kind, Result},
    model::{
        manifest::RawManifest,
        reference::{Reference, Tag},
        retention::{Deleted, EMPTY, Refusal, ThrowAway},
    },
    target::Target,
};

/// Takes a tag away that names this list; false where it names something else by now, and is left alone.
///
/// # Errors
/// The tag is there still, or may be: it names the list again where that could be done.
pub(super) async fn remove(target: &dyn Target, tag: &Tag, list: &RawManifest) -> Result<bool> {
    let reference = Reference::Tag(tag.clone());
    let throw_away = ThrowAway::of(target.repository(), tag, list.digest())
        .ok_or_else(|| stays(target, tag, "no manifest can be made that would go with it"))?;
    let now = target.named(&reference, list.digest()).await?;
    let left_by_a_killed_run = now == Some(throw_away.manifest().digest());
    if now.is_some() && now != Some(list.digest()) && !left_by_a_killed_run {
        return Ok(false);
    }
    let mut touched = left_by_a_killed_run;
    let work = async {
        if now.is_none() {
            return is_gone(target, tag).await;
        }
        if target.remove_tag(tag).await? && target.is_gone(tag).await? {
            return Ok(());
        }
        // A tag is not even touched where that would come to nothing.
        if let Some(refusal) = target.keeps(tag).await? {
            return Err(refused(target, tag, &refusal));
        }
        if !left_by_a_killed_run {
            target.put_bytes(EMPTY).await?;
            touched = true;
            let manifest = throw_away.manifest();
            target.put_manifest(&reference, manifest).await?;
        }
        match target.delete(&throw_away.deletion()).await? {
            Deleted::Refused(refusal) => Err(refused(target, tag, &refusal)),
            Deleted::Now | Deleted::Before => is_gone(target, tag).await,
        }
    };
    match work.await {
        Ok(()) => Ok(true),
        Err(error) if touched => Err(give_back(target, &reference, list, &throw_away, error).await),
        Err(error) => Err(error),
    }
}

async fn is_gone(target: &dyn Target, tag: &Tag) -> Result<()> {
    if target.is_gone(tag).await? {
        return Ok(());
    }
    Err(stays(target, tag, "it is still there"))
}

/// The tag names the list again where it names the throw-away manifest, which then goes by itself if it can.
async fn give_back(
    target: &dyn Target,
    reference: &Reference,
    list: &RawManifest,
    throw_away: &ThrowAway,
    mut error: Error,
) -> Error {
    let ours = throw_away.manifest().digest();
    let back = match target.named(reference, ours).await {
        Ok(Some(now)) if now == ours => target.put_manifest(reference, list).await,
        other => other.map(drop),
    };
    match back {
        // What stays of it has no tag, and nobody misses it.
        Ok(()) => drop(target.delete(&throw_away.deletion()).await),
        Err(fault) => {
            let under = format!("; an empty manifest of rpub's, {ours}, may be under it: ");
            error.what.extend([under, fault.what()]);
        }
    }
    error
}

/// A place does not delete, and says why.
fn refused(target: &dyn Target, tag: &Tag, refusal: &Refusal) -> Error {
    let kind = match refusal {
        Refusal::NotPermitted | Refusal::NotLoggedIn => Kind::Permission,
        _ => Kind::Registry,
    };
    let repository = target.repository();
    let place = repository.at(&tag.clone().into());
    let what = format!("the tag cannot be removed: {refusal}");
    Error::new(
        kind,
        what,
        place,
        refusal.remedy_for_tag(&repository.to_string()),
    )
}

/// A tag is there that should be gone.
fn stays(target: &dyn Target, tag: &Tag, why: &str) -> Error {
    let place = target.repository().at(&tag.clone().into());
    let what = format!("the tag was not removed: {why}");
    Error::new(
        Kind::Registry,
        what,
        place,
        "see what else writes to this repository",
    )
}
