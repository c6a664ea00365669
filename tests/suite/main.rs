//! Decides nothing; one binary for all tests that need more than one module, so that they link once.
//! Must never hold a test itself.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod architecture;
mod bad_input;
mod cache;
mod ci;
mod cli;
mod docs;
mod failures;
mod github;
mod hostile;
mod init;
mod keys;
mod killed;
mod matrix;
mod podman;
mod properties;
mod prune;
mod reference;
mod registry;
mod relay;
mod release;
mod retention;
mod schemas;
mod shells;
mod simulation;
mod store;
mod support;
mod terminal;
