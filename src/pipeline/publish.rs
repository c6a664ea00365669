//! Decides how tags move: each move is written down before it is made and read back after; any failure takes all back.
//! Must never begin before every list is on every target, nor move `latest` before every other tag was read back.

use crate::{
    error::{Error, Kind, Result},
    events::{Event, Events},
    model::{
        digest::Digest,
        journal::{BadJournal, Journal, Progress, Step, StoredChild},
        manifest::RawManifest,
        reference::{Reference, Tag},
        trace::Fact,
    },
    target::Target,
};
use async_trait::async_trait;
use futures::future::{join_all, try_join_all};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long a request that is under way may take to end once the user has asked to stop.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Where a journal is kept. What it was told last survives a crash.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Keeps the journal instead of the one before; returns when it would survive a crash.
    async fn write(&self, journal: &Journal) -> Result<()>;
    /// The journal of a release that did not end, if there is one.
    async fn read(&self) -> Result<Option<Journal>>;
    /// The release has ended, well or taken back.
    async fn close(&self) -> Result<()>;
}

/// The targets of each image, in the journal's order.
pub type Places = [Vec<Arc<dyn Target>>];

/// Makes the moves that are not made yet. Whatever ends it early, a failure or `stop`, takes them all back.
///
/// # Errors
/// [`Kind::RolledBack`] with the cause, or [`Kind::Interrupted`]: every tag names what it named before.
/// [`Kind::RollbackIncomplete`]: a person must do what the hint says; the journal stays.
pub async fn publish(
    journal: &mut Journal,
    places: &Places,
    ledger: &dyn Ledger,
    stop: &CancellationToken,
    events: &Events,
) -> Result<()> {
    tell(journal, events);
    let outcome = forward(journal, places, ledger, stop, events).await;
    tell(journal, events);
    let Err(cause) = outcome else {
        return ledger.close().await;
    };
    events.send(Event::Warning(format!(
        "{cause}: taking back what had moved"
    )));
    let left = roll_back(journal, places, ledger, events).await?;
    let taken_back = if left.is_empty() {
        "every tag names what it named before".to_owned()
    } else {
        format!(
            "tags that were not there before could not be removed: {}",
            left.join(", ")
        )
    };
    if cause.kind == Kind::Interrupted {
        events.send(Event::Note(taken_back));
        return Err(cause);
    }
    Err(Error::new(
        Kind::RolledBack,
        format!("rolled back, {taken_back}: {}", cause.what),
        cause.place,
        cause.hint,
    ))
}

/// All steps of one tag of one image stand together and are made on all targets at once.
async fn forward(
    journal: &mut Journal,
    places: &Places,
    ledger: &dyn Ledger,
    stop: &CancellationToken,
    events: &Events,
) -> Result<()> {
    let mut begin = 0;
    while let Some(first) = journal.steps.get(begin) {
        let (image, tag) = (first.image, first.tag.clone());
        let same = |step: &&Step| step.image == image && step.tag == tag;
        let end = begin + journal.steps.iter().skip(begin).take_while(same).count();
        if stop.is_cancelled() {
            return Err(Error::interrupted());
        }
        let list = list_of(journal, image)?;
        set(journal, begin..end, Progress::Begun);
        ledger.write(journal).await?;
        let moves = (begin..end).map(|index| {
            let one = &journal.steps[index];
            let target = target_of(places, one);
            let list = &list;
            async move {
                let target = target?;
                let already = one.from.as_ref().is_some_and(|from| from.digest == one.to);
                move_tag(&*target, &one.tag, list, already).await?;
                events.send(Event::Tagged {
                    place: target.repository().to_string(),
                    tag: one.tag.to_string(),
                    digest: list.digest(),
                });
                Ok::<_, Error>(())
            }
        });
        // All of them to their end, so that none is under way any more when a failure of one is dealt with; but who has
        // asked to stop does not wait for a registry that is slow to fail.
        let out_of_patience = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        let ended: Vec<Result<()>> = tokio::select! {
            ended = join_all(moves) => ended,
            () = out_of_patience => return Err(Error::interrupted()),
        };
        ended.into_iter().collect::<Result<()>>()?;
        set(journal, begin..end, Progress::Done);
        ledger.write(journal).await?;
        begin = end;
    }
    children_are_there(journal, places, events).await
}

/// Whoever prunes at the same moment may have taken a child that was there before the list that names it now: such a one
/// is put back, from the journal. That one could not be asked for is no reason to take all tags back: all were there.
async fn children_are_there(journal: &Journal, places: &Places, events: &Events) -> Result<()> {
    let mut looks = Vec::new();
    for (entry, targets) in journal.images.iter().zip(places) {
        for child in &entry.children {
            let looks_for = |target| is_there(target, child, events);
            looks.extend(targets.iter().map(|target| looks_for(&**target)));
        }
    }
    try_join_all(looks).await?;
    Ok(())
}

async fn is_there(target: &dyn Target, child: &StoredChild, events: &Events) -> Result<()> {
    let reference = Reference::Digest(child.digest);
    match named(target, &reference, child.digest).await {
        Ok(Some(_)) => return Ok(()),
        Ok(None) => {}
        Err(error) => {
            let place = target.repository().at(&reference);
            let what = format!("whether {place} is still there is not known: {error}");
            events.send(Event::Warning(what));
            return Ok(());
        }
    }
    let manifest = child.manifest.manifest().map_err(|e| damaged(&e))?;
    Ok(target.put_manifest(&reference, &manifest).await?)
}

/// Lets a tag name a manifest, and reads it back; with `already`, only where it does not name it yet.
async fn move_tag(
    target: &dyn Target,
    tag: &Tag,
    manifest: &RawManifest,
    already: bool,
) -> Result<()> {
    let reference = Reference::Tag(tag.clone());
    if already && target.resolve(&reference).await? == Some(manifest.digest()) {
        return Ok(());
    }
    target.put_manifest(&reference, manifest).await?;
    let found = named(target, &reference, manifest.digest()).await?;
    if found == Some(manifest.digest()) {
        return Ok(());
    }
    let names = found.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
    Err(Error::new(
        Kind::Registry,
        format!("{tag} names {names}, not {}", manifest.digest()),
        target.repository().at(&reference),
        "see what else writes to this repository, then run it again",
    ))
}

/// What a reference names, where it should name `meant`. The answer to a HEAD is a header, which a cache or a proxy may have
/// got wrong: what contradicts us is believed only of the manifest itself.
async fn named(
    target: &dyn Target,
    reference: &Reference,
    meant: Digest,
) -> Result<Option<Digest>> {
    if target.resolve(reference).await? == Some(meant) {
        return Ok(Some(meant));
    }
    let manifest = target.read_manifest(reference).await?;
    Ok(manifest.map(|manifest| manifest.digest()))
}

/// Takes back every step that may have been made, last first. Answers the tags that were not there before and that
/// their registry cannot remove.
///
/// A tag that somebody else has moved in between is left alone: it is not ours to take back.
///
/// # Errors
/// [`Kind::RollbackIncomplete`], with what a person must do; the journal stays.
pub async fn roll_back(
    journal: &mut Journal,
    places: &Places,
    ledger: &dyn Ledger,
    events: &Events,
) -> Result<Vec<String>> {
    let mut failed: Vec<String> = Vec::new();
    let mut left: Vec<String> = Vec::new();
    // From now on a tag may name the one or the other, whatever was read back before.
    for step in &mut journal.steps {
        if step.progress == Progress::Done {
            step.progress = Progress::Begun;
        }
    }
    note(journal, ledger, events).await;
    for index in (0..journal.steps.len()).rev() {
        let step = &journal.steps[index];
        if step.progress != Progress::Begun {
            continue;
        }
        let name = journal.name(step);
        match take_back(places, step).await {
            Ok(removed) => {
                if !removed {
                    left.push(name);
                }
                set(journal, index..index + 1, Progress::Undone);
                note(journal, ledger, events).await;
            }
            Err(error) => {
                events.send(Event::Warning(format!("{name}: {error}")));
                let meant = step.from.as_ref().map(|from| from.digest);
                failed.push(match meant {
                    Some(digest) => format!("let {name} name {digest} again"),
                    None => format!("remove {name}"),
                });
            }
        }
    }
    tell(journal, events);
    if failed.is_empty() {
        ledger.close().await?;
        return Ok(left);
    }
    Err(Error::new(
        Kind::RollbackIncomplete,
        "the roll-back is not complete: the registries disagree",
        failed.join("; "),
        "run the same release again when the registry answers (it goes on from the journal), or do by hand what stands above",
    ))
}

/// Says how far every move has come.
fn tell(journal: &Journal, events: &Events) {
    events.send(Event::Fact(Fact::Moves(journal.moves())));
}

/// Writes down how far a roll-back has come. Where that fails it goes on: to take back once more does no harm, and tags
/// that disagree do.
async fn note(journal: &Journal, ledger: &dyn Ledger, events: &Events) {
    if let Err(error) = ledger.write(journal).await {
        events.send(Event::Warning(error.to_string()));
    }
}

/// Puts back what one tag named before; false where it was not there and cannot be removed.
async fn take_back(places: &Places, step: &Step) -> Result<bool> {
    let target = target_of(places, step)?;
    let reference = Reference::Tag(step.tag.clone());
    let now = named(&*target, &reference, step.to).await?;
    let before: Option<Digest> = step.from.as_ref().map(|from| from.digest);
    if now == before || now != Some(step.to) {
        return Ok(true);
    }
    match &step.from {
        Some(from) => {
            let manifest = from.manifest().map_err(|error| damaged(&error))?;
            move_tag(&*target, &step.tag, &manifest, false).await?;
            Ok(true)
        }
        None => Ok(target.remove_tag(&step.tag).await?),
    }
}

pub(super) fn damaged(error: &BadJournal) -> Error {
    Error::new(
        Kind::Failed,
        error.to_string(),
        "the journal",
        "see what rpub status says; remove the journal when the registries are as they should be",
    )
}

fn set(journal: &mut Journal, steps: std::ops::Range<usize>, progress: Progress) {
    for step in journal.steps.iter_mut().take(steps.end).skip(steps.start) {
        step.progress = progress;
    }
}

fn list_of(journal: &Journal, image: usize) -> Result<RawManifest> {
    let entry = journal.images.get(image);
    let unknown = || damaged(&BadJournal::unknown_image());
    entry
        .ok_or_else(unknown)?
        .list
        .manifest()
        .map_err(|error| damaged(&error))
}

fn target_of(places: &Places, step: &Step) -> Result<Arc<dyn Target>> {
    let targets = places.get(step.image);
    let target = targets.and_then(|targets| targets.get(step.target));
    target
        .cloned()
        .ok_or_else(|| damaged(&BadJournal::unknown_image()))
}

/// What to do with the journal of a release that did not end, before a release of `same` or something else begins.
///
/// Of the same release: its lists are on every target still, so the moves go on: true. Of another: it is taken back.
pub async fn recover(
    journal: &mut Journal,
    same: bool,
    places: &Places,
    ledger: &dyn Ledger,
    stop: &CancellationToken,
    events: &Events,
) -> Result<bool> {
    if same && all_there(journal, places).await? {
        publish(journal, places, ledger, stop, events).await?;
        return Ok(true);
    }
    let left = roll_back(journal, places, ledger, events).await?;
    if !left.is_empty() {
        let note = format!("could not be removed: {}", left.join(", "));
        events.send(Event::Warning(note));
    }
    Ok(false)
}

/// Whether every list and every child is on every target.
async fn all_there(journal: &Journal, places: &Places) -> Result<bool> {
    for (entry, targets) in journal.images.iter().zip(places) {
        let children = entry.children.iter().map(|child| child.digest);
        let digests: Vec<Digest> = children.chain([entry.list.digest]).collect();
        for target in targets {
            for digest in &digests {
                if target.resolve(&(*digest).into()).await? != Some(*digest) {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}
