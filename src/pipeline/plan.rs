//! Decides which ref is meant and gathers what the plan needs to know of it: from the argument, CI's environment, git.
//! Must never touch the network, or let an image be labelled with a commit that was not built.

use super::git::Git;
use crate::{
    error::{Error, Result},
    events::{Event, Events},
    model::{
        nearest::nearest,
        plan::{Inputs, NoPlan, Plan, Tagging},
        run::Run,
        spec::Spec,
        trace::Fact,
        version::{BadVersion, GitRef, Revision, Version},
    },
};
use std::path::Path;

/// Looks an environment variable up.
pub type Env = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What the user asked for, as far as he did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// REF: else `GITHUB_REF`, else git HEAD.
    pub git_ref: Option<&'a str>,
    /// The one tag to publish under.
    pub tag: Option<&'a str>,
    /// The images wanted; all of them when empty.
    pub images: &'a [String],
}

/// What a release of what was asked for would do.
pub fn make(
    spec: &Spec,
    folder: &Path,
    asked: Asked<'_>,
    env: &Env,
    events: &Events,
) -> Result<Plan> {
    let tagging = tagging(asked, env)?;
    let inputs = gather(folder, asked.git_ref, tagging, env, events)?;
    let only = asked.images;
    let plan = crate::model::plan::plan(spec, &inputs, only)
        .map_err(|error| impossible(&error, inputs.git_ref.to_string()))?;
    let planned = Fact::Planned {
        plan: Box::new(plan.document()),
        run: plan.run.as_ref().map(|run| run.url.clone()),
    };
    events.send(Event::Fact(planned));
    Ok(plan)
}

/// Why there is no plan, at a place, and what to do.
pub(super) fn impossible(error: &NoPlan, place: String) -> Error {
    let hint = match error {
        NoPlan::Tag(_) => "run it in a git repository, or change the pattern under [tags]",
        NoPlan::NoTags(_) => "add a pattern to manual under [tags] in rpub.toml",
        NoPlan::Name(_) => "shorten the namespace or the image's name",
        NoPlan::NoImage {
            nearest: Some(n), ..
        } => &format!("did you mean {n:?}?"),
        NoPlan::NoImage { .. } => "rpub plan lists the images",
        NoPlan::Twice(_) => "name each destination once",
        NoPlan::BadTag(_) | NoPlan::Reserved(_) => TAG_HINT,
    };
    Error::usage(error.to_string(), place, hint)
}

const TAG_HINT: &str = "name another tag; to release a version, push its git tag: v1.2.3";

/// Who asks for a tag gets that; who starts the workflow by hand gets the tags for that.
fn tagging(asked: Asked<'_>, env: &Env) -> Result<Tagging> {
    // GitHub gives an input that was left out as an empty text.
    if let Some(tag) = asked.tag.filter(|tag| !tag.is_empty()) {
        return Tagging::named(tag)
            .map_err(|error| Error::usage(error.to_string(), "--tag", TAG_HINT));
    }
    let asked_for = asked.git_ref.map(str::to_owned);
    let by_hand = env("GITHUB_EVENT_NAME").is_some_and(|event| event == "workflow_dispatch")
        && (asked_for.is_none() || asked_for == env("GITHUB_REF"));
    Ok(if by_hand {
        Tagging::ByHand
    } else {
        Tagging::ByRef
    })
}

fn gather(
    folder: &Path,
    asked: Option<&str>,
    tagging: Tagging,
    env: &Env,
    events: &Events,
) -> Result<Inputs> {
    let git = Git::open(folder)?;
    let git = git.as_ref();
    let from_ci = env("GITHUB_REF").filter(|text| !text.is_empty());
    let git_ref = match (asked, &from_ci) {
        (Some(asked), _) => named(asked, git)?,
        (None, Some(full)) => GitRef::parse(full).map_err(|e| refused(&e))?,
        (None, None) => current(git)?,
    };
    let head = git.and_then(|git| git.commit("HEAD"));
    if let (Some(git), Some(head)) = (git, &head) {
        check_checked_out(git, &git_ref, head)?;
        if git.is_dirty() {
            events.send(Event::Warning(
                "the working tree has changes that are not committed: they will be in the image"
                    .to_owned(),
            ));
        }
    }
    let revision = head.or_else(|| env("GITHUB_SHA").filter(|_| git.is_none()));
    Ok(Inputs {
        tagging,
        git_ref,
        // git and GitHub give full commit ids; anything else is as good as none.
        revision: revision.and_then(|text| text.parse::<Revision>().ok()),
        created: created(git, env)?,
        source: git.and_then(Git::source),
        run: Run::of_github(env),
    })
}

fn refused(error: &BadVersion) -> Error {
    let hint = match &error.nearest {
        Some(nearest) => format!("tag it {nearest}"),
        None => "use a tag such as v1.2.3".to_owned(),
    };
    Error::usage(error.to_string(), "REF", hint)
}

/// The ref that a user's word names: a full ref, a version, a tag or a branch.
fn named(asked: &str, git: Option<&Git<'_>>) -> Result<GitRef> {
    if asked.starts_with("refs/") {
        return GitRef::parse(asked).map_err(|e| refused(&e));
    }
    let exists =
        |kind: &str| git.is_some_and(|g| g.commit(&format!("refs/{kind}/{asked}")).is_some());
    if exists("heads") && !exists("tags") {
        return Ok(GitRef::Branch(asked.to_owned()));
    }
    let version = Version::of_git_tag(asked).map_err(|e| refused(&e))?;
    if version.is_some() || exists("tags") {
        return GitRef::parse(&format!("refs/tags/{asked}")).map_err(|e| refused(&e));
    }
    if asked == "HEAD" {
        return current(git);
    }
    let known = git.map(Git::names).unwrap_or_default();
    let hint = match nearest(asked, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "name a version (v1.2.3), a branch, or a full ref (refs/heads/main)".to_owned(),
    };
    Err(Error::usage(
        format!("there is no branch or tag {asked:?}"),
        "REF",
        hint,
    ))
}

/// The ref that is checked out.
fn current(git: Option<&Git<'_>>) -> Result<GitRef> {
    let Some(git) = git else {
        return Err(Error::usage(
            "there is no ref to release: this is no git repository",
            "REF",
            "name one: rpub release v1.2.3",
        ));
    };
    if let Some(full) = git.head_ref() {
        return GitRef::parse(&full).map_err(|e| refused(&e));
    }
    let tags = git.tags_at_head();
    let version = tags
        .iter()
        .find_map(|tag| match GitRef::parse(&format!("refs/tags/{tag}")) {
            Ok(version @ GitRef::Version(..)) => Some(version),
            _ => None,
        });
    Ok(version.unwrap_or_else(|| GitRef::Other("HEAD".to_owned())))
}

/// What is built is what is checked out, so a ref that leads elsewhere would put a wrong commit on the label.
fn check_checked_out(git: &Git<'_>, git_ref: &GitRef, head: &str) -> Result<()> {
    let Some(commit) = git.commit(&git_ref.to_string()) else {
        return Ok(());
    };
    if commit == head {
        return Ok(());
    }
    let short = |commit: &str| commit.chars().take(7).collect::<String>();
    Err(Error::usage(
        format!(
            "{git_ref} is commit {}, and {} is checked out",
            short(&commit),
            short(head)
        ),
        "REF",
        format!("git checkout {}", git_ref.short()),
    ))
}

/// The time, in whole seconds.
pub(super) fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now().as_second();
    // The clock's own seconds are in range.
    jiff::Timestamp::from_second(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

fn created(git: Option<&Git<'_>>, env: &Env) -> Result<jiff::Timestamp> {
    let seconds = match env("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) {
        Some(text) => Some(text.parse::<i64>().map_err(|_| {
            Error::usage(
                format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds"),
                "the environment",
                "set it to seconds since 1970, or unset it",
            )
        })?),
        None => git.and_then(Git::commit_time),
    };
    let Some(seconds) = seconds else {
        return Ok(now());
    };
    jiff::Timestamp::from_second(seconds).map_err(|_| {
        Error::usage(
            format!("{seconds} is no time"),
            "SOURCE_DATE_EPOCH",
            "set it to seconds since 1970, or unset it",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for args in [
            &["init", "-q", "-b", "main"][..],
            &[
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.org",
                "commit",
                "-q",
                "--allow-empty",
                "-m",
                "one",
            ],
            &["tag", "v1.2.3"],
            &["tag", "v1.10.0"],
            &[
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@example.org",
                "commit",
                "-q",
                "--allow-empty",
                "-m",
                "two",
            ],
            &["tag", "nightly"],
            &[
                "remote",
                "add",
                "origin",
                "https://x:secret@example.org/o/r.git",
            ],
        ] {
            git(folder.path(), args);
        }
        folder
    }

    fn git(folder: &Path, args: &[&str]) {
        let status = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(args)
            .status();
        assert!(status.unwrap().success(), "{args:?}");
    }

    fn ref_of(folder: &Path, asked: Option<&str>, env: &Env) -> Result<String> {
        Ok(
            gather(folder, asked, Tagging::ByRef, env, &Events::default())?
                .git_ref
                .to_string(),
        )
    }

    const NOTHING: fn(&str) -> Option<String> = |_| None;

    #[test]
    fn the_ref_comes_from_the_argument_then_ci_then_git() {
        let folder = repository();
        let ci = |name: &str| (name == "GITHUB_REF").then(|| "refs/heads/main".to_owned());
        for (asked, env, expected) in [
            (None, &NOTHING as &Env, "refs/heads/main"),
            (Some("main"), &NOTHING, "refs/heads/main"),
            (Some("HEAD"), &NOTHING, "refs/heads/main"),
            (Some("nightly"), &NOTHING, "refs/tags/nightly"),
            (Some("v9.9.9"), &NOTHING, "refs/tags/v9.9.9"),
            (Some("refs/pull/7/merge"), &NOTHING, "refs/pull/7/merge"),
            (None, &ci, "refs/heads/main"),
            (Some("v9.9.9"), &ci, "refs/tags/v9.9.9"),
        ] {
            assert_eq!(
                ref_of(folder.path(), asked, env).unwrap(),
                expected,
                "{asked:?}"
            );
        }
    }

    #[test]
    fn a_tag_of_another_commit_is_refused_and_a_checked_out_one_is_found() {
        let folder = repository();
        let error = ref_of(folder.path(), Some("v1.2.3"), &NOTHING).unwrap_err();
        assert!(error.hint.contains("git checkout v1.2.3"), "{error:?}");
        git(folder.path(), &["checkout", "-q", "v1.2.3"]);
        let found = ref_of(folder.path(), None, &NOTHING).unwrap();
        assert_eq!(found, "refs/tags/v1.10.0", "the highest version at HEAD");
    }

    #[test]
    fn wrong_words_are_told_with_exit_2() {
        let folder = repository();
        for (asked, hint) in [
            ("v1.2", "v1.2.0"),
            ("mian", "main"),
            ("1.2.3", "v1.2.3"),
            ("zzz", "name a version"),
        ] {
            let error = ref_of(folder.path(), Some(asked), &NOTHING).unwrap_err();
            assert_eq!(error.kind.exit_code(), 2);
            assert!(error.hint.contains(hint), "{asked}: {error:?}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(
            ref_of(empty.path(), None, &NOTHING)
                .unwrap_err()
                .hint
                .contains("v1.2.3")
        );
        assert!(ref_of(empty.path(), Some("v1.2.3"), &NOTHING).is_ok());
        let bad = |name: &str| (name == "SOURCE_DATE_EPOCH").then(|| "soon".to_owned());
        assert!(ref_of(folder.path(), None, &bad).is_err());
    }

    #[test]
    fn the_commit_its_time_and_the_remote_are_known() {
        let folder = repository();
        let epoch = |name: &str| (name == "SOURCE_DATE_EPOCH").then(|| "7".to_owned());
        let inputs = gather(
            folder.path(),
            None,
            Tagging::ByRef,
            &epoch,
            &Events::default(),
        )
        .unwrap();
        assert!(inputs.revision.is_some());
        assert_eq!(inputs.created.as_second(), 7);
        assert_eq!(inputs.source.as_deref(), Some("https://example.org/o/r"));
    }
}
