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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        digest::Digest,
        pruned::{Ended, KeptManifest, PrunedManifest},
    };

    fn deletion(bytes: &[u8], outcome: Outcome, why: Option<&str>) -> PrunedManifest {
        PrunedManifest {
            digest: Digest::of(bytes),
            reason: "latest named it before".to_owned(),
            tags: Vec::new(),
            outcome,
            why: why.map(str::to_owned),
            next: why
                .filter(|_| outcome == Outcome::Refused)
                .map(|_| "do something".to_owned()),
        }
    }

    fn all() -> Vec<Pruned> {
        vec![
            Pruned {
                deletions: vec![
                    deletion(b"1", Outcome::Deleted, None),
                    deletion(b"2", Outcome::Planned, None),
                    deletion(
                        b"3",
                        Outcome::Refused,
                        Some("this account may not delete there"),
                    ),
                ],
                kept: vec![KeptManifest {
                    digest: Digest::of(b"4"),
                    why: "1.2.3 still points at it: kept".to_owned(),
                }],
                restored: vec![Digest::of(b"5")],
                ended: Some(Ended {
                    why: "the registry failed".to_owned(),
                    next: Some("rpub prune".to_owned()),
                }),
                ..Pruned::of("ghcr.io/o/app".to_owned())
            },
            Pruned::of("docker.io/o/app".to_owned()),
        ]
    }

    #[test]
    fn every_part_of_a_prune_is_told() {
        insta::assert_snapshot!(text(&all()));
    }

    #[test]
    fn what_is_left_to_do_is_an_error_of_its_own() {
        assert!(incomplete(&all()[1..]).is_none());
        let usual = Pruned {
            deletions: vec![deletion(
                b"1",
                Outcome::Unsupported,
                Some("it deletes nothing"),
            )],
            ..Pruned::of("127.0.0.1:5000/app".to_owned())
        };
        assert!(incomplete(&[usual]).is_none());
        let error = incomplete(&all()).unwrap();
        assert_eq!(error.kind.exit_code(), 10);
        assert!(
            error.what.ends_with("(and 1 more, see above)"),
            "{}",
            error.what
        );
        assert_eq!(
            (error.place.as_str(), error.hint.as_str()),
            ("ghcr.io/o/app", "do something")
        );
    }
}
