//! Decides what GitHub does when something is pushed or dispatched: which run starts, which older one it ends first.
//! Must never know what the workflow is for.

mod actions;
mod artifacts;
mod expression;
mod files;
mod job;
mod machine;
mod process;
mod run;
mod workflow;

pub(crate) use job::Outcome;
pub(crate) use run::{Report, Run};

use expression::{Contexts, Scope, Status, fill, fill_text};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use workflow::Workflow;

/// Where the workflow lies in the repository.
const FILE: &str = ".github/workflows/release.yml";

/// A repository on GitHub, with its runners.
pub(crate) struct Hub {
    /// The git repository.
    pub(crate) origin: PathBuf,
    /// `OWNER/NAME`
    pub(crate) repository: String,
    pub(crate) secrets: Value,
    /// The job's token.
    pub(crate) token: String,
    /// Which user stands for the machine of a job: whether it is a leg of a matrix, and its label.
    pub(crate) user: fn(bool, &str) -> &'static str,
    /// Whether a variable with this value may be set here.
    pub(crate) may_be_set: fn(&str, &str) -> bool,
    /// All runs so far, the oldest first.
    pub(crate) runs: Mutex<Vec<Arc<Run>>>,
}

impl Hub {
    /// git in the repository; what it says.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        git(&self.origin, args)
    }

    /// Somebody has pushed this ref: the run that it starts, if it starts one.
    pub(crate) fn pushed(self: &Arc<Self>, git_ref: &str) -> Option<Arc<Run>> {
        let workflow = self.workflow(git_ref);
        let starts = workflow.is_started_by(git_ref);
        starts.then(|| self.start(workflow, "push", git_ref, &json!({})))
    }

    /// Somebody has started the workflow by hand, with these inputs.
    pub(crate) fn dispatched(self: &Arc<Self>, git_ref: &str, given: &Value) -> Arc<Run> {
        let workflow = self.workflow(git_ref);
        let known = &workflow.on.workflow_dispatch.inputs;
        for name in given.as_object().unwrap().keys() {
            assert!(known.contains_key(name), "GitHub knows no input {name}");
        }
        let inputs: serde_json::Map<String, Value> = known
            .iter()
            .map(|(name, input)| {
                let value = given.get(name).unwrap_or(&input.default);
                let fits = match input.kind.as_str() {
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    other => panic!("the runner does not know inputs that are {other}"),
                };
                assert!(fits, "{name} is {value}");
                (name.clone(), value.clone())
            })
            .collect();
        self.start(
            workflow,
            "workflow_dispatch",
            git_ref,
            &Value::Object(inputs),
        )
    }

    fn workflow(&self, git_ref: &str) -> Workflow {
        Workflow::parse(&self.git(&["show", &format!("{git_ref}:{FILE}")]))
    }

    fn start(
        self: &Arc<Self>,
        workflow: Workflow,
        event: &str,
        git_ref: &str,
        inputs: &Value,
    ) -> Arc<Run> {
        let sha = self.git(&["rev-parse", &format!("{git_ref}^{{commit}}")]);
        let (kind, short) = match git_ref.strip_prefix("refs/heads/") {
            Some(branch) => ("branch", branch),
            None => ("tag", git_ref.strip_prefix("refs/tags/").unwrap()),
        };
        let mut runs = self.runs.lock().unwrap();
        let number = (runs.len() + 1).to_string();
        let mut contexts = Contexts::new();
        contexts.insert(
            "github".to_owned(),
            json!({
                "actor": "somebody",
                "event_name": event,
                "ref": git_ref,
                "ref_name": short,
                "ref_type": kind,
                "repository": self.repository,
                "repository_owner": self.repository.split('/').next().unwrap(),
                "run_id": format!("90{number}"),
                "run_number": number,
                "server_url": "https://github.com",
                "sha": sha,
                "token": self.token,
                "workflow": workflow.name,
            }),
        );
        contexts.insert("inputs".to_owned(), inputs.clone());
        contexts.insert("secrets".to_owned(), self.secrets.clone());
        let scope = Scope {
            contexts: &contexts,
            status: Status::Success,
        };
        let group = fill_text(&workflow.concurrency.group, scope);
        let ends_older = workflow.concurrency.cancel_in_progress;
        let same_group = runs.iter().filter(|run| run.group == group);
        let before: Vec<Arc<Run>> = same_group.cloned().collect();
        let run = Arc::new(Run::new(Arc::clone(self), workflow, contexts, group));
        runs.push(Arc::clone(&run));
        drop(runs);
        let own = Arc::clone(&run);
        std::thread::spawn(move || {
            for older in &before {
                if ends_older {
                    older.cancel();
                }
                older.ended();
            }
            // Who waits for the run is told what went wrong in it.
            let report = catch_unwind(AssertUnwindSafe(|| own.attempt(1, None)));
            own.end(report);
        });
        run
    }
}

/// git in a folder; what it says.
pub(crate) fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(args)
        .output()
        .expect("git");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {said}");
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

/// A leg of a matrix: the values of `strategy.matrix.include`, or none at all for a job without one.
fn legs(strategy: Option<&workflow::Strategy>, scope: Scope<'_>) -> Vec<Option<Value>> {
    let Some(strategy) = strategy else {
        return vec![None];
    };
    let mut matrix = fill(&strategy.matrix, scope);
    let include = matrix["include"].take();
    let Value::Array(include) = include else {
        panic!("the runner knows a matrix of include alone, not {matrix}");
    };
    assert_eq!(
        matrix,
        json!({ "include": null }),
        "the runner knows include alone"
    );
    assert!(!include.is_empty(), "GitHub refuses an empty matrix");
    include.into_iter().map(Some).collect()
}
