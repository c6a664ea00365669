//! Decides nothing; shows the map: what each room of rpub is for, in the order a release passes through them.
//! Must never hold logic: a newcomer reads this file from top to bottom and then knows where to look.
//!
//! ```text
//! plan → build → push (by digest) → assemble → verify → tag → verify → prune → report
//!
//! cli → pipeline → (podman, relay, registry, store) → target → model
//! ```
//! Arrows point one way; `tests/suite/architecture.rs` holds them.

/// The decisions, pure: references, platforms, versions and tags, labels, the plan, manifests, faults.
pub mod model;

/// What went wrong: kind (and so exit code), what, where, what to do next.
pub mod error;

/// What the pipeline says while it works; `ui` is the only one who turns it into text.
pub mod events;

/// How files are read that others wrote, and how far what they name may lead.
pub mod files;

/// `rpub.toml`, read and checked; every mistake is named with its line.
pub mod config;

/// What every place that holds images must be able to do.
pub mod target;

/// Tries again, later and later, as the policy in `model::fault` says.
pub mod retry;

/// The engine: find or start its socket, build, push to the relay, assemble lists.
pub mod podman;

/// The loopback registry that podman pushes to once, and that sends the same bytes everywhere.
pub mod relay;

/// Targets that are remote registries.
pub mod registry;

/// Targets that are directories: an OCI image layout per repository.
pub mod store;

/// The stages, one file each; `pipeline::release` tells the whole story in a page.
pub mod pipeline;

/// The only one who prints.
pub mod ui;

/// One file per command: its arguments, and the call it makes.
#[allow(clippy::doc_markdown, reason = "its comments are what --help prints")]
pub mod cli;
