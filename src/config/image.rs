//! Decides what an `[[image]]` may say: its name, context, platforms, and the Containerfile of each.
//! Must never look at the disk itself: it is told whether a path is there.

use super::mistakes::Mistakes;
use super::reader::{self, Table, Value};
use crate::model::{platform::Platform, reference::RepositoryName, spec::ImageSpec};

/// One `[[image]]`, and where its name stands.
pub(super) fn image(
    mut table: Table<'_, '_>,
    mistakes: &Mistakes<'_>,
    exists: &dyn Fn(&str, bool) -> bool,
) -> Option<(ImageSpec, Option<std::ops::Range<usize>>)> {
    let name_at = table.value_span("name");
    let name = table.required_parsed::<RepositoryName>("name");
    let context = table.string("context");
    let target = table.string("target").map(|v| v.text);
    let network = table.parsed("network").unwrap_or_default();
    let description = table.string("description").map(|v| v.text);
    let args = table.strings_by_key("args");
    let labels = table.strings_by_key("labels");
    if let Some(context) = context.as_ref().filter(|c| !exists(&c.text, true)) {
        mistakes.add(
            context.span.clone(),
            format!("context: there is no folder {:?}", context.text),
            "name a folder, relative to rpub.toml",
        );
    }
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
    let context = context.map_or_else(|| ".".to_owned(), |c| c.text);
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
        if !exists(&file.text, false) && !reported.contains(&file.text) {
            mistakes.add(
                file.span.clone(),
                format!("containerfile: there is no file {:?}", file.text),
                "name the Containerfile, relative to rpub.toml",
            );
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
