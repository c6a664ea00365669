//! Decides that a full disk is told with its folder and exit 1, and one that is too small before anything is pushed.
//! Must never fill a real disk: the cache is a tmpfs in a namespace of rpub's own.

use super::{registry, tags};
use crate::support::project::{Outcome, Project, Running};

const MIB: usize = 1024 * 1024;

/// A file that does not compress: blocks of a counter's digests.
fn noise(bytes: usize) -> Vec<u8> {
    use rpub::model::digest::Digest;
    let mut out = Vec::with_capacity(bytes + 64);
    for number in 0_u64.. {
        if out.len() >= bytes {
            break;
        }
        let digest = Digest::of(&number.to_le_bytes()).to_string();
        let hex = digest.trim_start_matches("sha256:");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        out.extend((0..64).step_by(2).map(byte));
    }
    out.truncate(bytes);
    out
}

/// Releases with a cache mounted with `options`; podman, which is outside, has all the space it wants.
async fn release_with_cache(project: &Project, options: &str, host: &str) -> Outcome {
    let script = format!("mount -t tmpfs -o {options} tmpfs \"$XDG_CACHE_HOME\" && exec \"$@\"");
    let (_service, socket) = project.service().await;
    let url = socket.display().to_string();
    let release = project.release_args(&[host]);
    let args = [
        &[
            "-Urm",
            "sh",
            "-c",
            &script,
            "sh",
            env!("CARGO_BIN_EXE_rpub"),
        ][..],
        &release.each(),
        &["--url", &url],
    ]
    .concat();
    Running::start(project.command_by("unshare", &args))
        .finish()
        .await
}

#[tokio::test]
async fn bad_input_too_little_space_is_told_before_anything_is_pushed() {
    let project = Project::plain("space");
    std::fs::write(project.path("text"), noise(4 * MIB)).unwrap();
    let registry = registry();
    let run = release_with_cache(&project, "size=1m", registry.host().as_str()).await;
    let folder = project.cache().display().to_string();
    project.failed(&run, 1, "too little space", &folder, "XDG_CACHE_HOME");
    // An upload is begun and cancelled, to see whether we may push.
    let log = registry.access_log();
    let sent = ["\"PATCH ", "\"PUT "].iter().any(|one| log.contains(one));
    assert!(log.contains("\"POST ") && !sent, "{log}");
}

/// The cache has room for one blob's file, and not for the second's: the kernel says ENOSPC in the middle of the push.
#[tokio::test]
async fn bad_input_disk_that_is_full_is_told_with_its_folder() {
    let (project, registry) = (Project::plain("full"), registry());
    // Itself, rpub/, the spool, its lock, and one more.
    let options = "size=64m,nr_inodes=5";
    let run = release_with_cache(&project, options, registry.host().as_str()).await;
    let folder = project.cache().display().to_string();
    project.failed(&run, 1, "No space left", &folder, "free some space");
    assert_eq!(tags(&registry, &project).await, Vec::<String>::new());
}
