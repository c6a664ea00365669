//! Decides nothing; the binary of the tests that play GitHub: they run the release workflow, and need root for its machines.
//! Must never be started through scripts/rootless: its jobs are, each by a user of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod cancelled;
mod published;
mod refused;
mod runner;
mod support;
mod world;
