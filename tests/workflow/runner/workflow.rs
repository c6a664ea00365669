//! Decides what a workflow file may hold for this runner to run it.
//! Must never pass over a key: one that is not here ends the test.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Variables with their values, expressions not filled in.
pub(crate) type Variables = BTreeMap<String, Value>;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workflow {
    pub(crate) name: String,
    pub(crate) on: Triggers,
    pub(crate) concurrency: Concurrency,
    /// What the token may do is GitHub's affair.
    #[serde(rename = "permissions")]
    _permissions: Value,
    #[serde(default)]
    pub(crate) env: Variables,
    pub(crate) jobs: BTreeMap<String, Job>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Triggers {
    pub(crate) push: Push,
    pub(crate) workflow_dispatch: Dispatch,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Push {
    pub(crate) branches: Vec<String>,
    pub(crate) tags: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dispatch {
    pub(crate) inputs: BTreeMap<String, Input>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    #[serde(rename = "description")]
    _description: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) default: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Concurrency {
    pub(crate) group: String,
    pub(crate) cancel_in_progress: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Job {
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) needs: Names,
    #[serde(rename = "if")]
    pub(crate) condition: Option<Value>,
    pub(crate) runs_on: String,
    /// The test's own limit is shorter.
    #[serde(rename = "timeout-minutes")]
    _timeout_minutes: u32,
    #[serde(rename = "permissions")]
    _permissions: Option<Value>,
    #[serde(default)]
    pub(crate) outputs: Variables,
    pub(crate) strategy: Option<Strategy>,
    #[serde(default)]
    pub(crate) env: Variables,
    pub(crate) steps: Vec<Step>,
}

/// One name, or a list of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(untagged)]
pub(crate) enum Names {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl Names {
    pub(crate) fn all(&self) -> &[String] {
        match self {
            Names::None => &[],
            Names::One(name) => std::slice::from_ref(name),
            Names::Many(names) => names,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Strategy {
    pub(crate) matrix: Value,
    #[serde(default = "yes")]
    pub(crate) fail_fast: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) id: Option<String>,
    name: Option<String>,
    #[serde(rename = "if")]
    pub(crate) condition: Option<Value>,
    pub(crate) uses: Option<String>,
    #[serde(default, rename = "with")]
    pub(crate) given: Variables,
    pub(crate) run: Option<String>,
    pub(crate) shell: Option<String>,
    #[serde(default)]
    pub(crate) env: Variables,
}

impl Step {
    /// How people see it.
    pub(crate) fn title(&self) -> String {
        let named = self.name.clone().or_else(|| self.uses.clone());
        named
            .or_else(|| self.id.clone())
            .unwrap_or_else(|| "run".to_owned())
    }
}

impl Workflow {
    pub(crate) fn parse(text: &str) -> Workflow {
        let document: Value = serde_saphyr::from_str(text).expect("it is YAML");
        serde_json::from_value(document).expect("the runner knows all of the workflow")
    }

    /// Whether a push of this ref starts it.
    pub(crate) fn is_started_by(&self, git_ref: &str) -> bool {
        let fits = |pattern: &String, name: &str| {
            let special = ['?', '+', '[', ']', '!', '*'];
            match pattern.strip_suffix('*') {
                Some(start) if !start.contains(special) => {
                    name.starts_with(start) && !name[start.len()..].contains('/')
                }
                None if !pattern.contains(special) => name == pattern,
                _ => panic!("the runner does not know the pattern {pattern:?}"),
            }
        };
        let push = &self.on.push;
        if let Some(branch) = git_ref.strip_prefix("refs/heads/") {
            push.branches.iter().any(|pattern| fits(pattern, branch))
        } else {
            let tag = git_ref
                .strip_prefix("refs/tags/")
                .expect("a branch or a tag");
            push.tags.iter().any(|pattern| fits(pattern, tag))
        }
    }
}

#[test]
fn workflow_with_an_unknown_key_ends_the_test() {
    let text = include_str!("../../../.github/workflows/release.yml");
    let workflow = Workflow::parse(text);
    assert!(workflow.is_started_by("refs/heads/main") && workflow.is_started_by("refs/tags/v1"));
    assert!(!workflow.is_started_by("refs/heads/other") && !workflow.is_started_by("refs/tags/x"));
    let other = text.replacen("    runs-on:", "    container: x\n    runs-on:", 1);
    assert_ne!(text, other);
    assert!(std::panic::catch_unwind(|| Workflow::parse(&other)).is_err());
}
