//! Decides which outputs a step gets of a result, and how they stand in `GITHUB_OUTPUT`.
//! Must never let a value end early or become another output.

use super::super::Answer;
use std::{collections::BTreeMap, fmt::Write as _};

/// The whole result goes along where it is no longer; GitHub takes 1 MB of outputs from a job.
const LONGEST_JSON: usize = 256 * 1024;
/// All outputs of one result are no longer.
const LONGEST: usize = 512 * 1024;

/// What there is to say of one image; what is empty is no output.
#[derive(Default)]
struct Image {
    name: String,
    digests: Vec<String>,
    tags: Vec<String>,
    version: Option<String>,
    references: Vec<String>,
}

impl Image {
    /// Name and value; several values stand on a line each, as docker/metadata-action gives its tags.
    fn values(&self) -> Vec<(&'static str, String)> {
        let version = self.version.clone().unwrap_or_default();
        let mut values = vec![
            ("digest", self.digests.join("\n")),
            ("tags", self.tags.join("\n")),
            ("version", version),
            ("reference", self.references.join("\n")),
        ];
        values.retain(|(_, value)| !value.is_empty());
        values
    }
}

/// The outputs, and what could not be one.
pub(super) fn outputs(answer: &Answer) -> (Vec<(String, String)>, Vec<String>) {
    let Some(images) = images(answer) else {
        return (Vec::new(), Vec::new());
    };
    let (mut out, mut left_out) = (Vec::new(), Vec::new());
    let mut prefixes: BTreeMap<String, usize> = BTreeMap::new();
    for image in &images {
        *prefixes.entry(prefix(&image.name)).or_default() += 1;
    }
    for image in &images {
        let prefix = prefix(&image.name);
        if prefixes.get(&prefix).is_some_and(|count| *count > 1) {
            let (name, ours) = (&image.name, "another image has the same output names");
            left_out.push(format!("no outputs {prefix}-… for {name}: {ours}"));
            continue;
        }
        for (name, value) in image.values() {
            out.push((format!("{prefix}-{name}"), value));
        }
    }
    if let [only] = &images[..] {
        for (name, value) in only.values() {
            out.push((name.to_owned(), value));
        }
    }
    // A line break in a JSON text stands between its parts only: within strings it is escaped.
    let json: String = answer.json().lines().map(str::trim_start).collect();
    if json.len() <= LONGEST_JSON {
        out.push(("json".to_owned(), json));
    } else {
        left_out.push(format!("no output json: it has {} bytes", json.len()));
    }
    let mut room = LONGEST;
    out.retain(|(name, value)| {
        let fits = name.len() + value.len() <= room;
        if fits {
            room -= name.len() + value.len();
        } else {
            left_out.push(format!(
                "no output {name}: there are too many bytes of them"
            ));
        }
        fits
    });
    (out, left_out)
}

/// The text that is appended to the file. `delimiter` is a word that nobody could guess.
pub(super) fn file(outputs: &[(String, String)], delimiter: &str) -> String {
    outputs
        .iter()
        .fold(String::new(), |mut out, (name, value)| {
            // Writing to a String cannot fail.
            let _ = if value.contains(char::is_control) {
                writeln!(out, "{name}<<{delimiter}\n{value}\n{delimiter}")
            } else {
                writeln!(out, "{name}={value}")
            };
            out
        })
}

/// An image's name as an expression can name it: `steps.x.outputs.NAME-digest`.
fn prefix(image: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name: String = image
        .chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name
    } else {
        format!("_{name}")
    }
}

fn images(answer: &Answer) -> Option<Vec<Image>> {
    let mut images: Vec<Image> = Vec::new();
    match answer {
        Answer::Released(report) | Answer::Verified(report) => {
            images.extend(report.images.iter().map(|image| {
                Image {
                    name: image.name.clone(),
                    digests: vec![image.digest.to_string()],
                    tags: image.references.clone(),
                    version: report
                        .version
                        .clone()
                        .or_else(|| image.tags.first().cloned()),
                    references: image
                        .repositories
                        .first()
                        .map(|place| format!("{place}@{}", image.digest))
                        .into_iter()
                        .collect(),
                }
            }));
        }
        Answer::Plan(plan) => images.extend(plan.images.iter().map(|image| {
            let of = |place: &String| {
                let tags = image.tags.iter();
                tags.map(|tag| format!("{place}:{tag}")).collect::<Vec<_>>()
            };
            Image {
                name: image.name.clone(),
                tags: image.repositories.iter().flat_map(of).collect(),
                version: plan.version.clone().or_else(|| image.tags.first().cloned()),
                ..Image::default()
            }
        })),
        Answer::Built(built) => {
            for one in built {
                let image = image(&mut images, &one.name);
                image.references.push(one.reference.clone());
            }
        }
        Answer::Pushed(records) => {
            for record in records {
                let image = image(&mut images, &record.image);
                image.digests.push(record.digest.to_string());
                image.version.clone_from(&record.version);
                let place = record.repositories.first();
                let reference = place.map(|place| format!("{place}@{}", record.digest));
                image.references.extend(reference);
            }
        }
        Answer::Matrix(_)
        | Answer::Diagnosed(_)
        | Answer::Started(_)
        | Answer::Unfinished(_)
        | Answer::Pruned(_)
        | Answer::Serving(_)
        | Answer::Text(_)
        | Answer::Nothing => {
            return None;
        }
    }
    Some(images)
}

/// The entry of a name, made where there is none.
fn image<'a>(images: &'a mut Vec<Image>, name: &str) -> &'a mut Image {
    let at = images.iter().position(|image| image.name == name);
    let at = at.unwrap_or_else(|| {
        images.push(Image {
            name: name.to_owned(),
            ..Image::default()
        });
        images.len() - 1
    });
    &mut images[at]
}
