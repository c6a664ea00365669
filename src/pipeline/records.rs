//! Decides how digest records are written to and read from a folder, and that what they name is there.
//! Must never overwrite another image's record, nor read a file of unbounded size.

use super::targets::Targets;
use crate::{
    error::{Error, Kind, Result},
    model::{plan::Plan, record::Record, reference::Reference},
    target::Target,
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
    let hint = "remove the file, or hand over the one that rpub push wrote";
    let no_record = |what: String| {
        let what = format!("this is no digest record: {what}");
        Error::usage(what, path.display().to_string(), hint)
    };
    let cannot = |error: std::io::Error| Error::io("read the digest record", path, &error);
    // Opening a pipe would wait for ever, and a link may lead anywhere.
    if !path.symlink_metadata().map_err(cannot)?.is_file() {
        return Err(no_record("it is no ordinary file".to_owned()));
    }
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut text))
        .map_err(cannot)?;
    if text.len() as u64 > LIMIT {
        return Err(no_record(format!("it is longer than {} KiB", LIMIT / 1024)));
    }
    let record: Record =
        serde_json::from_slice(&text).map_err(|error| no_record(error.to_string()))?;
    // So that one cannot pass for another, nor lie there twice.
    if path
        .file_name()
        .is_none_or(|name| name != record.file_name().as_str())
    {
        let what = format!(
            "what it holds is the record of {} for {}, which is called {}",
            record.image,
            record.platform,
            record.file_name()
        );
        return Err(Error::usage(what, path.display().to_string(), hint));
    }
    Ok(record)
}

/// Whether what the records name is on every target of theirs, and is what they say; `records` fit the plan.
pub(super) async fn present(targets: &Targets, plan: &Plan, records: &[Record]) -> Result<()> {
    let mut looks = Vec::new();
    for image in &plan.images {
        let own = records.iter().filter(|r| r.image == image.name().as_str());
        for record in own {
            for target in targets.of(image.name()) {
                looks.push(is_there(&**target, record));
            }
        }
    }
    futures::future::try_join_all(looks).await.map(drop)
}

async fn is_there(target: &dyn Target, record: &Record) -> Result<()> {
    let reference = Reference::Digest(record.digest);
    let wrong = |what: String| {
        let place = format!(
            "{}, {}",
            record.file_name(),
            target.repository().at(&reference)
        );
        let hint = "run rpub push on that machine again, and hand over its record";
        Error::new(Kind::Failed, what, place, hint)
    };
    let Some(manifest) = target.read_manifest(&reference).await? else {
        return Err(wrong(
            "what the digest record names is not there".to_owned(),
        ));
    };
    let size = manifest.bytes().len() as u64;
    if size == record.size && manifest.media_type() == record.media_type {
        return Ok(());
    }
    Err(wrong(format!(
        "the digest record says {} bytes of {}, and there are {size} of {}",
        record.size,
        record.media_type,
        manifest.media_type()
    )))
}
