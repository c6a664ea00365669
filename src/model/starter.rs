//! Decides which images a folder's Containerfiles are, and how the rpub.toml reads that publishes them.
//! Must never take a file for a Containerfile that only looks like one, nor lose one without a word.

use super::{platform::Platform, reference::RepositoryName};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, fmt::Write as _, str::FromStr};

/// What GitHub runs natively, so that one Containerfile serves both.
const USUAL: [&str; 2] = ["linux/amd64", "linux/arm64"];
/// What other tools put beside a Containerfile, by the end of its name.
const OTHERS: &[&str] = &[
    "dockerignore",
    "containerignore",
    "bak",
    "orig",
    "rej",
    "in",
];
/// What GitHub's runners set, and rpub.toml may hold in place of an owner.
pub const OWNER: &str = "GITHUB_REPOSITORY_OWNER";

/// One image that a folder has the Containerfiles of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundImage {
    /// Its name within each namespace.
    pub name: RepositoryName,
    /// What builds it, for each platform.
    pub files: BTreeMap<Platform, String>,
}

/// What a folder has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// By name.
    pub images: Vec<FoundImage>,
    /// Containerfiles that none of the images is built from.
    pub left: Vec<String>,
}

/// The images of a folder with these files: `Containerfile`, `Dockerfile`, each with `.NAME`, `.ARCH` or `.NAME.ARCH`
/// behind it. What has no name of its own is called `own`.
pub fn images(files: &[String], own: &RepositoryName) -> Found {
    #[derive(Default)]
    struct Files {
        any: Option<String>,
        particular: BTreeMap<Platform, String>,
    }
    let mut sorted: Vec<&String> = files.iter().collect();
    // `Containerfile` comes before `Dockerfile`, and a file without a name before one that is named like the folder.
    sorted.sort();
    let mut images: BTreeMap<RepositoryName, Files> = BTreeMap::new();
    let mut found = Found::default();
    for file in sorted {
        let Some((name, platform)) = meaning(file) else {
            continue;
        };
        let name = match name {
            None => Ok(own.clone()),
            Some(name) => name.to_lowercase().parse(),
        };
        let Ok(name) = name else {
            found.left.push(file.clone());
            continue;
        };
        let image = images.entry(name).or_default();
        let taken = match platform {
            None if image.any.is_none() => {
                image.any = Some(file.clone());
                continue;
            }
            None => true,
            Some(platform) => match image.particular.entry(platform) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(file.clone());
                    false
                }
                std::collections::btree_map::Entry::Occupied(_) => true,
            },
        };
        if taken {
            found.left.push(file.clone());
        }
    }
    for (name, image) in images {
        let mut files = image.particular;
        if let Some(any) = image.any {
            for platform in USUAL.iter().filter_map(|text| text.parse().ok()) {
                files.entry(platform).or_insert_with(|| any.clone());
            }
            if !files.values().any(|file| *file == any) {
                found.left.push(any);
            }
        }
        found.images.push(FoundImage { name, files });
    }
    found
}

/// What a file's name says of the image: its name and the platform, where it says them; `None` for other files.
fn meaning(file: &str) -> Option<(Option<&str>, Option<Platform>)> {
    let rest = ["Containerfile", "Dockerfile"]
        .iter()
        .find_map(|base| file.strip_prefix(base))?;
    if rest.is_empty() {
        return Some((None, None));
    }
    let rest = rest.strip_prefix('.')?;
    let (before, last) = rest
        .rsplit_once('.')
        .map_or((None, rest), |(b, l)| (Some(b), l));
    if OTHERS.contains(&last) || last.ends_with('~') {
        return None;
    }
    let arch = match last {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    match format!("linux/{arch}").parse() {
        Ok(platform) => Some((before, Some(platform))),
        Err(_) => Some((Some(rest), None)),
    }
}

/// What stands before every image's name on a registry: a name, or the variable that holds the owner's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace(String);

impl Namespace {
    /// The repository's owner, whoever that is.
    pub fn of_owner() -> Self {
        Namespace(format!("${{{OWNER}}}"))
    }
}

impl FromStr for Namespace {
    type Err = super::reference::BadName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == Namespace::of_owner().0 {
            return Ok(Namespace::of_owner());
        }
        let name: RepositoryName = text.parse()?;
        Ok(Namespace(name.into()))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a first rpub.toml says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Starter {
    /// The branch whose pushes move `latest`.
    pub branch: String,
    /// The account on ghcr.io, if images go there.
    pub ghcr: Option<Namespace>,
    /// The account on Docker Hub, if images go there.
    pub docker_hub: Option<Namespace>,
    /// At least one.
    pub images: Vec<FoundImage>,
}

impl Starter {
    /// The file.
    pub fn text(&self) -> String {
        let mut out = String::from(
            "# What rpub publishes, and where; `rpub plan` shows what that gives, `rpub schema` has all keys, for editors.\n\
             # licenses = \"MIT\" # an SPDX expression, for the images' labels\n\n[tags]\n",
        );
        // Writing to a String cannot fail.
        let branch = quoted(&format!("branch:{}", self.branch));
        let _ = writeln!(
            out,
            "latest = [\"release\", {branch}] # what moves latest: versions, and pushes to this branch"
        );
        for (host, namespace) in [("ghcr.io", &self.ghcr), ("docker.io", &self.docker_hub)] {
            let Some(namespace) = namespace else { continue };
            let _ = writeln!(
                out,
                "\n[[registry]] # every registry gets the same digests\nhost = {}\nnamespace = {} # {}",
                quoted(host),
                quoted(&namespace.0),
                if *namespace == Namespace::of_owner() {
                    "set on GitHub's runners; elsewhere set it, or write the account's name here"
                } else {
                    "the account or organisation"
                }
            );
        }
        for image in &self.images {
            let _ = writeln!(
                out,
                "\n[[image]]\nname = {} # behind the namespace",
                quoted(image.name.as_str())
            );
            let platforms: Vec<String> = image
                .files
                .keys()
                .map(|platform| quoted(&platform.to_string()))
                .collect();
            let mut files = image.files.values();
            let first = files.next();
            match first {
                Some(one) if files.all(|file| file == one) => {
                    let _ = writeln!(out, "containerfile = {} # what builds it", quoted(one));
                }
                _ => {
                    let each = image.files.values().zip(&platforms);
                    let each: Vec<String> = each
                        .map(|(file, platform)| format!("{platform} = {}", quoted(file)))
                        .collect();
                    let _ = writeln!(
                        out,
                        "containerfile = {{ {} }} # what builds it, for each platform",
                        each.join(", ")
                    );
                }
            }
            let _ = writeln!(
                out,
                "platforms = [{}] # each is built on a machine of its kind",
                platforms.join(", ")
            );
        }
        out
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// What `rpub init` did with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Done {
    /// It was not there.
    Written,
    /// Another one was.
    Replaced,
    /// The same was there.
    Unchanged,
    /// It is the user's.
    Kept,
}

/// One file of [`InitDocument`].
#[derive(Debug, Serialize)]
pub struct FileDocument {
    /// Relative to the folder.
    pub path: String,
    /// What was done.
    pub done: Done,
    /// What it is for, and what of it to change first.
    pub purpose: &'static str,
}

/// What `rpub init` answers.
#[derive(Debug, Serialize)]
pub struct InitDocument {
    /// The files, in the order they were written.
    pub files: Vec<FileDocument>,
    /// The names of the images.
    pub images: Vec<String>,
    /// podman's version on this machine, if it is there.
    pub podman: Option<String>,
    /// What to do next, in this order.
    pub next: Vec<String>,
}

#[cfg(test)]
#[path = "starter_tests.rs"]
mod tests;
