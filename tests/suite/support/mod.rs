//! Decides how tests start real registries, podman and faults, and that all of it ends with the test.
//! Must never leave a process, a port or a folder behind.

pub(crate) mod deletions;
pub(crate) mod engine;
pub(crate) mod faults;
mod front;
pub(crate) mod ghcr;
pub(crate) mod hub;
pub(crate) mod images;
pub(crate) mod loopback;
pub(crate) mod machine;
pub(crate) mod project;
pub(crate) mod proxy;
pub(crate) mod registries;
pub(crate) mod secrets;
pub(crate) mod tmux;
pub(crate) mod tokens;
pub(crate) mod unix_proxy;
pub(crate) mod wire;
