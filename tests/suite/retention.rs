//! Decides that pruning can hurt nobody: over random repositories nothing that anything needs goes, and all the rest does.
//! Must never look at how `retention` finds out what is reached: the oracle goes another way.

/// What others do between two deletions.
mod concurrent;
/// What would be lost, one small repository each.
mod lost;
/// What is reached, by a table of all pairs.
mod oracle;
/// What must be true of every decision.
mod property;
/// A repository by small numbers.
mod repository;
/// One small repository by names.
mod scene;
/// What random repositories have in them.
mod shapes;
/// What would stay for ever.
mod stays;
/// Random repositories.
mod strategy;

use proptest::test_runner::{Config, TestRunner};

/// How many random repositories: enough by default for what is promised, more on demand.
fn cases() -> u32 {
    let asked = std::env::var("RPUB_PRUNE_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 100_000,
        ..Config::default()
    })
}
