//! Decides everything that can be decided without touching the world.
//! Must never import tokio, HTTP, files or processes; `tests/architecture.rs` holds it to that.

/// What a Containerfile declares that must not get lost.
pub mod containerfile;
/// sha256 digests.
pub mod digest;
/// What a registry answered when it did not do as asked, and what the policy says to that.
pub mod fault;
/// `.containerignore` and `.dockerignore`: Docker's rules, decided on paths alone.
pub mod ignore;
/// Manifests, indexes and configs, read as hostile input.
pub mod manifest;
/// `os/arch[/variant]`.
pub mod platform;
/// Hosts, repositories, tags and references.
pub mod reference;
