//! Decides how digest records are written to and read from a folder.
//! Must never overwrite another image's record, nor read a file of unbounded size.

use crate::{
    error::{Error, Result},
    model::record::Record,
};
use std::{io::Read as _, path::Path};

/// No record is larger, by far.
const LIMIT: u64 = 64 * 1024;

/// Writes one file per record into `folder`, which is made if it is not there; each whole or not at all.
pub fn write(folder: &Path, records: &[Record]) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))?;
    for record in records {
        let path = folder.join(record.file_name());
        // A record is made of texts and numbers, which JSON always can say.
        let mut text = serde_json::to_string_pretty(record).unwrap_or_default();
        text.push('\n');
        let failed = |e: &std::io::Error| Error::io("write the digest record", &path, e);
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| failed(&e))?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(|e| failed(&e))?;
        file.persist(&path).map_err(|e| failed(&e.error))?;
    }
    Ok(())
}

/// Reads every `*.json` of `folder`; one that cannot be read is refused by name.
pub fn read(folder: &Path) -> Result<Vec<Record>> {
    let entries =
        std::fs::read_dir(folder).map_err(|e| Error::io("read the digest records", folder, &e))?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("read the digest records", folder, &e))?;
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read_one(path)).collect()
}

fn read_one(path: &Path) -> Result<Record> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LIMIT).read_to_string(&mut text))
        .map_err(|e| Error::io("read the digest record", path, &e))?;
    serde_json::from_str(&text).map_err(|error| {
        Error::usage(
            format!("this is no digest record: {error}"),
            path.display().to_string(),
            "remove the file, or hand over the one that rpub push wrote",
        )
    })
}
