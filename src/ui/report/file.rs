//! Decides how the report gets to where it was asked for.
//! Must never leave half of one there, nor fail what it tells of.

use super::{super::Answer, page};
use crate::{
    error::{Error, Result},
    model::trace::Trace,
};
use std::{
    fs::Permissions,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// Where a report will be written.
#[derive(Debug, Clone)]
pub struct ReportFile(PathBuf);

impl ReportFile {
    /// Makes sure, before anything is done, that a file can be written there.
    pub fn check(path: &Path) -> Result<Self> {
        let unusable = |what: String| {
            Error::usage(
                what,
                path.display().to_string(),
                "name a file in a folder that is there and can be written to: --report FILE",
            )
        };
        if path.file_name().is_none() || path.is_dir() {
            return Err(unusable("the report would be a folder".to_owned()));
        }
        match beside(path) {
            Ok(_) => Ok(ReportFile(path.to_owned())),
            Err(error) => Err(unusable(format!("no report can be written there: {error}"))),
        }
    }

    /// Writes the report of what was heard and of how it ended.
    pub(in crate::ui) fn write(
        &self,
        trace: &Trace,
        result: Result<&Answer, &Error>,
    ) -> Result<()> {
        let text = page(trace, result);
        let write = || {
            let mut file = beside(&self.0)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.0).map_err(|error| error.error)
        };
        let written = write().map_err(|error| Error::io("write the report", &self.0, &error));
        written.map(drop)
    }
}

/// A file of no lasting name in the folder where the report will be; anybody may read it whom the umask lets.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    tempfile::Builder::new()
        .prefix(".rpub-report-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_written_whole_over_an_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.html");
        std::fs::write(&path, "older").unwrap();
        let file = ReportFile::check(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "older");
        file.write(&Trace::default(), Ok(&Answer::Nothing)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("<!DOCTYPE html>") && text.ends_with("</html>"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn where_nothing_can_be_written_is_said_before() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        for path in ["", "gone/r.html", "file/r.html", ".."] {
            let error = ReportFile::check(&folder.path().join(path)).unwrap_err();
            assert_eq!(error.kind.exit_code(), 2, "{path}");
            assert!(error.hint.contains("--report"), "{path}");
        }
    }
}
