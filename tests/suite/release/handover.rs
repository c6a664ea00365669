//! Decides that machines which each built one platform become one release by their digest records, or nothing.
//! Must never share more between the two machines than the registries and the records.

use super::{SMALL, digests, manifest, tags, to, two_registries};
use crate::support::{
    machine::{Machine, Project},
    registries::RegistryProcess,
};
use rpub::model::reference::Host;

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// Builds and pushes one platform on a machine of its own; its records go to the folder.
fn one_machine(platform: &str, to: &str, digests: &str) {
    let (machine, project) = (Machine::new(), project());
    let only = ["--platform", platform, "--to", to];
    let build = [&["build", "v1.2.3"][..], &only].concat();
    machine.rpub(project.path(), &build).well();
    let push = [&["push", "v1.2.3", "--digests", digests][..], &only].concat();
    machine.rpub(project.path(), &push).well();
}

fn project() -> Project {
    let project = Project::new(&PLATFORMS, SMALL);
    project.write("file", "content");
    project
}

async fn nothing_is_visible(hosts: &[Host]) {
    for host in hosts {
        assert_eq!(tags(host, "ns/app").await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_of_two_machines_records_is_one_list() {
    let registries = two_registries();
    let hosts = registries.each_ref().map(RegistryProcess::host);
    let to = to(&hosts, "ns");
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().to_str().unwrap();
    // The machine that assembles has built nothing, and needs nothing but the records.
    let (machine, project) = (Machine::new(), project());
    let release = ["release", "v1.2.3", "--to", &to, "--digests", records];

    one_machine(PLATFORMS[0], &to, records);
    let refused = machine.rpub(project.path(), &release).exit(1);
    let says = "there is no digest record of app for linux/arm64";
    assert!(refused.stderr.contains(says), "{}", refused.stderr);
    nothing_is_visible(&hosts).await;

    one_machine(PLATFORMS[1], &to, records);
    for other in ["v1.2.4", "main"] {
        let ref_ = ["release", other, "--to", &to, "--digests", records];
        let refused = machine.rpub(project.path(), &ref_);
        assert!(!refused.status.success(), "records of v1.2.3 for {other}");
        nothing_is_visible(&hosts).await;
    }

    let release = [&release[..], &["--format", "json"]].concat();
    let (list, children) = digests(&machine.rpub(project.path(), &release).well().json());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    for host in &hosts {
        let found = manifest(host, "ns/app", "latest").await.unwrap();
        assert_eq!(found.digest(), list);
        let listed: Vec<_> = found.children().iter().map(|child| child.digest).collect();
        assert_eq!(listed, children);
        let platforms: Vec<String> = found
            .children()
            .iter()
            .map(|child| child.platform.as_ref().unwrap().to_string())
            .collect();
        assert_eq!(platforms, PLATFORMS);
    }
    assert_eq!(machine.podman(&["images", "-aq"]), "");
}
