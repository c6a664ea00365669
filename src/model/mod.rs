//! Decides everything that can be decided without touching the world.
//! Must never import tokio, HTTP, files or processes; `tests/architecture.rs` holds it to that.

/// What `--allow` lets a repository name outside of itself.
pub mod allow;
/// To which API beside a registry a login may go.
pub mod api;
/// Which images a Containerfile needs that are none of its own stages, and which one its published stage is on.
pub mod bases;
/// The checksums of rpub's own release.
pub mod checksums;
/// How hard layers are compressed.
pub mod compression;
/// What a Containerfile declares that must not get lost.
pub mod containerfile;
/// sha256 digests.
pub mod digest;
/// What is wrong with a machine, a project, its registries.
pub mod doctor;
/// The rules of an ignore file as podman is told them.
pub mod excludes;
/// What a registry answered when it did not do as asked, and what the policy says to that.
pub mod fault;
/// What `latest` named before.
pub mod former;
/// Which step made which layer.
pub mod history;
/// `.containerignore` and `.dockerignore`: Docker's rules, decided on paths alone.
pub mod ignore;
/// What was and what will be, before each visible change.
pub mod journal;
/// Manifests, indexes and configs, read as hostile input.
pub mod manifest;
/// Which of GitHub's machines builds what.
pub mod matrix;
/// Which tags move, and which are left alone.
pub mod moves;
/// Which known word was probably meant.
pub mod nearest;
/// Where podman takes an image from.
pub mod origin;
/// What a release of a ref would do, as data.
pub mod plan;
/// `os/arch[/variant]`.
pub mod platform;
/// What is said of a prune.
pub mod pruned;
/// Digest records, and whether they make a list.
pub mod record;
/// Hosts, repositories, tags and references.
pub mod reference;
/// What a finished release says of itself.
pub mod report;
/// What may be deleted, and what must stay.
pub mod retention;
/// Which CI run this is.
pub mod run;
/// What rpub.toml says, checked.
pub mod spec;
/// What `rpub init` makes of a folder: images, rpub.toml, what to do next.
pub mod starter;
/// Steps of a Containerfile that ask for another network.
pub mod step_network;
/// Tag patterns and rules.
pub mod tags;
/// What was heard of a release while it went on.
pub mod trace;
/// Words of a Containerfile with variables in them.
mod variables;
/// Versions, git refs, commits.
pub mod version;
/// The workflow that releases in CI, and the action that it uses.
pub mod workflow;
