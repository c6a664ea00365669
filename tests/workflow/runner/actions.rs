//! Decides what stands here for the actions that the workflow uses.
//! Must never pass over an action or a setting that it does not know.

use super::expression::{Scope, fill_text};
use super::job::Site;
use super::machine::Machine;
use super::workflow::Step;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Does what the action does; why it fails. What goes on the PATH is answered.
pub(crate) fn run(
    uses: &str,
    step: &Step,
    scope: Scope<'_>,
    machine: &Machine,
    site: &Site<'_>,
) -> Result<Option<String>, String> {
    let given = step.given.iter().map(|(name, value)| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), fill_text(&text, scope))
    });
    let mut given: BTreeMap<String, String> = given.collect();
    let mut take = |name: &str| given.remove(name);
    let action = uses.split('@').next().unwrap_or_default();
    let mut path = None;
    let outcome = match action {
        "actions/checkout" => {
            // The credentials would be the job's token, in the checkout's .git.
            assert_eq!(take("persist-credentials").as_deref(), Some("false"));
            checkout(machine, site);
            Ok(())
        }
        "actions/upload-artifact" => {
            assert_eq!(take("if-no-files-found").as_deref(), Some("error"));
            take("retention-days");
            let overwrite = take("overwrite").is_some_and(|text| text == "true");
            let (name, from) = (take("name").unwrap(), take("path").unwrap());
            let from = machine.workspace().join(from.trim_end_matches('/'));
            site.artifacts.upload(&name, &from, overwrite)
        }
        "actions/download-artifact" => {
            assert_eq!(take("merge-multiple").as_deref(), Some("true"));
            let pattern = take("pattern").unwrap();
            let start = pattern.strip_suffix('*').expect("a pattern NAME*");
            let to = machine.workspace().join(take("path").unwrap());
            site.artifacts.download_merged(start, &to);
            Ok(())
        }
        // Of rpub's own repository it builds the checkout, by the network and for minutes: this is the same code, built
        // for this test.
        "./.github/actions/rpub" => {
            let there = machine.workspace().join(action).join("action.yml");
            assert!(there.exists(), "GitHub takes it from the checkout");
            let binary = Path::new(env!("CARGO_BIN_EXE_rpub"));
            path = Some(binary.parent().unwrap().display().to_string());
            Ok(())
        }
        _ => panic!("the runner does not know the action {uses}"),
    };
    assert!(
        given.is_empty(),
        "the runner does not know {given:?} of {uses}"
    );
    machine.hand_over();
    outcome.map(|()| path)
}

/// As actions/checkout does it: the one commit, under the name of the ref that started the run.
fn checkout(machine: &Machine, site: &Site<'_>) {
    let workspace = machine.workspace();
    let (sha, git_ref) = (&site.sha, &site.git_ref);
    let git = |args: &[&str]| {
        let output = Command::new("git")
            // The folder is its user's already.
            .args(["-c", "safe.directory=*", "-C"])
            .arg(&workspace)
            .args(args)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {said}");
    };
    let from = format!("file://{}", site.origin.display());
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["remote", "add", "origin", &site.web_address]);
    if let Some(branch) = git_ref.strip_prefix("refs/heads/") {
        let remote = format!("refs/remotes/origin/{branch}");
        git(&[
            "fetch",
            "--quiet",
            "--no-tags",
            "--depth=1",
            &from,
            &format!("+{sha}:{remote}"),
        ]);
        git(&["checkout", "--quiet", "--force", "-B", branch, &remote]);
    } else {
        git(&[
            "fetch",
            "--quiet",
            "--no-tags",
            "--depth=1",
            &from,
            &format!("+{sha}:{git_ref}"),
        ]);
        git(&["checkout", "--quiet", "--force", git_ref]);
    }
}
