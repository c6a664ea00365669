//! Decides how one job runs on one machine: step after step, each with its environment, files and condition.
//! Must never let anything of a job reach another one but by outputs and artifacts.

use super::artifacts::Artifacts;
use super::expression::{Contexts, Scope, Status, fill, fill_text, holds};
use super::machine::Machine;
use super::process::{self, End};
use super::workflow::{Job, Step, Variables};
use super::{actions, files};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// What the jobs of a run share.
pub(crate) struct Site<'a> {
    pub(crate) origin: PathBuf,
    pub(crate) web_address: String,
    pub(crate) sha: String,
    pub(crate) git_ref: String,
    pub(crate) artifacts: &'a Artifacts,
    /// The workflow's own environment.
    pub(crate) env: &'a Variables,
    /// Whether a variable with this value may be set here.
    pub(crate) may_be_set: fn(&str, &str) -> bool,
}

/// How a job, or a step, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
    Cancelled,
    Skipped,
}

/// A step that has ended.
#[derive(Clone)]
pub(crate) struct StepEnd {
    pub(crate) title: String,
    pub(crate) outcome: Outcome,
    /// Of a `run:` that was not cancelled.
    pub(crate) code: Option<i32>,
    pub(crate) log: String,
    pub(crate) summary: String,
}

/// A job, or one leg of a matrix, that has ended.
#[derive(Clone)]
pub(crate) struct LegEnd {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    pub(crate) outputs: Value,
    pub(crate) steps: Vec<StepEnd>,
}

impl fmt::Display for LegEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "== {}: {:?}", self.name, self.outcome)?;
        for step in &self.steps {
            writeln!(f, "-- {}: {:?} {:?}", step.title, step.outcome, step.code)?;
            f.write_str(&step.log)?;
        }
        Ok(())
    }
}

/// A job on its machine.
struct Running<'a> {
    job: &'a Job,
    site: &'a Site<'a>,
    machine: Machine,
    contexts: Contexts,
    /// By `GITHUB_ENV`.
    env: BTreeMap<String, String>,
    /// By `GITHUB_PATH`, the last one first.
    path: Vec<String>,
    status: Status,
    steps: Vec<StepEnd>,
}

/// Runs a job for `user` to its end.
pub(crate) fn run(
    job: &Job,
    name: &str,
    user: &'static str,
    site: &Site<'_>,
    contexts: &Contexts,
    cancel: &CancellationToken,
) -> LegEnd {
    let machine = Machine::start(user);
    let mut contexts = contexts.clone();
    contexts["github"]["workspace"] = json!(machine.workspace());
    contexts.insert(
        "runner".to_owned(),
        json!({ "temp": machine.path("tmp"), "os": "Linux" }),
    );
    contexts.insert("steps".to_owned(), json!({}));
    let mut running = Running {
        job,
        site,
        machine,
        contexts,
        env: BTreeMap::new(),
        path: Vec::new(),
        status: Status::Success,
        steps: Vec::new(),
    };
    for (number, step) in job.steps.iter().enumerate() {
        running.step(number, step, cancel);
    }
    let outputs = job.outputs.iter().map(|(name, value)| {
        let value = fill(value, running.scope());
        (name.clone(), value)
    });
    LegEnd {
        name: name.to_owned(),
        outcome: match running.status {
            Status::Success => Outcome::Success,
            Status::Failure => Outcome::Failure,
            Status::Cancelled => Outcome::Cancelled,
        },
        outputs: Value::Object(outputs.collect()),
        steps: running.steps,
    }
}

impl Running<'_> {
    fn scope(&self) -> Scope<'_> {
        Scope {
            contexts: &self.contexts,
            status: self.status,
        }
    }

    fn step(&mut self, number: usize, step: &Step, cancel: &CancellationToken) {
        if cancel.is_cancelled() {
            self.status = Status::Cancelled;
        }
        let title = fill_text(&step.title(), self.scope());
        let mut end = StepEnd {
            title,
            outcome: Outcome::Skipped,
            code: None,
            log: String::new(),
            summary: String::new(),
        };
        let mut outputs = json!({});
        if holds(step.condition.as_ref(), self.scope()) {
            match (&step.uses, &step.run) {
                (Some(uses), None) => self.action(uses, step, &mut end),
                (None, Some(script)) => {
                    outputs = self.script(number, script, step, cancel, &mut end);
                }
                _ => panic!("{}: either uses or run", end.title),
            }
        }
        match end.outcome {
            Outcome::Failure if self.status == Status::Success => self.status = Status::Failure,
            Outcome::Cancelled => self.status = Status::Cancelled,
            _ => {}
        }
        if let Some(id) = &step.id {
            self.contexts["steps"][id] = json!({ "outputs": outputs });
        }
        self.steps.push(end);
    }

    fn action(&mut self, uses: &str, step: &Step, end: &mut StepEnd) {
        assert!(step.env.is_empty() && step.shell.is_none(), "{uses}");
        match actions::run(uses, step, self.scope(), &self.machine, self.site) {
            Ok(path) => {
                end.outcome = Outcome::Success;
                self.path.extend(path);
            }
            Err(why) => (end.outcome, end.log) = (Outcome::Failure, why + "\n"),
        }
    }

    /// The step's outputs.
    fn script(
        &mut self,
        number: usize,
        script: &str,
        step: &Step,
        cancel: &CancellationToken,
        end: &mut StepEnd,
    ) -> Value {
        let file = |name: &str| self.machine.path(&format!("files/{number}.{name}"));
        std::fs::write(file("sh"), fill_text(script, self.scope())).unwrap();
        let mut env = self.environment(step);
        let files = ["output", "env", "path", "step_summary"];
        for name in files {
            File::create(file(name)).unwrap();
            let variable = format!("GITHUB_{}", name.to_uppercase());
            env.insert(variable, file(name).display().to_string());
        }
        self.machine.hand_over();
        let path = file("sh").display().to_string();
        let words: &[&str] = match step.shell.as_deref() {
            None => &["bash", "-e", &path],
            Some("bash") => &["bash", "--noprofile", "--norc", "-eo", "pipefail", &path],
            Some(other) => panic!("the runner does not know the shell {other}"),
        };
        let command = self.machine.command(&env, &self.machine.workspace(), words);
        let log = File::create(file("log")).unwrap();
        let ended = process::run(command, &log, &self.machine, cancel);
        (end.outcome, end.code) = match ended {
            End::Exited(Some(0)) => (Outcome::Success, Some(0)),
            End::Exited(code) => (Outcome::Failure, code),
            End::Cancelled => (Outcome::Cancelled, None),
        };
        let read =
            |name: &str| String::from_utf8_lossy(&std::fs::read(file(name)).unwrap()).into_owned();
        end.log = read("log");
        end.summary = read("step_summary");
        let outputs = files::pairs(&read("output"));
        let (env, path) = (files::pairs(&read("env")), read("path"));
        self.env.extend(env);
        self.path.extend(path.lines().map(str::to_owned));
        outputs
            .into_iter()
            .map(|(name, value)| (name, Value::String(value)))
            .collect()
    }

    /// The nearest word counts: the step's, what steps before it have set, the job's, the workflow's.
    fn environment(&self, step: &Step) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for name in [
            "actor",
            "event_name",
            "ref",
            "ref_name",
            "ref_type",
            "repository",
            "repository_owner",
            "run_attempt",
            "run_id",
            "run_number",
            "server_url",
            "sha",
            "workflow",
            "workspace",
            "job",
        ] {
            let value = &self.contexts["github"][name];
            let text = value
                .as_str()
                .unwrap_or_else(|| panic!("github.{name} is {value}"));
            env.insert(format!("GITHUB_{}", name.to_uppercase()), text.to_owned());
        }
        env.insert("CI".to_owned(), "true".to_owned());
        env.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
        env.insert("RUNNER_OS".to_owned(), "Linux".to_owned());
        env.insert(
            "RUNNER_TEMP".to_owned(),
            self.machine.path("tmp").display().to_string(),
        );
        env.extend(self.filled(self.site.env));
        env.extend(self.filled(&self.job.env));
        env.extend(self.env.clone());
        env.extend(self.filled(&step.env));
        env.retain(|name, value| (self.site.may_be_set)(name, value));
        let mut path: Vec<&str> = self.path.iter().rev().map(String::as_str).collect();
        path.push("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        env.insert("PATH".to_owned(), path.join(":"));
        env
    }

    fn filled(&self, variables: &Variables) -> Vec<(String, String)> {
        let fill = |(name, value): (&String, &Value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (name.clone(), fill_text(&text, self.scope()))
        };
        variables.iter().map(fill).collect()
    }
}
