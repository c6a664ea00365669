//! Decides nothing; names the stages.
//! Must never hold a stage's own logic.

/// Layer caches in registries, behind the relay.
pub mod cache;
/// What all stages share.
pub mod context;
mod earlier;
/// What `latest` named before, on disk.
mod formers;
mod git;
/// Which image in podman's storage this project built.
mod kept;
/// Where the layers of bases are.
pub mod origins;
/// Which release of rpub a workflow takes.
mod own_release;
/// What may go of one repository, one at a time.
mod prune;
/// Digest records in a folder.
pub mod records;
/// What rpub makes in podman's storage, and takes away again.
pub mod scraps;
/// What must be known of a repository before anything of it may go.
mod shelf;
/// Which targets each image has.
pub mod targets;

/// Files that are the old ones or the new ones after any crash.
mod whole;

/// What a report of a bug needs to know.
pub mod about;
/// Digest records become manifest lists.
pub mod assemble;
/// podman builds; what was built is checked.
pub mod build;
/// What is wrong, and what mends it.
pub mod doctor;
/// Layers go to the targets while later steps are built.
pub mod early;
/// A folder gets its rpub.toml and its workflow.
pub mod init;
/// What is written down, on disk.
pub mod journal;
/// Which ref is meant, and what a release of it would do.
pub mod plan;
/// Whether the targets can be used, and whether there is anything to build.
pub mod preflight;
/// Every move is decided and written down.
pub mod prepare;
/// Tags move, each written down before and read back after; `latest` last.
pub mod publish;
/// Images go by digest to every target.
pub mod push;
/// The whole story.
pub mod release;
/// A directory store is handed out.
pub mod serve;
/// Directory stores are where they seem to be.
pub mod stores;
/// What was superseded goes.
pub mod superseded;
/// What is published is read back.
pub mod verify;
