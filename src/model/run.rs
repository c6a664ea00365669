//! Decides which CI run this is, so that what another one made is told apart.
//! Must never take an attempt of the same run for another run: who runs failed jobs again keeps what the others made.

use serde::{Deserialize, Serialize};

/// One run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// GitHub's number of it, as text.
    pub id: String,
    /// Which try of it, from 1.
    pub attempt: u32,
    /// Where people look at it.
    pub url: String,
}

impl Run {
    /// From GitHub's environment; none elsewhere.
    pub fn of_github(env: &dyn Fn(&str) -> Option<String>) -> Option<Run> {
        let get = |name: &str| env(name).filter(|text| !text.is_empty());
        let id = get("GITHUB_RUN_ID")?;
        let attempt = get("GITHUB_RUN_ATTEMPT").and_then(|text| text.parse().ok());
        let server = get("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned());
        let url = match get("GITHUB_REPOSITORY") {
            Some(repository) => format!("{server}/{repository}/actions/runs/{id}"),
            None => String::new(),
        };
        Some(Run {
            id,
            attempt: attempt.unwrap_or(1),
            url,
        })
    }

    /// Why what `made` made is none of this run's: it is of another one, or of a try that is still to come.
    pub fn differs_from(&self, made: Option<&Run>) -> Option<(String, String)> {
        let text = |run: &Run| format!("{} (attempt {})", run.id, run.attempt);
        match made {
            Some(made) if made.id == self.id && made.attempt <= self.attempt => None,
            Some(made) => Some((text(made), text(self))),
            None => Some(("none".to_owned(), text(self))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_known_by_its_number_and_not_by_its_try() {
        let env = |name: &str| {
            let value = match name {
                "GITHUB_RUN_ID" => "77",
                "GITHUB_RUN_ATTEMPT" => "2",
                "GITHUB_REPOSITORY" => "o/r",
                _ => "",
            };
            Some(value.to_owned())
        };
        let run = Run::of_github(&env).unwrap();
        assert_eq!(run.url, "https://github.com/o/r/actions/runs/77");
        let of = |id: &str, attempt| Run {
            id: id.to_owned(),
            attempt,
            url: String::new(),
        };
        for (made, same) in [
            (Some(of("77", 1)), true),
            (Some(of("77", 2)), true),
            (Some(of("77", 3)), false),
            (Some(of("76", 1)), false),
            (None, false),
        ] {
            assert_eq!(run.differs_from(made.as_ref()).is_none(), same, "{made:?}");
        }
        assert_eq!(Run::of_github(&|_| None), None);
    }
}
