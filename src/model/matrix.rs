//! Decides which machine of GitHub's builds each image and platform: one job for each, on its native runner (FR-003).
//! Must never give a platform to a runner that would have to emulate it.

use super::{plan::Plan, platform::Platform};
use serde::Serialize;

/// GitHub's own runners, by what they run natively.
const RUNNERS: &[(&str, &str)] = &[
    ("linux/amd64", "ubuntu-24.04"),
    ("linux/arm64", "ubuntu-24.04-arm"),
];

/// What `strategy.matrix` of a GitHub workflow takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// One per job.
    pub include: Vec<Job>,
}

/// One image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Its name in rpub.toml.
    pub image: String,
    /// `os/arch[/variant]`.
    pub platform: String,
    /// Names the job's artifact: unique within the run, and without a `/`.
    pub slug: String,
    /// The runner's label.
    pub runner: &'static str,
}

/// GitHub has no runner that runs it natively.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("GitHub has no runner that runs {platform} natively, which {image} wants")]
pub struct NoRunner {
    image: String,
    platform: Platform,
}

impl Plan {
    /// One job per image and platform, in the plan's order.
    pub fn matrix(&self) -> Result<Matrix, NoRunner> {
        let mut include = Vec::new();
        for image in &self.images {
            for (platform, _) in &image.spec.platforms {
                let text = platform.to_string();
                let known = RUNNERS.iter().find(|(native, _)| *native == text);
                let (_, runner) = known.ok_or_else(|| NoRunner {
                    image: image.name().to_string(),
                    platform: platform.clone(),
                })?;
                include.push(Job {
                    image: image.name().to_string(),
                    slug: format!(
                        "{}.{}",
                        image.name().as_str().replace('/', "_"),
                        platform.slug()
                    ),
                    platform: text,
                    runner,
                });
            }
        }
        Ok(Matrix { include })
    }
}
