//! Decides nothing; names the stages.
//! Must never hold a stage's own logic.

mod git;
/// Digest records in a folder.
pub mod records;
/// What all stages share.
pub mod context;
/// Which targets each image has.
pub mod targets;
/// What rpub makes in podman's storage, and takes away again.
pub mod scraps;

/// Which ref is meant, and what a release of it would do.
pub mod plan;
/// podman builds; what was built is checked.
pub mod build;
/// Images go by digest to every target.
pub mod push;
/// Digest records become manifest lists.
pub mod assemble;
/// Tags move, `latest` last.
pub mod tag;
/// What is published is read back.
pub mod verify;
/// The whole story.
pub mod release;
/// A directory store is handed out.
pub mod serve;
