//! Decides nothing; names the stages.
//! Must never hold a stage's own logic.
