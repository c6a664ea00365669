//! Decides nothing; the binary of the tests that break machines, engines, projects and registries, for doctor or a build to cope.
//! Must never be started through scripts/rootless: its machines are made by root, each in namespaces of its own.
//!
//! Not made here, and judged by unit tests alone (`src/model/doctor`): switches of the kernel that hold for all of the
//! machine (`user.max_user_namespaces`, `kernel.unprivileged_userns_clone`, and that of `AppArmor`), podman 5 with an old
//! crun, systemd with its lingering and podman.socket, a resolver that is silent.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod engines;
mod gate;
mod machine;
mod machines;
mod projects;
mod registries;
#[path = "../workflow/support.rs"]
mod support;
mod views;
