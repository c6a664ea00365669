//! Decides that a tag which Docker Hub's settings hold fast is noticed before anything is built.
//! Must never need Docker Hub: its API is emulated, the registry behind it is real.

use super::{registry, tags};
use crate::support::{
    engine::native,
    hub::{DockerHub, HubApi, TOKEN, registry_api, table},
    project::{PASSWORD, Project, USER},
    registries::RegistryProcess,
};
use rpub::model::reference::Host;

/// A registry that is reached at `host`, with an API beside it.
async fn on(test: &str, registry: &RegistryProcess, host: Host, hub: &HubApi) {
    let project = Project::plain(test);
    let (table, image) = (table(&host, "ns"), project.image());
    project.write(
        "rpub.toml",
        &format!(
            "[retry]\nfirst_delay = 0\n{table}[[image]]\nname = \"{image}\"\nplatforms = [\"{}\"]\n",
            native()
        ),
    );
    let auth = project.login(&[host.as_str()]);
    let api = registry_api(&host, hub);
    let release = async |version: &str| {
        let args = [
            "release",
            version,
            "--authfile",
            &auth,
            "--registry-api",
            &api,
        ];
        let run = project.run(&args).await;
        assert!(!run.err.contains(TOKEN), "{}", run.err);
        run
    };
    // What is immutable and not there yet can be made.
    hub.immutable(&["[0-9]+\\.[0-9]+\\.[0-9]+", "lat.st"]);
    let first = release("v1.2.3").await;
    assert_eq!(first.code, Some(0), "{}", first.err);
    let name = format!("ns/{image}");
    assert!(hub.asked().contains(&name), "{:?}", hub.asked());
    let stuck = release("v1.2.4").await;
    let (what, next) = ("latest is immutable there", "immutable tag rules");
    project.failed(&stuck, 2, what, ":latest", next);
    assert!(!stuck.err.contains("==> build"), "{}", stuck.err);
    assert!(!tags(registry, &project).await.contains(&"1.2.4".to_owned()));
    // A rule for versions alone, as people have it, is in nobody's way; and a part of a tag is not the tag.
    hub.immutable(&["[0-9]+\\.[0-9]+\\.[0-9]+", "lat"]);
    let second = release("v1.2.4").await;
    assert_eq!(second.code, Some(0), "{}", second.err);
}

#[tokio::test]
async fn bad_input_immutable_latest_is_told_before_the_build() {
    let (registry, hub) = (registry(), HubApi::start(USER, PASSWORD, false).await);
    on("immutable", &registry, registry.host(), &hub).await;
}

#[tokio::test]
async fn bad_input_immutable_latest_of_a_private_repository_is_told_too() {
    let hub = DockerHub::start(USER, PASSWORD).await;
    on("imm-private", hub.behind(), hub.host(), &hub.api).await;
}
