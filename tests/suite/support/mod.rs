//! Decides how tests start real registries, podman and faults, and that all of it ends with the test.
//! Must never leave a process, a port or a folder behind.

/// A rootless engine, build contexts, and what is in a built image.
pub(crate) mod engine;
/// Small images, as bytes.
pub(crate) mod images;
/// A relay, spoken to over HTTP.
pub(crate) mod loopback;
/// A reverse proxy that breaks on purpose.
pub(crate) mod proxy;
/// Real registries as processes.
pub(crate) mod registries;
/// A token service like GHCR's.
pub(crate) mod tokens;
/// Raw HTTP over a socket.
pub(crate) mod wire;
