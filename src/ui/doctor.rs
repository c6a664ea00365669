//! Decides how a diagnosis reads: well in a line each, what is wrong with why and what mends it.
//! Must never leave out what the JSON has.

use crate::{
    error::{Error, Kind},
    model::doctor::{Area, Diagnosis, Severity, Trouble},
};
use std::fmt::Write as _;

/// A table, grouped by area.
pub(super) fn text(diagnosis: &Diagnosis) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for fix in &diagnosis.fixed {
        let outcome = fix.failure.as_deref().unwrap_or("done");
        let _ = writeln!(out, "fixed {}: {}: {outcome}", fix.check, fix.command);
    }
    for area in Area::ALL {
        let mut of_area = diagnosis
            .findings
            .iter()
            .filter(|f| f.area == area)
            .peekable();
        if of_area.peek().is_some() {
            let _ = writeln!(out, "{}", area.name());
        }
        for finding in of_area {
            let severity = finding.severity.name();
            let _ = writeln!(
                out,
                "  {severity:<8} {:<20} {}",
                finding.check, finding.found
            );
            if !finding.why.is_empty() {
                let _ = writeln!(out, "  {:<8} why:  {}", "", finding.why);
            }
            if let Some(remedy) = &finding.remedy {
                let by = if remedy.harmless {
                    "  (or: rpub doctor --fix)"
                } else {
                    ""
                };
                let _ = writeln!(out, "  {:<8} mend: {}{by}", "", remedy.typed());
            }
        }
    }
    let count = |severity| {
        diagnosis
            .findings
            .iter()
            .filter(|f| f.severity == severity)
            .count()
    };
    let _ = match (count(Severity::Broken), count(Severity::Warning)) {
        (0, 0) => writeln!(out, "all is well"),
        (0, warnings) => writeln!(out, "nothing is broken; warnings: {warnings}"),
        (broken, warnings) => writeln!(out, "broken: {broken}; warnings: {warnings}"),
    };
    out
}

/// The exit code that a release would end with, as an error; none where nothing is broken.
pub(super) fn broken(diagnosis: &Diagnosis) -> Option<Error> {
    let (trouble, finding) = diagnosis.trouble()?;
    let kind = match trouble {
        Trouble::Project => Kind::Usage,
        Trouble::Engine => Kind::Engine,
        Trouble::Permission => Kind::Permission,
        Trouble::Registry => Kind::Registry,
    };
    let next = match &finding.remedy {
        Some(remedy) => format!("{} and then rpub doctor again", remedy.typed()),
        None => finding.why.clone(),
    };
    Some(Error::new(
        kind,
        finding.found.clone(),
        finding.check.clone(),
        next,
    ))
}
