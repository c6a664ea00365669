//! Decides nothing; the binary of the tests in which another user of the machine means harm while rpub works.
//! Must never be started through scripts/rootless: its users are, and root starts them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod connections;
mod engines;
#[path = "../workflow/runner/machine.rs"]
mod machine;
mod other;
#[path = "../workflow/support.rs"]
mod support;
