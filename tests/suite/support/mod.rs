//! Decides how tests start real registries, podman and faults, and that all of it ends with the test.
//! Must never leave a process, a port or a folder behind.

/// A rootless engine, build contexts, and what is in a built image.
pub(crate) mod engine;
