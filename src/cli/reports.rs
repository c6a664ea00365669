//! Decides the flag of the HTML report, which every command that publishes has.
//! Must never write one.

use std::path::PathBuf;

/// Where a page about the run is left.
#[derive(Debug, clap::Args)]
pub(super) struct ReportTo {
    /// Leave a report there as well, also of a failure: one HTML page that loads nothing
    #[arg(long, value_name = "FILE", env = "RPUB_REPORT")]
    report: Option<PathBuf>,
}

impl ReportTo {
    /// The file; none where the text is empty, as CI gives an input that was left out.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        let named = |path: &&PathBuf| !path.as_os_str().is_empty();
        self.report.as_ref().filter(named)
    }
}
