//! Decides nothing; one binary for all tests that need more than one module, so that they link once.
//! Must never hold a test itself.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod podman;
mod registry;
mod relay;
mod simulation;
mod store;
mod support;
