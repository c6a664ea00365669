//! Decides that one commit built twice, each time on an empty storage, is one digest, on the podmans that promise it.
//! Must never leave to chance which podmans those are: rpub says it of the one that it uses.

use super::digests;
use crate::support::machine::{Machine, Project};

/// Files with times of their own, and a step that runs.
const STEPS: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY file /file\n\
    RUN [\"/bin/busybox\", \"sh\", \"-c\", \"busybox date >/dev/null; busybox mkdir /made; busybox cp /file /made/file\"]\n\
    HEALTHCHECK CMD [\"/bin/busybox\", \"true\"]\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_of_one_commit_is_one_digest_where_podman_can() {
    let mut made = Vec::new();
    for _ in 0..2 {
        // Another machine, another checkout, other times of files.
        let (machine, project) = (Machine::new(), Project::new(&["linux/amd64"], STEPS));
        project.write("file", "content");
        std::fs::copy("/bin/busybox", project.path().join("busybox")).unwrap();
        let release = ["release", "v1.2.3", "--to", "./out", "--format", "json"];
        let ran = machine.rpub(project.path(), &release).well();
        let says_not = ran
            .stderr
            .contains("builds the same commit to another digest each time");
        made.push((digests(&ran.json()), says_not));
    }
    let (first, second) = (&made[0], &made[1]);
    assert_eq!(first.1, second.1);
    assert_eq!(first.0 == second.0, !first.1, "{made:?}");
}
