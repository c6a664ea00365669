//! Decides how it is told that a place did not delete what it was asked to, and what to do about it.
//! Must never call something deleted.

use crate::model::{digest::Digest, reference::Tag};
use std::fmt;

/// What came of one deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone now.
    Now,
    /// It was gone already.
    Before,
    /// It stays, and trying again at once would not help.
    Refused(Refusal),
}

/// Why a place keeps what could go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody has given it a tag since it was decided upon.
    Tagged(Vec<Tag>),
    /// GitHub keeps public versions with more than 5000 downloads.
    Popular,
    /// GitHub keeps the last version that has a tag.
    LastTagged,
    /// We may not delete there.
    NotPermitted,
    /// There are no credentials to delete with.
    NotLoggedIn,
    /// Something there needs it, says the place.
    InUse(String),
    /// The place deletes nothing at all.
    Never,
    /// The place goes on with it by itself.
    Background,
    /// What is there under this name is something else.
    Other(String),
}

impl Refusal {
    /// Whether it is how the place is, and no news: then nobody need do anything.
    pub fn is_usual(&self) -> bool {
        matches!(self, Refusal::Never)
    }

    /// Whether nothing else there can be deleted either.
    pub fn is_hopeless(&self) -> bool {
        matches!(
            self,
            Refusal::Never | Refusal::NotPermitted | Refusal::NotLoggedIn
        )
    }

    /// What to do next, for a manifest of this repository.
    pub fn remedy(&self, repository: &str, digest: Digest) -> String {
        let again = || format!("run again: rpub prune --digest {digest}");
        match self {
            Refusal::Tagged(_) => "nothing: somebody uses it".to_owned(),
            Refusal::Popular => "ask GitHub's support to delete it, or leave it".to_owned(),
            Refusal::LastTagged => {
                "tag another version first, or delete the whole package".to_owned()
            }
            Refusal::NotPermitted => format!(
                "allow this account to delete in {repository} (on GitHub: package settings, Manage Actions access, role Admin; a token needs delete:packages; on Docker Hub: an access token with Read, Write, Delete); or set prune = false in rpub.toml"
            ),
            Refusal::NotLoggedIn => "log in with podman login, or pass --authfile".to_owned(),
            Refusal::InUse(_) => "see what uses it there, then ".to_owned() + &again(),
            Refusal::Never => {
                "nothing; or let the registry delete (REGISTRY_STORAGE_DELETE_ENABLED=true)"
                    .to_owned()
            }
            Refusal::Background => {
                "wait some minutes; if it is still there, ".to_owned() + &again()
            }
            Refusal::Other(_) => again(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Tagged(tags) => {
                let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
                write!(f, "{} names it now", tags.join(", "))
            }
            Refusal::Popular => {
                f.write_str("GitHub keeps public versions with more than 5000 downloads")
            }
            Refusal::LastTagged => f.write_str("GitHub keeps the last version that has a tag"),
            Refusal::NotPermitted => f.write_str("this account may not delete there"),
            Refusal::NotLoggedIn => f.write_str("there are no credentials to delete with"),
            Refusal::InUse(why) => write!(f, "it is in use there: {why}"),
            Refusal::Never => f.write_str("this place deletes nothing"),
            Refusal::Background => f.write_str("the registry is still deleting it"),
            Refusal::Other(why) => f.write_str(why),
        }
    }
}
