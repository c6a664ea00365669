//! Decides what becomes of releases that did not end, before another begins: finished, or taken back.
//! Must never take back a release that goes to other places too.

use super::{
    assemble::List,
    context::Context,
    journal::{self, DiskLedger},
    publish, superseded,
    targets::Targets,
    verify,
};
use crate::{
    error::{Error, Result},
    events::Event,
    model::{
        journal::{Entry, Journal, StoredChild},
        plan::{Child, Plan},
        report::Report,
    },
};

/// Deals with the journals of releases that did not end and that share a repository with this one. A report where one of
/// them is this very release, and could be finished.
pub(super) async fn finish(
    context: &Context,
    plan: &Plan,
    targets: &Targets,
    ledger: &DiskLedger,
) -> Result<Option<Report>> {
    let folder = journal::folder(&*context.env)?;
    for (path, mut earlier) in journal::unfinished(&folder)? {
        let names = earlier.images.iter().flat_map(|image| &image.repositories);
        if !names.clone().any(|name| targets.named(name).is_some()) {
            continue;
        }
        let places: Option<Vec<Vec<_>>> = earlier
            .images
            .iter()
            .map(|image| {
                image
                    .repositories
                    .iter()
                    .map(|n| targets.named(n))
                    .collect()
            })
            .collect();
        let Some(places) = places else {
            return Err(Error::usage(
                format!(
                    "an earlier release of {} did not end, and went to other places too",
                    earlier.git_ref
                ),
                path.display().to_string(),
                "run that release again, to the same places (rpub status names them)",
            ));
        };
        let same = earlier.is_of(plan);
        context.events.send(Event::Note(format!(
            "the release of {} did not end: {}",
            earlier.git_ref,
            if same {
                "going on with it"
            } else {
                "taking it back"
            }
        )));
        let (stop, events) = (&context.cancel, &context.events);
        // It lies under another name where the places are named in another order.
        let ledger = if path == ledger.path() {
            ledger
        } else {
            &DiskLedger::at(path)
        };
        targets.no_way_back();
        if publish::recover(&mut earlier, same, &places, ledger, stop, events).await? {
            let lists = lists_of(&earlier)?;
            let published = verify::lists(context, targets, plan, &lists).await?;
            let published = published.into_iter().map(|(image, _)| image).collect();
            let pruned = superseded::after(context, &earlier, targets).await;
            return Ok(Some(Report {
                moves: earlier.moves(),
                pruned,
                ..verify::report(context, plan, None, published)
            }));
        }
    }
    Ok(None)
}

fn lists_of(journal: &Journal) -> Result<Vec<List>> {
    let list = |entry: &Entry| {
        let manifest = entry
            .list
            .manifest()
            .map_err(|error| publish::damaged(&error))?;
        let child = |child: &StoredChild| Child {
            platform: child.platform.clone(),
            digest: child.digest,
            size: child.size,
        };
        Ok(List {
            manifest,
            children: entry.children.iter().map(child).collect(),
        })
    };
    journal.images.iter().map(list).collect()
}
