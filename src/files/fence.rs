//! Decides whether a path that a repository names stays in that repository.
//! Must never believe the path's text: what counts is where it leads.

use crate::model::allow::{Access, Allow};
use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The repository's top folder, and what else may be named in it.
#[derive(Debug)]
pub struct Fence {
    top: PathBuf,
    /// As `--allow` has them, by their real paths.
    allowed: Vec<(Allow, PathBuf)>,
}

/// A path that leads out, and the switch that would let it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadsOut {
    /// Where it leads.
    pub real: PathBuf,
    /// The folder that it leads out of.
    pub top: PathBuf,
    /// What to add to the command line: `--allow fs.read=/srv/shared`.
    pub switch: String,
}

impl Fence {
    /// Around the git repository that `folder` is in, else around `folder` itself.
    ///
    /// `home` is the user's: a home folder that is a repository of settings does not make all of it the project.
    pub fn around(folder: &Path, home: Option<&Path>, allow: &[Allow]) -> Fence {
        let top = top(&resolved(folder), home.map(resolved).as_deref());
        Fence::at(&top, allow)
    }

    /// Around this folder.
    pub fn at(folder: &Path, allow: &[Allow]) -> Fence {
        let allowed = allow.iter().map(|one| (one.clone(), resolved(&one.path)));
        Fence {
            top: resolved(folder),
            allowed: allowed.collect(),
        }
    }

    /// Where a path leads, if that is outside the repository and not allowed. A path that does not exist leads nowhere.
    pub fn leads_out(&self, path: &Path, access: Access) -> Option<LeadsOut> {
        let real = path.canonicalize().ok()?;
        let allowed = |(allow, at): &(Allow, PathBuf)| allow.is_for(access) && real.starts_with(at);
        if real.starts_with(&self.top) || self.allowed.iter().any(allowed) {
            return None;
        }
        Some(LeadsOut {
            switch: format!("--allow {}={}", access.name(), word(&real)),
            real,
            top: self.top.clone(),
        })
    }
}

/// The folder that holds `.git`, as far up as all belongs to who owns `folder`.
fn top(folder: &Path, home: Option<&Path>) -> PathBuf {
    let owner = |path: &Path| path.symlink_metadata().map(|found| found.uid()).ok();
    let own = owner(folder);
    for above in folder.ancestors() {
        // What another user put above us makes nothing of ours larger.
        if owner(above) != own || (home == Some(above) && above != folder) {
            break;
        }
        if owner(&above.join(".git")) == own && own.is_some() {
            return above.to_owned();
        }
    }
    folder.to_owned()
}

fn resolved(path: &Path) -> PathBuf {
    let real = path.canonicalize();
    let real = real.or_else(|_| std::path::absolute(path));
    real.unwrap_or_else(|_| path.to_owned())
}

/// A path as a word of a shell's command line.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn what_leads_out_of_the_repository_is_seen_through_links_and_dots() {
        let all = tempfile::tempdir().unwrap();
        let all = all.path().canonicalize().unwrap();
        for folder in ["repo/sub", "repo/.git", "keys", "it's"] {
            fs::create_dir_all(all.join(folder)).unwrap();
        }
        let sub = all.join("repo/sub");
        symlink("../../keys", sub.join("link")).unwrap();
        symlink("link", sub.join("again")).unwrap();
        symlink("../.git", sub.join("inside")).unwrap();
        let fence = Fence::around(&sub, None, &[]);
        let out = |fence: &Fence, path: &str| fence.leads_out(&sub.join(path), Access::Read);
        for inside in [
            ".",
            "..",
            "inside",
            "../../repo",
            "../../repo/sub",
            "nowhere",
        ] {
            assert_eq!(out(&fence, inside), None, "{inside}");
        }
        for outside in ["link", "again", "../..", "../../keys", "/etc", "/"] {
            assert!(out(&fence, outside).is_some(), "{outside}");
        }
        let told = out(&fence, "again").unwrap();
        assert_eq!(
            (&told.real, &told.top),
            (&all.join("keys"), &all.join("repo"))
        );
        let switch = told.switch.strip_prefix("--allow ").unwrap();
        let fence = Fence::around(&sub, None, &[switch.parse().unwrap()]);
        assert_eq!(out(&fence, "link"), None, "what it says is enough");
        assert!(fence.leads_out(&sub.join("link"), Access::Write).is_some());
        assert!(out(&fence, "/etc").is_some());
        let told = out(&fence, "../../it's").unwrap();
        assert!(told.switch.ends_with("/it'\\''s'"), "{}", told.switch);
    }

    #[test]
    fn a_home_folder_under_git_is_no_project() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        fs::create_dir_all(home.join("work")).unwrap();
        fs::create_dir_all(home.join(".git")).unwrap();
        let fence = Fence::around(&home.join("work"), Some(home), &[]);
        assert!(fence.leads_out(home, Access::Read).is_some());
        let fence = Fence::around(home, Some(home), &[]);
        assert_eq!(fence.leads_out(&home.join("work"), Access::Read), None);
    }
}
