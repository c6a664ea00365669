//! Decides that `rpub push` publishes the image that this project built, whatever else has its name.
//! Must never share more between the two projects than a machine and an image's name.

use super::{SMALL, manifest, to};
use crate::support::{
    machine::{Machine, Project},
    registries::{Auth, RegistryProcess},
};
use rpub::model::{digest::Digest, manifest::Body};

const PLATFORM: &str = "linux/amd64";
const NAME: &str = "localhost/rpub/app:linux-amd64";

/// A project with the image `app`, in which a file says `text`.
fn project(text: &str) -> Project {
    // What a Containerfile says of itself is not believed.
    let labels = "LABEL org.opencontainers.image.version=forged rpub.run=forged\n";
    let project = Project::new(&[PLATFORM], &format!("{SMALL}{labels}"));
    project.write("file", text);
    project
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_is_of_what_this_project_built_and_not_of_another_of_its_name() {
    let registry = RegistryProcess::start(&Auth::None);
    let (machine, ours, others) = (Machine::new(), project("ours"), project("others"));
    let to = to(&[registry.host()], "ns");
    let build = |project: &Project| {
        machine
            .rpub(project.path(), &["build", "v1.2.3", "--platform", PLATFORM])
            .well();
        machine.image(NAME)["Id"].as_str().unwrap().to_owned()
    };
    let push = |project: &Project| {
        let push = [
            "push",
            "v1.2.3",
            "--platform",
            PLATFORM,
            "--to",
            &to,
            "--format",
            "json",
        ];
        machine.rpub(project.path(), &push)
    };
    let (our_id, other_id) = (build(&ours), build(&others));
    assert_ne!(our_id, other_id);

    for (project, id) in [(&ours, &our_id), (&others, &other_id)] {
        let pushed = push(project).well().json();
        let digest = pushed["records"][0]["digest"].as_str().unwrap();
        let pushed = manifest(&registry.host(), "ns/app", digest).await.unwrap();
        let Body::Image { config, .. } = pushed.body() else {
            panic!("{digest} is an image")
        };
        let digest: Digest = format!("sha256:{id}").parse().unwrap();
        assert_eq!(config.digest, digest);
        let labels = &machine.image(id)["Config"]["Labels"];
        assert_eq!(labels["org.opencontainers.image.version"], "1.2.3");
    }

    // One that has built nothing pushes nothing, though podman has an image of that name.
    let third = project("third");
    let refused = push(&third).exit(2);
    for words in [
        "app is not built for linux/amd64",
        "was not built in",
        "rpub build --platform",
    ] {
        assert!(
            refused.stderr.contains(words),
            "{words}: {}",
            refused.stderr
        );
    }

    // Built once more, what was kept before goes, and nothing of the other project's.
    ours.write("file", "ours, once more");
    let again = build(&ours);
    let images = machine.podman(&["images", "-q", "--no-trunc"]);
    let ids: std::collections::BTreeSet<&str> = images.lines().collect();
    let expected = [&again, &other_id].map(|id| format!("sha256:{id}"));
    assert_eq!(ids, expected.iter().map(String::as_str).collect());

    // Whoever takes it out of podman's storage must build it again; another's is no stand-in.
    machine.podman(&["rmi", "-f", &again]);
    machine.podman(&["tag", &other_id, NAME]);
    let refused = push(&ours).exit(2);
    for words in ["is gone", &again, "rpub build --platform linux/amd64"] {
        assert!(
            refused.stderr.contains(words),
            "{words}: {}",
            refused.stderr
        );
    }
}
