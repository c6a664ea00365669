//! Decides what rpub.toml may say, and how a mistake in it is told.
//! Must never read any other file than the one it is given, nor stop at the first mistake.

mod image;
mod mistakes;
mod reader;
mod registry;
mod schema;

use crate::{
    error::{Error, Result},
    files::{self, Fence},
    model::{
        allow::{Access, Allow},
        api::RegistryApi,
        compression::CompressionLevel,
        fault::Policy,
        spec::{Destination, ImageSpec, PruneRules, Span, Spec},
        tags::{LatestRule, TagRules, Template, Variable},
    },
};
use image::image;
use mistakes::Mistakes;
use reader::{Either, Table};
pub use schema::text as schema;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

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

/// What the user grants a file of the repository beyond what it may do by itself: on the command line alone.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// `--registry-api`: where services have their APIs, whatever the file says.
    pub apis: Vec<RegistryApi>,
    /// `--allow`: where the file's paths may lead outside of the repository.
    pub allow: Vec<Allow>,
}

/// What stands outside of the file, and what it is checked against.
struct Outside<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    apis: &'a [RegistryApi],
    look: &'a dyn Fn(&str, Kind) -> Found,
}

/// What a path of the file must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    /// It need not be there.
    FileIfAny,
}

/// What a path of the file is.
enum Found {
    There,
    Missing,
    /// Where it leads, in words; and what to do.
    Outside(String, String),
}

/// Reads the file at `path`; `env` looks environment variables up for `${NAME}` in namespaces.
///
/// Whether the Containerfiles and folders that it names are there is checked too, relative to the file's folder; and that
/// none of them leads out of the repository, but for what `grants` allow.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>, grants: &Grants) -> Result<Spec> {
    let root = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let home = env("HOME").map(PathBuf::from);
    let fence = Fence::around(root, home.as_deref(), &grants.allow);
    let outside = |path: &Path| {
        let out = fence.leads_out(path, Access::Read)?;
        let (real, top) = (out.real.display(), out.top.display());
        let what = format!("leads to {real}, out of {top}");
        Some((what, format!("add {} if that is meant", out.switch)))
    };
    if let Some((what, hint)) = outside(path) {
        let what = format!("{FILE} {what}");
        return Err(Error::usage(what, path.display().to_string(), hint));
    }
    let text = files::text(path).map_err(|error| match error.kind() {
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
    let look = |relative: &str, kind: Kind| {
        let path = root.join(relative);
        let there = match kind {
            Kind::Folder => path.is_dir(),
            Kind::File => path.is_file(),
            Kind::FileIfAny => true,
        };
        match outside(&path) {
            Some((what, hint)) => Found::Outside(what, hint),
            None if there => Found::There,
            None => Found::Missing,
        }
    };
    let outside = Outside {
        env,
        apis: &grants.apis,
        look: &look,
    };
    checked(&text, &path.display().to_string(), &outside)
}

/// Reads the text of an rpub.toml; `exists(path, is_folder)` tells whether what it names is there.
pub fn parse(
    text: &str,
    name: &str,
    env: &dyn Fn(&str) -> Option<String>,
    exists: &dyn Fn(&str, bool) -> bool,
) -> Result<Spec> {
    let look = |path: &str, kind| match kind {
        Kind::FileIfAny => Found::There,
        _ if exists(path, kind == Kind::Folder) => Found::There,
        _ => Found::Missing,
    };
    let outside = Outside {
        env,
        apis: &[],
        look: &look,
    };
    checked(text, name, &outside)
}

fn checked(text: &str, name: &str, outside: &Outside<'_>) -> Result<Spec> {
    let mistakes = Mistakes::new(name, text);
    let spec = read(text, &mistakes, outside);
    mistakes.into_result(spec)
}

fn read(text: &str, mistakes: &Mistakes<'_>, outside: &Outside<'_>) -> Option<Spec> {
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
        let read = registry::destination(registry, mistakes, outside);
        destinations.extend(read.map(Destination::Registry));
    }
    let mut images: Vec<ImageSpec> = Vec::new();
    let nothing_to_do = file.nothing_in("image");
    for table in file.tables("image") {
        let at = table.span();
        let Some((image, name_at)) = image(table, mistakes, outside.look) else {
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

/// The environment that `${NAME}` reads in a real run.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests;
