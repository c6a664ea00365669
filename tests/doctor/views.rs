//! Decides that a build reads what rpub sees, where podman sees something else under the same name.
//! Must never use the storage of a user that is not the machine's own.

use crate::machine::{Machine, PROJECT};

/// A build in a namespace of its own, with a file system in memory at `over`, of a project whose `inner/told` says "theirs"
/// outside of it.
fn told_by_a_build_with(over: &str) -> String {
    let machine = Machine::start();
    machine.write(
        "rpub.toml",
        "[[image]]\nname = \"app\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n",
    );
    machine.write("Containerfile", "FROM scratch\nCOPY inner /\n");
    machine.user("mkdir inner; echo theirs >inner/told");
    // podman stays in the namespace in which it was first.
    machine.user("podman unshare true");
    machine.root(&format!(
        "cp -a {PROJECT} /srv/copy
         exec unshare --mount --propagation private sh -ec '
           mount -t tmpfs tmpfs {over}; cp -a /srv/copy/. {PROJECT}; echo ours >{PROJECT}/inner/told; cd {PROJECT}
           exec setpriv --reuid 4242 --regid 4242 --clear-groups env -i HOME=/home/patient \
             XDG_RUNTIME_DIR=/run/user/4242 PATH=/usr/local/bin:/usr/bin:/bin rpub build v1.0.0'"
    ));
    let told = machine.user(
        "image=$(podman images -q | head -n 1); container=$(podman create $image x)
         podman cp $container:/told - | tar -xO",
    );
    String::from_utf8(told.stdout).unwrap()
}

#[test]
fn a_context_that_podman_does_not_see_is_built() {
    assert_eq!(told_by_a_build_with(PROJECT), "ours\n");
}

#[test]
fn a_context_of_which_podman_does_not_see_all_is_built() {
    assert_eq!(told_by_a_build_with(&format!("{PROJECT}/inner")), "ours\n");
}
