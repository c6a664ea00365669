//! Decides what git says about the folder: refs, commits, times, the remote.
//! Must never change the repository, nor pass a remote's password on.

use crate::error::{Error, Kind, Result};
use std::{path::Path, process::Command};

/// A git repository, asked through the `git` command.
#[derive(Debug)]
pub(super) struct Git<'a> {
    folder: &'a Path,
}

impl<'a> Git<'a> {
    /// The repository that `folder` is in; `None` where there is none, or no git.
    pub(super) fn open(folder: &'a Path) -> Result<Option<Git<'a>>> {
        let git = Git { folder };
        let output = match git.command(&["rev-parse", "--git-dir"]).output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("run git", folder, &error)),
        };
        if output.status.success() {
            return Ok(Some(git));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("not a git repository") {
            return Ok(None);
        }
        Err(Error::new(
            Kind::Failed,
            format!(
                "git cannot read this repository: {}",
                crate::model::fault::one_line(&said)
            ),
            folder.display().to_string(),
            format!(
                "if it is yours: git config --global --add safe.directory {}",
                folder.display()
            ),
        ))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.folder).args(args);
        // Messages are matched above; locks would be a change.
        command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0");
        command.stdin(std::process::Stdio::null());
        command
    }

    /// The trimmed output, where git succeeds and says something.
    fn ask(&self, args: &[&str]) -> Option<String> {
        let output = self.command(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }

    /// The commit that `name` leads to.
    pub(super) fn commit(&self, name: &str) -> Option<String> {
        let spec = format!("{name}^{{commit}}");
        self.ask(&[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &spec,
        ])
    }

    /// The branch that is checked out: `refs/heads/main`.
    pub(super) fn head_ref(&self) -> Option<String> {
        self.ask(&["symbolic-ref", "--quiet", "HEAD"])
    }

    /// The branch that others start from: what origin says, else `main` or `master`, else what is checked out.
    pub(super) fn default_branch(&self) -> Option<String> {
        let origin = self.ask(&["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"]);
        if let Some(branch) = origin
            .as_deref()
            .and_then(|r| r.strip_prefix("refs/remotes/origin/"))
        {
            return Some(branch.to_owned());
        }
        let there = |branch: &&str| {
            ["refs/heads", "refs/remotes/origin"]
                .iter()
                .any(|place| self.commit(&format!("{place}/{branch}")).is_some())
        };
        match ["main", "master"].into_iter().find(there) {
            Some(branch) => Some(branch.to_owned()),
            None => self
                .head_ref()?
                .strip_prefix("refs/heads/")
                .map(str::to_owned),
        }
    }

    /// Where the folder is within the repository: `sub/`; `None` at its top.
    pub(super) fn prefix(&self) -> Option<String> {
        self.ask(&["rev-parse", "--show-prefix"])
    }

    /// The tags at HEAD, highest version first.
    pub(super) fn tags_at_head(&self) -> Vec<String> {
        self.ask(&["tag", "--points-at", "HEAD", "--sort=-version:refname"])
            .map(|text| text.lines().map(str::to_owned).collect())
            .unwrap_or_default()
    }

    /// Every branch and tag by short name.
    pub(super) fn names(&self) -> Vec<String> {
        let args = [
            "for-each-ref",
            "--format=%(refname:short)",
            "refs/heads",
            "refs/tags",
        ];
        self.ask(&args)
            .map(|text| text.lines().map(str::to_owned).collect())
            .unwrap_or_default()
    }

    /// When HEAD was committed, in seconds since 1970.
    pub(super) fn commit_time(&self) -> Option<i64> {
        self.ask(&["show", "--no-patch", "--format=%ct", "HEAD"])?
            .parse()
            .ok()
    }

    /// Whether tracked files differ from HEAD.
    pub(super) fn is_dirty(&self) -> bool {
        self.ask(&["status", "--porcelain", "--untracked-files=no"])
            .is_some()
    }

    /// The remote `origin` as a web address, without credentials.
    pub(super) fn source(&self) -> Option<String> {
        web_address(&self.ask(&["remote", "get-url", "origin"])?)
    }
}

/// `git@github.com:o/r.git`, `ssh://git@h/o/r`, `https://user:secret@h/o/r.git` → `https://h/o/r`.
fn web_address(remote: &str) -> Option<String> {
    let (authority, path) = match remote.split_once("://") {
        Some(("http" | "https" | "ssh" | "git", rest)) => rest.split_once('/')?,
        None if !remote.starts_with(['/', '.']) => remote.split_once(':')?,
        _ => return None,
    };
    let mut host = authority.rsplit('@').next()?;
    if remote.starts_with("ssh") {
        // An SSH port says nothing of the web's.
        host = host.split(':').next()?;
    }
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (!host.is_empty() && !path.is_empty()).then(|| format!("https://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::web_address;

    #[test]
    fn remotes_become_web_addresses_without_credentials() {
        for (remote, web) in [
            ("git@github.com:o/r.git", Some("https://github.com/o/r")),
            ("https://github.com/o/r", Some("https://github.com/o/r")),
            (
                "https://user:secret@github.com/o/r.git",
                Some("https://github.com/o/r"),
            ),
            (
                "ssh://git@host.example:2222/o/r.git",
                Some("https://host.example/o/r"),
            ),
            ("/srv/git/r.git", None),
            ("../r", None),
            ("file:///srv/r", None),
        ] {
            assert_eq!(web_address(remote).as_deref(), web, "{remote}");
        }
    }
}
