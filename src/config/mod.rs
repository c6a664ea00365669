//! Decides what rpub.toml may say, and how a mistake in it is told.
//! Must never read any other file than the one it is given, nor stop at the first mistake.

mod image;
mod mistakes;
mod reader;
mod schema;

use crate::{
    error::{Error, Result},
    model::{
        compression::CompressionLevel,
        fault::Policy,
        reference::RepositoryName,
        spec::{
            BadDestination, Destination, ImageSpec, PruneRules, RegistrySpec, Service, Span, Spec,
        },
        tags::{LatestRule, TagRules, Template, Variable},
    },
};
use image::image;
use mistakes::Mistakes;
use reader::{Either, Table, Value};
pub use schema::text as schema;
use std::{path::Path, time::Duration};

/// The file's usual name.
pub const FILE: &str = "rpub.toml";
/// Where images go when the file names no registry.
pub const DEFAULT_STORE: &str = "./rpub-out";
/// The tags of a version where the file names none.
const RELEASE: &[&str] = &["{{version}}", "{{major}}.{{minor}}"];
/// What moves `latest` then.
const LATEST: &[&str] = &["release", "branch:main"];
/// The tags of any other ref then.
const MANUAL: &[&str] = &["manual-{{sha}}"];

/// Reads the file at `path`; `env` looks environment variables up for `${NAME}` in namespaces.
///
/// Whether the Containerfiles and folders that it names are there is checked too, relative to the file's folder.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Spec> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::usage(
            format!("there is no {FILE}"),
            path.display().to_string(),
            "change to the folder that has one, name it with --config, or write one with rpub init",
        ),
        std::io::ErrorKind::InvalidData => Error::usage(
            "it is no text in UTF-8",
            path.display().to_string(),
            "save it as UTF-8",
        ),
        _ => Error::io("read it", path, &error),
    })?;
    let root = path.parent().unwrap_or(Path::new("."));
    let exists = |relative: &str, folder: bool| {
        let path = root.join(relative);
        if folder {
            path.is_dir()
        } else {
            path.is_file()
        }
    };
    parse(&text, &path.display().to_string(), env, &exists)
}

/// Reads the text of an rpub.toml; `exists(path, is_folder)` tells whether what it names is there.
pub fn parse(
    text: &str,
    name: &str,
    env: &dyn Fn(&str) -> Option<String>,
    exists: &dyn Fn(&str, bool) -> bool,
) -> Result<Spec> {
    let mistakes = Mistakes::new(name, text);
    let spec = read(text, &mistakes, env, exists);
    mistakes.into_result(spec)
}

fn read(
    text: &str,
    mistakes: &Mistakes<'_>,
    env: &dyn Fn(&str) -> Option<String>,
    exists: &dyn Fn(&str, bool) -> bool,
) -> Option<Spec> {
    let document = match toml::de::DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let at = error.span().unwrap_or(0..0);
            let what = crate::model::fault::one_line(error.message());
            let near: String = text
                .get(at.clone())
                .unwrap_or("")
                .chars()
                .take(40)
                .collect();
            mistakes.add(at, format!("{what}: {near:?}"), "mend the TOML there");
            return None;
        }
    };
    let mut file = Table::new(mistakes, "", &document);
    let source = file.string("source").map(|v| v.text);
    let licenses = file.string("licenses").map(|v| v.text);
    let level = file.number("compression_level", CompressionLevel::RANGE);
    let tags = tag_rules(file.table("tags"));
    let retry = policy(file.table("retry"));
    let prune = prune_rules(&mut file);
    let mut destinations = Vec::new();
    for registry in file.tables("registry") {
        destinations.extend(destination(registry, mistakes, env).map(Destination::Registry));
    }
    let mut images: Vec<ImageSpec> = Vec::new();
    let nothing_to_do = file.nothing_in("image");
    for table in file.tables("image") {
        let at = table.span();
        let Some((image, name_at)) = image(table, mistakes, exists) else {
            continue;
        };
        if images.iter().any(|known| known.name == image.name) {
            mistakes.add(
                name_at.unwrap_or(at),
                format!("two images are called {:?}", image.name.as_str()),
                "give one of them another name",
            );
        }
        images.push(image);
    }
    file.finish();
    if nothing_to_do {
        mistakes.add(
            0..0,
            "there is no [[image]]".to_owned(),
            "add one, with name, containerfile and platforms",
        );
    }
    if destinations.is_empty() {
        destinations.push(Destination::Directory(DEFAULT_STORE.to_owned()));
    }
    Some(Spec {
        source,
        licenses,
        tags,
        destinations,
        images,
        retry,
        prune,
        compression_level: level.and_then(CompressionLevel::new),
    })
}

fn policy(table: Option<Table<'_, '_>>) -> Policy {
    let mut policy = Policy::default();
    let Some(mut table) = table else {
        return policy;
    };
    if let Some(tries) = table.number("tries", 1..=20) {
        policy.tries = tries;
    }
    if let Some(seconds) = table.number("first_delay", 0..=600) {
        policy.first_delay = Duration::from_secs(seconds.into());
    }
    if let Some(seconds) = table.number("cap", 1..=3600) {
        policy.cap = Duration::from_secs(seconds.into());
    }
    if let Some(seconds) = table.number("budget", 0..=86_400) {
        policy.budget = Duration::from_secs(seconds.into());
    }
    table.finish();
    policy
}

/// `prune = false`, or a table.
fn prune_rules(file: &mut Table<'_, '_>) -> PruneRules {
    let mut rules = PruneRules::default();
    match file.boolean_or_table("prune") {
        None => {}
        Some(Either::Plain(by_release)) => rules.by_release = by_release,
        Some(Either::Table(mut table)) => {
            if let Some(keep) = table.number("keep", 0..=100) {
                rules.keep = keep as usize;
            }
            if let Some(Span(grace)) = table.parsed("grace") {
                rules.grace = grace;
            }
            table.finish();
        }
    }
    rules
}

fn tag_rules(table: Option<Table<'_, '_>>) -> TagRules {
    let mut rules = TagRules {
        release: parsed(RELEASE),
        latest: parsed(LATEST),
        manual: parsed(MANUAL),
    };
    let Some(mut table) = table else {
        return rules;
    };
    if let Some(patterns) = table.parsed_list::<Template>("release") {
        rules.release = patterns;
    }
    if let Some(patterns) = table.parsed_list::<LatestRule>("latest") {
        rules.latest = patterns;
    }
    if let Some(patterns) = table.parsed_list::<Template>("manual") {
        rules.manual = patterns;
    }
    for pattern in rules.release.iter().filter(|p| p.names(Variable::Branch)) {
        table.mistake(
            "release",
            &format!(
                "{:?} names a branch, and a version has none",
                pattern.to_string()
            ),
            "use {{version}}, {{major}}, {{minor}}, {{patch}} or {{sha}}",
        );
    }
    for pattern in rules.manual.iter().filter(|p| p.names_a_version()) {
        table.mistake(
            "manual",
            &format!(
                "{:?} names a version, and these refs have none",
                pattern.to_string()
            ),
            "use {{sha}} or {{branch}}",
        );
    }
    table.finish();
    rules
}

fn parsed<T: std::str::FromStr>(patterns: &[&str]) -> Vec<T> {
    // Literals of this file, parsed by a test (`the_defaults_are_valid`).
    patterns.iter().filter_map(|p| p.parse().ok()).collect()
}

fn destination(
    mut table: Table<'_, '_>,
    mistakes: &Mistakes<'_>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<RegistrySpec> {
    let at = table.span();
    let host = table.required_parsed("host");
    let namespace = table.string("namespace");
    let insecure = table.boolean("insecure");
    let ca_file = table.string("ca_file").map(|v| v.text);
    let service = table.parsed("service");
    let api = table.string("api").map(|v| v.text);
    table.finish();
    let namespace = match namespace {
        Some(value) => Some(expand(&value, mistakes, env)?),
        None => None,
    };
    let host = host?;
    let spec = RegistrySpec {
        service: service.unwrap_or_else(|| Service::of(&host)),
        host,
        namespace,
        insecure: insecure.unwrap_or(false),
        ca_file,
        api,
    };
    match spec.check() {
        Ok(spec) => Some(spec),
        Err(error) => {
            let hint = match error {
                BadDestination::Insecure(_) => "remove insecure = true",
                _ => "add namespace = \"OWNER\"",
            };
            mistakes.add(at, error.to_string(), hint);
            None
        }
    }
}

/// A namespace with its `${NAME}` filled in. A variable's value is lower-cased (GitHub owners have capitals, GHCR
/// refuses them); what stands in the file itself is not, so that nobody is surprised.
fn expand(
    value: &Value,
    mistakes: &Mistakes<'_>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<RepositoryName> {
    let mut out = String::new();
    let mut rest = value.text.as_str();
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            mistakes.add(
                value.span.clone(),
                "a } is missing".to_owned(),
                "write ${NAME}",
            );
            return None;
        };
        let Some(found) = env(name).filter(|found| !found.is_empty()) else {
            mistakes.add(
                value.span.clone(),
                format!("the environment has no {name}"),
                &format!("set {name}, or write the namespace itself"),
            );
            return None;
        };
        out.push_str(before);
        out.push_str(&found.to_lowercase());
        rest = after;
    }
    out.push_str(rest);
    match out.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            let lower = out.to_lowercase();
            let hint = if lower.parse::<RepositoryName>().is_ok() {
                format!("did you mean {lower:?}?")
            } else {
                "use the name of the account or organisation, in lower case".to_owned()
            };
            mistakes.add(value.span.clone(), format!("namespace: {error}"), &hint);
            None
        }
    }
}

/// The environment that `${NAME}` reads in a real run.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests;
