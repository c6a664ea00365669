//! Decides nothing; names the stages.
//! Must never hold a stage's own logic.

mod git;

/// Which ref is meant, and what a release of it would do.
pub mod plan;
