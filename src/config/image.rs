//! Decides what an `[[image]]` may say: its name, context, platforms, and the Containerfile of each.
//! Must never look at the disk itself: it is told whether a path is there.

use super::mistakes::Mistakes;
use super::reader::{self, Table, Value};
use super::{Found, Kind};
use crate::model::{
    plan::label_is_made, platform::Platform, reference::RepositoryName, spec::ImageSpec,
};
use std::collections::BTreeMap;

/// They lie in the context, or their names behind a Containerfile's.
const IGNORE_FILES: [&str; 2] = [".containerignore", ".dockerignore"];

/// One `[[image]]`, and where its name stands.
pub(super) fn image(
    mut table: Table<'_, '_>,
    mistakes: &Mistakes<'_>,
    look: &dyn Fn(&str, Kind) -> Found,
) -> Option<(ImageSpec, Option<std::ops::Range<usize>>)> {
    let name_at = table.value_span("name");
    let name = table.required_parsed::<RepositoryName>("name");
    let context = context(&mut table, look);
    let target = table.string("target").map(|v| v.text);
    let network = table.parsed("network").unwrap_or_default();
    let description = table.string("description").map(|v| v.text);
    let args = table.strings_by_key("args");
    let labels = labels(&mut table);
    let asked = table.parsed_list_spanned::<Platform>("platforms");
    let files = containerfiles(&mut table);
    let platforms = match (asked, files) {
        (Some(asked), Containerfiles::One(file)) => asked
            .into_iter()
            .map(|(platform, at)| (platform, file.clone(), at))
            .collect(),
        (None, Containerfiles::One(_)) => {
            if table.missing("platforms") {
                table.is_missing(
                    "platforms",
                    "add platforms = [\"linux/amd64\", \"linux/arm64\"]",
                );
            }
            Vec::new()
        }
        (None, Containerfiles::PerPlatform(files)) => files
            .into_iter()
            .map(|(platform, file)| (platform, file.clone(), file.span))
            .collect(),
        (Some(asked), Containerfiles::PerPlatform(mut files)) => {
            let mut out = Vec::new();
            for (platform, at) in asked {
                match files.iter().position(|(known, _)| *known == platform) {
                    Some(index) => out.push((platform, files.remove(index).1, at)),
                    None => mistakes.add(
                        at,
                        format!("containerfile has none for {platform}"),
                        &format!("add \"{platform}\" = \"Containerfile\" to it"),
                    ),
                }
            }
            for (platform, file) in files {
                mistakes.add(
                    file.span,
                    format!("{platform} is not among platforms"),
                    "add it there, or remove it here",
                );
            }
            out
        }
    };
    let mut checked: Vec<(Platform, String)> = Vec::new();
    let mut reported: Vec<String> = Vec::new();
    for (platform, file, at) in platforms {
        if checked.iter().any(|(known, _)| *known == platform) {
            mistakes.add(
                at,
                format!("{platform} is named twice"),
                "remove one of them",
            );
        }
        if !reported.contains(&file.text) {
            containerfile(&file, mistakes, look);
            reported.push(file.text.clone());
        }
        checked.push((platform, file.text));
    }
    table.finish();
    let spec = ImageSpec {
        name: name?,
        context,
        platforms: checked,
        target,
        network,
        args,
        labels,
        description,
    };
    Some((spec, name_at))
}

/// The build context's folder. It and its ignore files must lie in the repository.
fn context(table: &mut Table<'_, '_>, look: &dyn Fn(&str, Kind) -> Found) -> String {
    let context = table.string("context");
    let folder = context.map_or_else(|| ".".to_owned(), |context| context.text);
    match look(&folder, Kind::Folder) {
        Found::There => {}
        Found::Missing => table.mistake(
            "context",
            &format!("there is no folder {folder:?}"),
            "name a folder, relative to rpub.toml",
        ),
        Found::Outside(what, hint) => {
            table.mistake("context", &format!("{folder:?} {what}"), &hint);
        }
    }
    for file in IGNORE_FILES {
        let file = format!("{folder}/{file}");
        if let Found::Outside(what, hint) = look(&file, Kind::FileIfAny) {
            table.mistake("context", &format!("{file:?} {what}"), &hint);
        }
    }
    folder
}

/// Checks that a Containerfile is there, and that it and its ignore file lie in the repository.
fn containerfile(file: &Value, mistakes: &Mistakes<'_>, look: &dyn Fn(&str, Kind) -> Found) {
    let complain = |what: String, hint: &str| {
        mistakes.add(file.span.clone(), format!("containerfile: {what}"), hint);
    };
    match look(&file.text, Kind::File) {
        Found::There => {}
        Found::Missing => complain(
            format!("there is no file {:?}", file.text),
            "name the Containerfile, relative to rpub.toml",
        ),
        Found::Outside(what, hint) => complain(format!("{:?} {what}", file.text), &hint),
    }
    for ignore in IGNORE_FILES {
        let beside = format!("{}{ignore}", file.text);
        if let Found::Outside(what, hint) = look(&beside, Kind::FileIfAny) {
            complain(format!("{beside:?} {what}"), &hint);
        }
    }
}

/// Labels, none of which is one that rpub makes.
fn labels(table: &mut Table<'_, '_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Some(table) = table.table("labels") else {
        return labels;
    };
    for (key, value) in table.entries() {
        if let Some(hint) = label_is_made(&key.text) {
            let what = format!("labels: rpub makes {:?} itself", key.text);
            table.mistakes.add(key.span, what, hint);
        }
        labels.insert(key.text, value.text);
    }
    labels
}

enum Containerfiles {
    One(Value),
    PerPlatform(Vec<(Platform, Value)>),
}

/// `containerfile = "File"` or `{ "linux/amd64" = "File", … }`; `Containerfile` where it is not given.
fn containerfiles(table: &mut Table<'_, '_>) -> Containerfiles {
    match table.string_or_table("containerfile") {
        Some(reader::Either::Plain(value)) => Containerfiles::One(value),
        Some(reader::Either::Table(inner)) => {
            let mut out = Vec::new();
            for (platform, value) in inner.entries() {
                match platform.text.parse::<Platform>() {
                    Ok(platform) => out.push((platform, value)),
                    Err(error) => inner.mistakes.add(
                        platform.span,
                        error.to_string(),
                        "write os/arch, for example linux/amd64",
                    ),
                }
            }
            Containerfiles::PerPlatform(out)
        }
        None => Containerfiles::One(Value {
            text: "Containerfile".to_owned(),
            span: table.span(),
        }),
    }
}
