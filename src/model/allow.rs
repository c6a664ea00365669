//! Decides what `--allow` can say: which paths outside of the repository its files may name.
//! Must never resolve a path: what it leads to is seen on the disk.

use std::{path::PathBuf, str::FromStr};

/// What is done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is read.
    Read,
    /// It is written to.
    Write,
}

impl Access {
    /// What `--allow` calls it, as `docker buildx bake` does.
    pub fn name(self) -> &'static str {
        match self {
            Access::Read => "fs.read",
            Access::Write => "fs.write",
        }
    }
}

/// One `--allow`: `fs.read=PATH`, `fs.write=PATH`, or `fs=PATH` for both. `*` is every path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    accesses: &'static [Access],
    /// The path, as it was written.
    pub path: PathBuf,
}

impl Allow {
    /// Whether it is about this.
    pub fn is_for(&self, access: Access) -> bool {
        self.accesses.contains(&access)
    }
}

/// Why a text allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} allows nothing: write fs.read=PATH, fs.write=PATH or fs=PATH")]
pub struct BadAllow(String);

impl FromStr for Allow {
    type Err = BadAllow;

    fn from_str(text: &str) -> Result<Self, BadAllow> {
        let bad = || BadAllow(text.chars().take(200).collect());
        let (name, path) = text.split_once('=').ok_or_else(bad)?;
        let accesses: &[Access] = match name {
            "fs.read" => &[Access::Read],
            "fs.write" => &[Access::Write],
            "fs" => &[Access::Read, Access::Write],
            _ => return Err(bad()),
        };
        let path = match path {
            "" => return Err(bad()),
            "*" => "/",
            path => path,
        };
        Ok(Allow {
            accesses,
            path: path.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_a_path_and_what_may_be_done_there() {
        for (text, read, write, path) in [
            ("fs.read=/srv/a", true, false, "/srv/a"),
            ("fs.write=../out", false, true, "../out"),
            ("fs=/a=b", true, true, "/a=b"),
            ("fs.read=*", true, false, "/"),
        ] {
            let allow: Allow = text.parse().unwrap();
            let may = [Access::Read, Access::Write].map(|access| allow.is_for(access));
            assert_eq!((may, allow.path), ([read, write], path.into()), "{text}");
        }
        for bad in ["", "/srv", "fs.read", "fs.read=", "network.host", "FS=/a"] {
            assert!(bad.parse::<Allow>().is_err(), "{bad}");
        }
    }
}
