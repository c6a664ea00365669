//! Decides that the configuration of a repository, which an unpacked tree brings along, runs nothing.
//! Must never pass because a trap does not work: git itself walks into each of them first.

use crate::support::project::{Outcome, Project};
use std::path::Path;
use std::process::Command;

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-C"])
        .arg(folder)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A project in a repository, with one commit.
struct Trap {
    project: Project,
    marker: std::path::PathBuf,
}

impl Trap {
    fn new() -> Trap {
        let project = Project::plain("git");
        let at = project.path(".");
        git(&at, &["init", "-q", "-b", "main"]);
        let trap = Trap {
            marker: project.cache().join("ran"),
            project,
        };
        trap.project
            .write(".gitattributes", "text filter=evil\nbusybox filter=a=b.c\n");
        trap.project.write(
            "trap",
            &format!("#!/bin/sh\ntouch '{}'\ncat\n", trap.marker.display()),
        );
        trap.executable("trap");
        git(&at, &["add", "--all"]);
        git(&at, &["commit", "-q", "-m", "one"]);
        trap
    }

    fn executable(&self, file: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.project.path(file), mode).unwrap();
    }

    fn set(&self, key: &str, value: &str) {
        git(&self.project.path("."), &["config", key, value]);
    }

    /// The program that leaves the marker.
    fn program(&self) -> String {
        self.project.path("trap").display().to_string()
    }

    /// Files look changed, so that git reads them again.
    fn touch(&self) {
        for file in ["text", "busybox"] {
            let file = std::fs::File::options()
                .append(true)
                .open(self.project.path(file));
            file.unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }
    }

    /// Whether git itself walks into it.
    fn works(&self, args: &[&str]) {
        git(&self.project.path("."), args);
        assert!(
            self.marker.exists(),
            "the trap of git {args:?} does not work"
        );
        std::fs::remove_file(&self.marker).unwrap();
    }

    /// rpub does not, whatever it is asked.
    async fn holds(&self, words: &str) -> Outcome {
        self.touch();
        let run = self.project.run(&["plan", words]).await;
        assert!(!self.marker.exists(), "it ran: {}", run.err);
        run
    }
}

const STATUS: &[&str] = &["status", "--porcelain", "--untracked-files=no"];

#[tokio::test]
async fn git_monitor_hooks_and_includes_run_nothing() {
    let trap = Trap::new();
    trap.set("core.fsmonitor", &trap.program());
    trap.works(STATUS);
    let run = trap.holds("main").await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let trap = Trap::new();
    trap.project.write(
        ".git/more",
        &format!("[core]\nfsmonitor = {}\n", trap.program()),
    );
    trap.set("include.path", "more");
    trap.works(STATUS);
    trap.holds("main").await;
    let trap = Trap::new();
    std::fs::create_dir(trap.project.path("hooks")).unwrap();
    std::fs::copy(trap.program(), trap.project.path("hooks/post-index-change")).unwrap();
    trap.set("core.hooksPath", "hooks");
    trap.touch();
    trap.works(STATUS);
    trap.holds("main").await;
}

#[tokio::test]
async fn git_filters_run_nothing_and_changes_are_seen_all_the_same() {
    for key in [
        "filter.evil.clean",
        "filter.a=b.c.clean",
        "filter.evil.process",
    ] {
        let trap = Trap::new();
        trap.set(key, &trap.program());
        trap.set("filter.evil.required", "true");
        trap.touch();
        trap.works(STATUS);
        let run = trap.holds("main").await;
        assert_eq!(run.code, Some(0), "{}", run.err);
        assert!(!run.err.contains("not committed"), "{key}: {}", run.err);
        trap.project.write("text", "something else");
        let run = trap.holds("main").await;
        assert!(run.err.contains("not committed"), "{key}: {}", run.err);
    }
}

#[tokio::test]
async fn git_signatures_are_not_looked_at_by_a_program_of_the_repository() {
    let trap = Trap::new();
    let at = trap.project.path(".");
    let commit = git(&at, &["cat-file", "commit", "HEAD"]);
    let (head, message) = commit.split_once("\n\n").unwrap();
    let signed = format!(
        "{head}\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n eA==\n -----END PGP SIGNATURE-----\n\n{message}\n"
    );
    trap.project.write(".git/signed", &signed);
    let id = git(&at, &["hash-object", "-w", "-t", "commit", ".git/signed"]);
    git(&at, &["update-ref", "refs/heads/main", &id]);
    trap.set("gpg.program", &trap.program());
    trap.set("log.showSignature", "true");
    trap.works(&["show", "--no-patch", "--format=%ct", "HEAD"]);
    trap.holds("main").await;
}

#[tokio::test]
async fn git_fetches_nothing_that_a_partial_clone_lacks() {
    let trap = Trap::new();
    trap.set("core.repositoryFormatVersion", "1");
    trap.set("extensions.partialClone", "origin");
    trap.set("remote.origin.promisor", "true");
    trap.set("remote.origin.url", ".");
    let fails = format!("touch '{}'; false", trap.marker.display());
    trap.set("remote.origin.uploadpack", &fails);
    trap.project
        .write(".git/refs/tags/v1.2.3", &format!("{}\n", "1".repeat(40)));
    trap.works(&[
        "rev-parse",
        "--verify",
        "--quiet",
        "refs/tags/v1.2.3^{commit}",
    ]);
    trap.holds("v1.2.3").await;
}

#[tokio::test]
async fn git_does_not_go_by_the_configuration_of_a_submodule_or_of_a_folder_that_looks_like_a_repository()
 {
    let trap = Trap::new();
    let sub = trap.project.path("sub");
    git(&trap.project.path("."), &["init", "-q", "sub"]);
    trap.project
        .write("sub/.gitattributes", "file filter=sub\n");
    trap.project.write("sub/file", "text");
    git(&sub, &["add", "--all"]);
    git(&sub, &["commit", "-q", "-m", "one"]);
    git(&trap.project.path("."), &["add", "sub"]);
    git(&trap.project.path("."), &["commit", "-q", "-m", "two"]);
    // A name that only the submodule's configuration has.
    git(&sub, &["config", "filter.sub.clean", &trap.program()]);
    trap.project.write("sub/file", "more");
    trap.works(STATUS);
    trap.project.write("sub/file", "text");
    trap.holds("main").await;
    // As a clone has it: without .git.
    let bare = trap.project.path("bare");
    git(
        &trap.project.path("."),
        &["clone", "-q", "--bare", ".", "bare"],
    );
    git(&bare, &["config", "core.bare", "false"]);
    git(&bare, &["config", "core.worktree", ".."]);
    git(&bare, &["config", "core.fsmonitor", &trap.program()]);
    git(&bare, STATUS);
    assert!(trap.marker.exists(), "the trap does not work");
    std::fs::remove_file(&trap.marker).unwrap();
    for file in ["rpub.toml", "Containerfile"] {
        std::fs::copy(trap.project.path(file), bare.join(file)).unwrap();
    }
    let run = trap
        .project
        .run(&[
            "plan",
            "main",
            "--config",
            "bare/rpub.toml",
            "--allow",
            "fs=*",
        ])
        .await;
    assert!(!trap.marker.exists(), "it ran: {}", run.err);
}

/// What git asks of a configuration in other commands than rpub's: none of it runs, however git changes.
#[tokio::test]
async fn git_runs_nothing_of_all_else_that_a_configuration_can_name() {
    let trap = Trap::new();
    let program = trap.program();
    for key in [
        "alias.status",
        "alias.rev-parse",
        "alias.show",
        "core.pager",
        "pager.status",
        "pager.show",
        "diff.external",
        "diff.evil.textconv",
        "diff.evil.command",
        "credential.helper",
        "core.editor",
        "core.sshCommand",
        "core.askPass",
        "core.gitProxy",
        "core.alternateRefsCommand",
        "uploadpack.packObjectsHook",
        "gpg.ssh.program",
        "trailer.x.command",
        "status.submoduleSummary",
    ] {
        let value = if key.starts_with("alias.") {
            format!("!{program}")
        } else {
            program.clone()
        };
        trap.set(key, &value);
    }
    trap.set("status.submoduleSummary", "true");
    trap.project.write(".gitattributes", "text diff=evil\n");
    for words in ["main", "v1.2.3", "HEAD"] {
        trap.holds(words).await;
    }
}
