//! Decides how tests start real registries, podman and faults, and that all of it ends with the test.
//! Must never leave a process, a port or a folder behind.

pub mod proxy;
pub mod registries;
pub mod tokens;
pub mod wire;
