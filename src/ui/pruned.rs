//! Decides how it reads what was pruned, and what of it is left for somebody to do.
//! Must never be silent about what stays.

use crate::{
    error::{Error, Kind},
    model::pruned::{Outcome, Pruned},
};
use std::fmt::Write as _;

/// A few lines for each repository.
pub(super) fn text(repositories: &[Pruned]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for one in repositories {
        let _ = writeln!(out, "pruned {}", one.repository);
        for deletion in &one.deletions {
            let what = match deletion.outcome {
                Outcome::Planned => "would go",
                Outcome::Deleted => "deleted",
                Outcome::Unsupported | Outcome::Refused => "stays",
            };
            let short = deletion.digest.short();
            let why = deletion.why.as_ref().unwrap_or(&deletion.reason);
            let _ = writeln!(out, "  {what:<9} {short}  {why}");
        }
        for kept in &one.kept {
            let _ = writeln!(out, "  kept      {}  {}", kept.digest.short(), kept.why);
        }
        for digest in &one.restored {
            let _ = writeln!(out, "  restored  {}", digest.short());
        }
        match &one.ended {
            Some(ended) => {
                let _ = writeln!(out, "  stopped   {}", ended.why);
            }
            None if one.is_idle() => {
                let _ = writeln!(out, "  nothing to prune");
            }
            None => {}
        }
    }
    out
}

/// What is left to do, as an error of exit code 10; none where nothing is.
pub(super) fn incomplete(repositories: &[Pruned]) -> Option<Error> {
    let with = |one: &&Pruned| !one.to_do().is_empty();
    let left: Vec<&Pruned> = repositories.iter().filter(with).collect();
    let (what, next) = left.first()?.to_do().into_iter().next()?;
    let count: usize = left.iter().map(|one| one.to_do().len()).sum();
    let more = match count - 1 {
        0 => String::new(),
        more => format!(" (and {more} more, see above)"),
    };
    Some(Error::new(
        Kind::PruneIncomplete,
        format!("not everything superseded could be removed: {what}{more}"),
        left.first()?.repository.clone(),
        next,
    ))
}
