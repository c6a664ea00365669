//! Decides which image tags a git ref gives, by the rules of rpub.toml.
//! Must never give `latest` to a pre-release, nor a tag that two different versions would fight over unasked.

use super::{
    reference::Tag,
    version::{GitRef, Revision, Version},
};
use std::{fmt, str::FromStr};

/// What a template may say between `{{` and `}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variable {
    /// The version without `v` and build metadata.
    Version,
    /// Its first number.
    Major,
    /// Its second number.
    Minor,
    /// Its third number.
    Patch,
    /// The first 7 digits of the commit id.
    Sha,
    /// The ref's short name, with what a tag may not hold made `-`.
    Branch,
}

/// Every variable by name.
const VARIABLES: &[(&str, Variable)] = &[
    ("version", Variable::Version),
    ("major", Variable::Major),
    ("minor", Variable::Minor),
    ("patch", Variable::Patch),
    ("sha", Variable::Sha),
    ("branch", Variable::Branch),
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(Variable),
}

/// A tag pattern: `{{major}}.{{minor}}`, `manual-{{sha}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    pieces: Vec<Piece>,
}

/// Why a text is no tag rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no tag rule: {reason}{}", super::nearest::did_you_mean(.nearest.as_deref()))]
pub struct BadTemplate {
    text: String,
    reason: String,
    /// The nearest right one.
    pub nearest: Option<String>,
}

/// Why the rules give no tag for this ref.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTag {
    /// `{{sha}}` outside a git repository.
    #[error("the tag pattern {0:?} wants the commit, and there is none")]
    NoRevision(String),
    /// What came out is not a tag.
    #[error("the tag pattern {0:?} gives {1:?}, which is not a tag")]
    NotATag(String, String),
}

impl FromStr for Template {
    type Err = BadTemplate;

    fn from_str(text: &str) -> Result<Self, BadTemplate> {
        let bad = |reason: String, nearest: Option<String>| BadTemplate {
            text: text.chars().take(200).collect(),
            reason,
            nearest,
        };
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, after) = match rest.split_once("{{") {
                Some((literal, after)) => (literal, Some(after)),
                None => (rest, None),
            };
            if !literal.is_empty() {
                let plain = literal
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
                if !plain {
                    return Err(bad(format!("{literal:?} cannot stand in a tag"), None));
                }
                pieces.push(Piece::Text(literal.to_owned()));
            }
            let Some(after) = after else { break };
            let (name, after) = after
                .split_once("}}")
                .ok_or_else(|| bad("a }} is missing".to_owned(), Some(format!("{text}}}}}"))))?;
            let name = name.trim();
            let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == name) else {
                let known = super::nearest::nearest(name, VARIABLES.iter().map(|(n, _)| *n));
                return Err(bad(
                    format!(
                        "there is no {{{{{name}}}}}; there are version, major, minor, patch, sha, branch"
                    ),
                    known.map(|known| text.replace(name, known)),
                ));
            };
            pieces.push(Piece::Variable(*variable));
            rest = after;
        }
        match pieces.first() {
            None => Err(bad("it is empty".to_owned(), None)),
            Some(Piece::Text(first)) if first.starts_with(['.', '-']) => {
                Err(bad("a tag cannot begin with . or -".to_owned(), None))
            }
            Some(_) => Ok(Template {
                source: text.to_owned(),
                pieces,
            }),
        }
    }
}

impl Template {
    /// Whether it names `variable`.
    pub fn names(&self, variable: Variable) -> bool {
        self.pieces.contains(&Piece::Variable(variable))
    }

    /// Whether it says anything of a version.
    pub fn names_a_version(&self) -> bool {
        use Variable as V;
        [V::Version, V::Major, V::Minor, V::Patch]
            .into_iter()
            .any(|variable| self.names(variable))
    }

    /// The tag it gives; `version` must be there where [`Template::names_a_version`] says so
    /// (config refuses such patterns in `manual`).
    fn render(
        &self,
        version: Option<&Version>,
        revision: Option<&Revision>,
        short: &str,
    ) -> Result<Tag, NoTag> {
        let mut out = String::new();
        for piece in &self.pieces {
            let number = |pick: fn((u64, u64, u64)) -> u64| {
                version.map_or_else(String::new, |v| pick(v.numbers()).to_string())
            };
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable(Variable::Version) => {
                    out.push_str(&version.map(Version::image_tag_text).unwrap_or_default());
                }
                Piece::Variable(Variable::Major) => out.push_str(&number(|n| n.0)),
                Piece::Variable(Variable::Minor) => out.push_str(&number(|n| n.1)),
                Piece::Variable(Variable::Patch) => out.push_str(&number(|n| n.2)),
                Piece::Variable(Variable::Sha) => {
                    let revision =
                        revision.ok_or_else(|| NoTag::NoRevision(self.source.clone()))?;
                    out.push_str(revision.short());
                }
                Piece::Variable(Variable::Branch) => out.push_str(&as_tag_text(short)),
            }
        }
        out.parse()
            .map_err(|_| NoTag::NotATag(self.source.clone(), out))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// Runs of what a tag may not hold become one `-`, as docker/metadata-action does it.
fn as_tag_text(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') {
            out.push(c);
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_start_matches(['.', '-'])
        .chars()
        .take(128)
        .collect()
}

/// What may move `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LatestRule {
    /// A version that is no pre-release.
    Release,
    /// This branch.
    Branch(String),
}

impl FromStr for LatestRule {
    type Err = BadTemplate;

    fn from_str(text: &str) -> Result<Self, BadTemplate> {
        match text.split_once(':') {
            None if text == "release" => Ok(LatestRule::Release),
            Some(("branch", branch)) if !branch.is_empty() => {
                Ok(LatestRule::Branch(branch.to_owned()))
            }
            _ => Err(BadTemplate {
                text: text.chars().take(200).collect(),
                reason: "latest is moved by \"release\" or \"branch:NAME\"".to_owned(),
                nearest: Some(match text {
                    "main" | "master" => format!("branch:{text}"),
                    _ => "release".to_owned(),
                }),
            }),
        }
    }
}

/// `[tags]` of rpub.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRules {
    /// On a version.
    pub release: Vec<Template>,
    /// What may move `latest`.
    pub latest: Vec<LatestRule>,
    /// On any other ref.
    pub manual: Vec<Template>,
}

impl TagRules {
    /// The tags for `git_ref`, in the order of the rules, each once, `latest` last; may be empty.
    ///
    /// - A release gives its patterns; `{{major}}` alone is left out for 0.x, where minor versions break.
    /// - A pre-release gives its own version only: patterns without `{{version}}` are left out (FR-021).
    /// - A branch that may move `latest` gives that alone (FR-007); every other ref gives `manual`.
    pub fn tags(&self, git_ref: &GitRef, revision: Option<&Revision>) -> Result<Vec<Tag>, NoTag> {
        let mut out: Vec<Tag> = Vec::new();
        let mut add = |tag: Tag| {
            if !out.contains(&tag) {
                out.push(tag);
            }
        };
        let latest = match git_ref {
            GitRef::Version(short, version) => {
                let suits = |template: &&Template| {
                    if version.is_prerelease() {
                        template.names(Variable::Version)
                    } else {
                        version.numbers().0 > 0
                            || !template.names(Variable::Major)
                            || template.names(Variable::Minor)
                            || template.names(Variable::Version)
                    }
                };
                for template in self.release.iter().filter(suits) {
                    add(template.render(Some(version), revision, short)?);
                }
                if version.is_prerelease() {
                    let own = version.image_tag_text();
                    // of_git_tag has checked that this parses; an error is told all the same.
                    add(own
                        .parse()
                        .map_err(|_| NoTag::NotATag("{{version}}".to_owned(), own))?);
                }
                !version.is_prerelease() && self.latest.contains(&LatestRule::Release)
            }
            GitRef::Branch(branch) if self.latest.contains(&LatestRule::Branch(branch.clone())) => {
                true
            }
            GitRef::Branch(_) | GitRef::Tag(_) | GitRef::Other(_) => {
                return self.by_hand(git_ref, revision);
            }
        };
        out.retain(|tag| !tag.is_latest());
        if latest {
            out.push(Tag::latest());
        }
        Ok(out)
    }

    /// The tags of a build that somebody starts by hand: a version has its own, every other ref `manual`, so that
    /// `latest` does not move.
    pub fn by_hand(
        &self,
        git_ref: &GitRef,
        revision: Option<&Revision>,
    ) -> Result<Vec<Tag>, NoTag> {
        if matches!(git_ref, GitRef::Version(..)) {
            return self.tags(git_ref, revision);
        }
        let mut out: Vec<Tag> = Vec::new();
        for template in &self.manual {
            let tag = template.render(None, revision, git_ref.short())?;
            if !tag.is_latest() && !out.contains(&tag) {
                out.push(tag);
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
#[path = "tags_tests.rs"]
mod tests;
