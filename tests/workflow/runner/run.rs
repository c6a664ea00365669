//! Decides the order of a run's jobs: what each needs, which legs it has, and what a failure or a cancellation means for it.
//! Must never start a job before all that it needs has ended.

use super::expression::{Contexts, Scope, Status, fill_text, holds};
use super::job::{self, LegEnd, Outcome, Site};
use super::workflow::{Job, Workflow};
use super::{Hub, artifacts::Artifacts, legs};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use tokio_util::sync::CancellationToken;

/// A run of the workflow.
pub(crate) struct Run {
    hub: Arc<Hub>,
    workflow: Workflow,
    /// All but `needs`, `matrix`, `steps` and `runner`.
    contexts: Contexts,
    /// Of its concurrency.
    pub(super) group: String,
    artifacts: Artifacts,
    /// Of the attempt that is under way.
    cancel: Mutex<CancellationToken>,
    /// An error where the runner itself has failed.
    report: Mutex<Option<std::thread::Result<Report>>>,
    changed: Condvar,
}

/// A job that has ended.
#[derive(Clone)]
struct JobEnd {
    outcome: Outcome,
    outputs: Value,
    legs: Vec<LegEnd>,
}

/// How a run, or an attempt of it, ended.
#[derive(Clone)]
pub(crate) struct Report {
    jobs: BTreeMap<String, JobEnd>,
    /// What its artifacts are called.
    pub(crate) artifacts: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, job) in &self.jobs {
            writeln!(f, "==== {name}: {:?}", job.outcome)?;
            for leg in &job.legs {
                write!(f, "{leg}")?;
            }
        }
        Ok(())
    }
}

impl Report {
    /// How its jobs ended, by name.
    pub(crate) fn outcomes(&self) -> Vec<(&str, Outcome)> {
        let each = self
            .jobs
            .iter()
            .map(|(name, job)| (name.as_str(), job.outcome));
        each.collect()
    }

    /// How a job's legs ended, by the names that people see.
    pub(crate) fn legs(&self, job: &str) -> Vec<(&str, Outcome)> {
        let legs = &self.jobs[job].legs;
        legs.iter()
            .map(|leg| (leg.name.as_str(), leg.outcome))
            .collect()
    }

    /// A step of a leg: its exit code and log.
    pub(crate) fn step(&self, leg: &str, title: &str) -> (Option<i32>, &str) {
        let legs = self.jobs.values().flat_map(|job| &job.legs);
        let mut steps = legs
            .filter(|one| one.name == leg)
            .flat_map(|one| &one.steps);
        let step = steps.find(|step| step.title == title);
        let step = step.unwrap_or_else(|| panic!("no step {title:?} of {leg:?} in {self}"));
        (step.code, &step.log)
    }

    /// All that its steps wrote where people see it.
    pub(crate) fn words(&self) -> String {
        let legs = self.jobs.values().flat_map(|job| &job.legs);
        let steps = legs.flat_map(|leg| &leg.steps);
        steps
            .flat_map(|step| [step.log.as_str(), &step.summary])
            .collect()
    }
}

impl Run {
    pub(super) fn new(hub: Arc<Hub>, workflow: Workflow, contexts: Contexts, group: String) -> Run {
        Run {
            hub,
            workflow,
            contexts,
            group,
            artifacts: Artifacts::default(),
            cancel: Mutex::default(),
            report: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Somebody asks it to stop.
    pub(crate) fn cancel(&self) {
        self.cancel.lock().unwrap().cancel();
    }

    /// What its artifacts are called so far.
    pub(crate) fn artifacts(&self) -> Vec<String> {
        self.artifacts.names()
    }

    /// Returns when it has ended, however that was.
    pub(super) fn ended(&self) {
        let report = self.report.lock().unwrap();
        drop(
            self.changed
                .wait_while(report, |report| report.is_none())
                .unwrap(),
        );
    }

    /// How it ended.
    pub(crate) fn wait(&self) -> Report {
        self.ended();
        match &*self.report.lock().unwrap() {
            Some(Ok(report)) => report.clone(),
            _ => panic!("the runner cannot run it; why stands above"),
        }
    }

    pub(super) fn end(&self, report: std::thread::Result<Report>) {
        *self.report.lock().unwrap() = Some(report);
        self.changed.notify_all();
    }

    /// "Re-run failed jobs": what failed, and what needs it.
    pub(crate) fn rerun_failed(&self, attempt: u32) -> Report {
        let before = self.wait();
        // Whoever cancelled the attempt before has not cancelled this one.
        *self.cancel.lock().unwrap() = CancellationToken::new();
        self.attempt(attempt, Some(&before))
    }

    pub(super) fn attempt(&self, attempt: u32, before: Option<&Report>) -> Report {
        let mut ended: BTreeMap<String, JobEnd> = BTreeMap::new();
        let mut again: Vec<&String> = Vec::new();
        while ended.len() < self.workflow.jobs.len() {
            let ready: Vec<(&String, &Job)> = self
                .workflow
                .jobs
                .iter()
                .filter(|(name, _)| !ended.contains_key(*name))
                .filter(|(_, job)| job.needs.all().iter().all(|need| ended.contains_key(need)))
                .collect();
            assert!(!ready.is_empty(), "the jobs need each other in a circle");
            let done: Vec<(&String, bool, JobEnd)> = std::thread::scope(|scope| {
                let mut running = Vec::new();
                for (name, job) in ready {
                    let last = before.map(|before| &before.jobs[name]);
                    let fresh = job.needs.all().iter().any(|need| again.contains(&need));
                    let (ended, last) = (&ended, last.filter(|_| !fresh));
                    let work = move || match last {
                        Some(last) if last.outcome == Outcome::Success => {
                            (name, false, last.clone())
                        }
                        _ => (name, true, self.job(name, job, attempt, ended, last)),
                    };
                    running.push(scope.spawn(work));
                }
                running
                    .into_iter()
                    .map(|thread| thread.join().expect("a job"))
                    .collect()
            });
            for (name, ran, end) in done {
                again.extend(ran.then_some(name));
                ended.insert(name.clone(), end);
            }
        }
        Report {
            jobs: ended,
            artifacts: self.artifacts.names(),
        }
    }

    /// All legs of a job at once; of `last`, those that succeeded are taken as they are.
    fn job(
        &self,
        name: &str,
        job: &Job,
        attempt: u32,
        ended: &BTreeMap<String, JobEnd>,
        last: Option<&JobEnd>,
    ) -> JobEnd {
        let mut contexts = self.contexts.clone();
        contexts["github"]["run_attempt"] = json!(attempt.to_string());
        contexts["github"]["job"] = json!(name);
        let needs: Value = job
            .needs
            .all()
            .iter()
            .map(|need| (need.clone(), json!({ "outputs": ended[need].outputs })))
            .collect();
        contexts.insert("needs".to_owned(), needs);
        let outcomes = || job.needs.all().iter().map(|need| ended[need].outcome);
        let cancel = self.cancel.lock().unwrap().child_token();
        let status = if cancel.is_cancelled() {
            Status::Cancelled
        } else if outcomes().any(|outcome| outcome == Outcome::Failure) {
            Status::Failure
        } else if outcomes().all(|outcome| outcome == Outcome::Success) {
            Status::Success
        } else {
            // What it needs was skipped or cancelled, and so is it.
            Status::Cancelled
        };
        let scope = Scope {
            contexts: &contexts,
            status,
        };
        if !holds(job.condition.as_ref(), scope) {
            return JobEnd {
                outcome: Outcome::Skipped,
                outputs: json!({}),
                legs: Vec::new(),
            };
        }
        let fail_fast = job
            .strategy
            .as_ref()
            .is_some_and(|strategy| strategy.fail_fast);
        let legs = legs(job.strategy.as_ref(), scope);
        let legs: Vec<LegEnd> = std::thread::scope(|threads| {
            let run = |matrix: Option<Value>| {
                let (cancel, mut contexts) = (&cancel, contexts.clone());
                contexts.insert("matrix".to_owned(), matrix.clone().unwrap_or(json!({})));
                move || {
                    let end = self.leg(name, job, matrix.is_some(), &contexts, last, cancel);
                    if fail_fast && end.outcome == Outcome::Failure {
                        cancel.cancel();
                    }
                    end
                }
            };
            let running: Vec<_> = legs
                .into_iter()
                .map(|leg| threads.spawn(run(leg)))
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().expect("a leg"))
                .collect()
        });
        let any = |outcome| legs.iter().any(|leg| leg.outcome == outcome);
        JobEnd {
            outcome: match () {
                () if any(Outcome::Failure) => Outcome::Failure,
                () if any(Outcome::Cancelled) => Outcome::Cancelled,
                () => Outcome::Success,
            },
            outputs: legs
                .last()
                .map(|leg| leg.outputs.clone())
                .unwrap_or_default(),
            legs,
        }
    }

    fn leg(
        &self,
        name: &str,
        job: &Job,
        of_matrix: bool,
        contexts: &Contexts,
        last: Option<&JobEnd>,
        cancel: &CancellationToken,
    ) -> LegEnd {
        let scope = Scope {
            contexts,
            status: Status::Success,
        };
        let title = job.name.as_deref().unwrap_or(name);
        let title = fill_text(title, scope);
        let done = last.into_iter().flat_map(|last| &last.legs);
        if let Some(done) = done
            .filter(|leg| leg.outcome == Outcome::Success)
            .find(|leg| leg.name == title)
        {
            return done.clone();
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let site = Site {
            origin: self.hub.origin.clone(),
            web_address: format!("https://github.com/{}", self.hub.repository),
            sha: text(&contexts["github"]["sha"]),
            git_ref: text(&contexts["github"]["ref"]),
            artifacts: &self.artifacts,
            env: &self.workflow.env,
            may_be_set: self.hub.may_be_set,
        };
        let user = (self.hub.user)(of_matrix, &fill_text(&job.runs_on, scope));
        job::run(job, &title, user, &site, contexts, cancel)
    }
}
