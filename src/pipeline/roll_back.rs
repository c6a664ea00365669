//! Decides how the moves of a release are taken back: last first, each read back, and each that cannot be is named.
//! Must never move a tag that something else has moved since, nor close the journal while a tag of the release is left.

use super::{
    publish::{Ledger, Places, damaged, list_of, move_tag, set, target_of, tell},
    untag,
};
use crate::{
    error::{Error, Kind, Result},
    events::{Event, Events},
    model::{
        journal::{Journal, Progress, Step},
        reference::Reference,
    },
};

/// A tag that is not back.
struct Left {
    /// What has to be done, as a person would say it.
    to_do: String,
    /// Why rpub could not.
    why: Error,
}

/// Takes back every step that may have been made. Answers the tags that were left alone: something else has moved them
/// since, and they are not ours to take back.
///
/// # Errors
/// [`Kind::RollbackIncomplete`], with every tag that is not back, what hindered that, and how to go on; the journal stays.
pub(super) async fn roll_back(
    journal: &mut Journal,
    places: &Places,
    ledger: &dyn Ledger,
    events: &Events,
    cause: Option<&Error>,
) -> Result<Vec<String>> {
    let mut left: Vec<Left> = Vec::new();
    let mut elsewhere: Vec<String> = Vec::new();
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
        match take_back(journal, places, step).await {
            Ok(became) => {
                if became == Progress::Foreign {
                    elsewhere.push(name);
                }
                set(journal, index..index + 1, became);
                note(journal, ledger, events).await;
            }
            Err(why) => {
                events.send(Event::Warning(format!("{name}: {why}")));
                let meant = step.from.as_ref().map(|from| from.digest);
                let to_do = match meant {
                    Some(digest) => format!("let {name} name {digest} again"),
                    None => format!("remove {name}"),
                };
                left.push(Left { to_do, why });
            }
        }
    }
    tell(journal, events);
    if left.is_empty() {
        ledger.close().await?;
        return Ok(elsewhere);
    }
    Err(incomplete(journal, &left, cause))
}

/// What is left, why, and how to go on: what mends the cause first.
fn incomplete(journal: &Journal, left: &[Left], cause: Option<&Error>) -> Error {
    let why = cause.or_else(|| left.first().map(|one| &one.why));
    let why = why.map(|why| why.what.as_str()).unwrap_or_default();
    let what = match cause {
        Some(_) => format!(
            "the roll-back is not complete, {} of {} tags are not back: {why}",
            left.len(),
            journal.steps.len()
        ),
        None => format!(
            "the release of {} did not end, and {} of its tags cannot be taken back: {why}",
            journal.git_ref,
            left.len()
        ),
    };
    let own = cause.filter(|cause| cause.kind != Kind::Interrupted);
    let mut next: Vec<String> = Vec::new();
    for error in own.into_iter().chain(left.iter().map(|one| &one.why)) {
        if !error.hint.is_empty() && !next.contains(&error.hint) {
            next.push(error.hint.clone());
        }
    }
    next.push(format!(
        "then finish that release: {} (or do by hand what stands behind at: and run this again)",
        journal.command()
    ));
    let to_do: Vec<&str> = left.iter().map(|one| one.to_do.as_str()).collect();
    Error {
        causes: why_of(left),
        ..Error::new(
            Kind::RollbackIncomplete,
            what,
            to_do.join("; "),
            next.join("; "),
        )
    }
}

/// What hindered the roll-back, each once.
fn why_of(left: &[Left]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for one in left {
        if !out.contains(&one.why.what) {
            out.push(one.why.what.clone());
        }
    }
    out
}

/// Writes down how far a roll-back has come. Where that fails it goes on: to take back once more does no harm, and tags
/// that disagree do.
async fn note(journal: &Journal, ledger: &dyn Ledger, events: &Events) {
    if let Err(error) = ledger.write(journal).await {
        events.send(Event::Warning(error.to_string()));
    }
}

/// Lets one tag be what it was before, and reads it back; what became of the step.
async fn take_back(journal: &Journal, places: &Places, step: &Step) -> Result<Progress> {
    let target = target_of(places, step)?;
    let Some(from) = &step.from else {
        let list = list_of(journal, step.image)?;
        let removed = untag::remove(&*target, &step.tag, &list).await?;
        return Ok(if removed {
            Progress::Undone
        } else {
            Progress::Foreign
        });
    };
    let reference = Reference::Tag(step.tag.clone());
    let now = target.named(&reference, step.to).await?;
    if now == Some(from.digest) {
        return Ok(Progress::Undone);
    }
    if now != Some(step.to) {
        return Ok(Progress::Foreign);
    }
    let manifest = from.manifest().map_err(|error| damaged(&error))?;
    move_tag(&*target, &step.tag, &manifest, false).await?;
    Ok(Progress::Undone)
}
