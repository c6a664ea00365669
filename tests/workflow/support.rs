//! Decides which parts of the suite's support the tests of workflows and of doctor share: registries, and what breaks them.
//! Must never hold anything of its own.
// The suite uses the rest of it.
#![allow(dead_code)]

#[path = "../suite/support/faults.rs"]
pub(crate) mod faults;
#[path = "../suite/support/proxy.rs"]
pub(crate) mod proxy;
#[path = "../suite/support/registries.rs"]
pub(crate) mod registries;
#[path = "../suite/support/tokens.rs"]
pub(crate) mod tokens;
#[path = "../suite/support/wire.rs"]
pub(crate) mod wire;
