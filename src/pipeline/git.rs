//! Decides what git says about the folder: refs, commits, times, the remote.
//! Must never change the repository, nor pass a remote's password on.

use crate::error::{Error, Kind, Result};
use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::Command,
};

/// A git repository, asked through the `git` command.
#[derive(Debug)]
pub(super) struct Git<'a> {
    folder: &'a Path,
    /// Which filters must not run; none where that is not known.
    filters: Option<Vec<OsString>>,
}

/// What makes git run no program that a repository names, and so neither waits for one nor does what it wants.
const HARMLESS: [(&str, &str); 7] = [
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.pager", "cat"),
    ("log.showSignature", "false"),
    ("status.submoduleSummary", "false"),
    ("diff.external", ""),
    ("credential.helper", ""),
];

impl<'a> Git<'a> {
    /// The repository that `folder` is in; `None` where there is none, or no git.
    pub(super) fn open(folder: &'a Path) -> Result<Option<Git<'a>>> {
        let mut git = Git {
            folder,
            filters: None,
        };
        let output = match git.command(&["rev-parse", "--git-dir"]).output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("run git", folder, &error)),
        };
        if output.status.success() {
            git.filters = git.known_filters();
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

    /// git with these arguments, so that nothing which the repository configures is run.
    ///
    /// A repository that was unpacked, not cloned, brings its own `.git/config`, and much in that names programs.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(["--no-pager", "--no-optional-locks"]);
        command.arg("-C").arg(self.folder).args(args);
        // Messages are matched above.
        command
            .env("LC_ALL", "C")
            .stdin(std::process::Stdio::null());
        // A partial clone fetches what it lacks, by a program that its remote names.
        command
            .env("GIT_ALLOW_PROTOCOL", "")
            .env("GIT_NO_LAZY_FETCH", "1");
        let filters = self.filters.iter().flatten().flat_map(|name| {
            [("clean", ""), ("process", ""), ("required", "false")].map(|(key, value)| {
                let parts = [
                    OsStr::new("filter."),
                    name,
                    OsStr::new("."),
                    OsStr::new(key),
                ];
                (parts.into_iter().collect::<OsString>(), value)
            })
        });
        let fixed = HARMLESS.map(|(key, value)| (OsString::from(key), value));
        // CI may have put something there, such as a safe.directory.
        let first = std::env::var("GIT_CONFIG_COUNT").ok();
        let first = first.and_then(|count| count.parse::<u32>().ok());
        let mut count = u64::from(first.unwrap_or(0));
        for (key, value) in fixed.into_iter().chain(filters) {
            command.env(format!("GIT_CONFIG_KEY_{count}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
        command
    }

    /// The filters that any configuration has. Those of the user are no better: git-lfs runs what the repository's says.
    fn known_filters(&self) -> Option<Vec<OsString>> {
        let mut command = self.command(&["config", "--list", "--name-only", "--null"]);
        let output = command
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        // As bytes: a name need not be UTF-8.
        let name = |key: &[u8]| {
            let rest = key.strip_prefix(b"filter.")?;
            let end = rest.iter().rposition(|byte| *byte == b'.')?;
            Some(OsStr::from_bytes(&rest[..end]).to_owned())
        };
        let keys = output.stdout.split(|byte| *byte == 0);
        let names: BTreeSet<OsString> = keys.filter_map(name).collect();
        Some(names.into_iter().collect())
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

    /// Whether tracked files differ from HEAD; within submodules they are not looked at.
    pub(super) fn is_dirty(&self) -> bool {
        if self.filters.is_none() {
            return false;
        }
        // git would look into a submodule by its own configuration.
        let args = [
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--ignore-submodules=dirty",
        ];
        self.ask(&args).is_some()
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
