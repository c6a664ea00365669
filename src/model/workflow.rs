//! Decides how the release workflow and its action read for a repository: branch, logins, and which rpub it takes.
//! Must never write a line that a name from outside could turn into another.

use super::{
    checksums::{Checksums, VERSION},
    reference::Host,
};
use std::{fmt, str::FromStr};

/// How every file begins that may be written again.
pub const HEADER: &str = "# Written by `rpub init`";
/// Where the workflow lies in a repository.
pub const RELEASE: &str = ".github/workflows/release.yml";
/// Where its action lies.
pub const ACTION: &str = ".github/actions/rpub/action.yml";

const TEMPLATE: &str = include_str!("workflow/release.yml");

/// What the action's file says.
pub fn action(program: &Program) -> String {
    match program {
        Program::Checkout => include_str!("../../.github/actions/rpub/action.yml").to_owned(),
        Program::Release(slug, sums) => include_str!("workflow/action.yml")
            .replace("@VERSION@", VERSION)
            .replace("@REPOSITORY@", &slug.to_string())
            .replace("@X86_64@", &sums.x86_64.hex())
            .replace("@AARCH64@", &sums.aarch64.hex()),
    }
}

/// The checksums that stand in an action, where it is the one for this version of these releases; None for any other text.
pub fn pinned(text: &str, slug: &Slug) -> Option<Checksums> {
    let sum = |arch: &str| {
        let start = format!("{arch}) sum=");
        let mut found = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(&start));
        format!("sha256:{}", found.next()?.strip_suffix(" ;;")?)
            .parse()
            .ok()
    };
    let sums = Checksums {
        x86_64: sum("x86_64")?,
        aarch64: sum("aarch64")?,
    };
    (action(&Program::Release(slug.clone(), sums)) == text).then_some(sums)
}

/// A repository on GitHub: `OWNER/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slug(String);

/// Why a text names no repository on GitHub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not OWNER/NAME")]
pub struct NotASlug(String);

impl FromStr for Slug {
    type Err = NotASlug;

    fn from_str(text: &str) -> Result<Self, NotASlug> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let is_name = |part: &str| {
            let first = part.bytes().next();
            first.is_some_and(|b| b.is_ascii_alphanumeric()) && part.bytes().all(plain)
        };
        let right = text.len() <= 200
            && (text.split_once('/')).is_some_and(|(owner, name)| is_name(owner) && is_name(name));
        if right {
            Ok(Slug(text.to_owned()))
        } else {
            Err(NotASlug(text.chars().take(200).collect()))
        }
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the workflow takes rpub from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// It is built from the checkout, which is rpub's own.
    Checkout,
    /// This version, as it was released there with these checksums.
    Release(Slug, Checksums),
}

/// What differs between repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    /// The branch whose pushes release.
    pub branch: String,
    /// Whether images go to GitHub's registry.
    pub ghcr: bool,
    /// Whether images go to Docker Hub.
    pub docker_hub: bool,
}

impl Workflow {
    /// For images that go to these hosts.
    pub fn new(branch: &str, hosts: &[Host]) -> Self {
        Workflow {
            branch: branch.to_owned(),
            ghcr: hosts.iter().any(|host| host.as_str() == "ghcr.io"),
            docker_hub: hosts.iter().any(Host::is_docker_hub),
        }
    }

    /// The workflow's file.
    pub fn text(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for line in TEMPLATE.lines() {
            if line == "@CREDENTIALS@" {
                lines.extend(self.credentials());
            } else if let Some(line) = line.strip_prefix("@GHCR@") {
                lines.extend(self.ghcr.then(|| line.to_owned()));
            } else {
                lines.push(line.replace("@BRANCH@", &pattern(&self.branch)));
            }
        }
        let mut out = String::new();
        for (index, line) in lines.iter().enumerate() {
            let next = lines.get(index + 1).map_or("", String::as_str);
            // An `env:` with nothing under it is no mapping.
            if line.trim() == "env:" && indent(next) <= indent(line) {
                continue;
            }
            out.push_str(line);
            out.push('\n');
        }
        out
    }

    fn credentials(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.ghcr {
            found.push(("GITHUB_TOKEN", "github.token"));
        }
        if self.docker_hub {
            found.push(("DOCKERHUB_USERNAME", "secrets.DOCKERHUB_USERNAME"));
            found.push(("DOCKERHUB_TOKEN", "secrets.DOCKERHUB_TOKEN"));
        }
        let line = |(name, value)| format!("          {name}: ${{{{ {value} }}}}");
        found.into_iter().map(line).collect()
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A branch as a filter that matches it alone, in YAML: GitHub reads `* ? + [ ] !` as patterns.
fn pattern(branch: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/');
    let word = branch.bytes().all(plain) && branch.starts_with(|c: char| c.is_ascii_alphabetic());
    // Words that YAML reads as something else than text.
    let other = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if word && !other.contains(&branch.to_lowercase().as_str()) {
        return branch.to_owned();
    }
    let mut out = String::from("'");
    for c in branch.chars() {
        match c {
            '*' | '?' | '+' | '[' | ']' | '!' | '\\' => out.extend(['\\', c]),
            '\'' => out.push_str("''"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
#[path = "workflow_tests.rs"]
mod tests;
