//! Decides that a run says, once, whose build steps have this machine's network, and why.
//! Must never build a step: what rpub tells podman is tested beside podman.

use crate::support::machine::{Machine, Project};

#[test]
fn release_says_once_whose_steps_have_this_machines_network() {
    let machine = Machine::new();
    let project = Project::new(
        &["linux/amd64", "linux/arm64"],
        "FROM scratch\nCOPY Containerfile /\n",
    );
    let release = ["release", "v1.2.3", "--to", "./out"];
    let said = |env: &[(&str, &str)], words: &str| {
        let ran = machine.rpub_with(project.path(), &release, env).well();
        std::fs::remove_dir_all(project.path().join("out")).unwrap();
        ran.stderr.matches(words).count()
    };
    let chroot = [("BUILDAH_ISOLATION", "chroot")];
    let of_machine = "have this machine's network, its loopback included";
    assert_eq!(said(&[], of_machine), 0);
    let why = format!("{of_machine}: BUILDAH_ISOLATION=chroot");
    assert_eq!(said(&chroot, &why), 1);
    let toml = std::fs::read_to_string(project.path().join("rpub.toml")).unwrap();
    project.write("rpub.toml", &format!("{toml}network = \"host\"\n"));
    let why = format!("{of_machine}, because rpub.toml says network = \"host\"");
    assert_eq!(said(&[], &why), 1);
    // Nobody is warned of what rpub.toml asks for.
    assert_eq!(said(&chroot, of_machine), 1);
}
