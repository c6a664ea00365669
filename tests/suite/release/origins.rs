//! Decides that a base's layers are published as the base has them, where podman asks for them before it compresses again.
//! Must never pass where podman sent such a layer itself, nor where an older podman's release fails for want of it.

use crate::support::{
    project::{Outcome, Project, Running},
    registries::{Auth, RegistryProcess},
};

const IMAGE: &str = "FROM scratch\nCOPY busybox /busybox\nCOPY text /text\n";

/// A base of two layers in a registry, and a release of an image with one layer of its own on top; its registry's log, too.
async fn released(test: &str, break_bases: bool) -> (Outcome, Vec<String>, String) {
    let bases = RegistryProcess::start(&Auth::None);
    let base = format!("{}/base:1", bases.host());
    let made = Project::new(&format!("{test}-made"), IMAGE);
    let folder = made.path("").display().to_string();
    made.podman(&["build", "-q", "--format", "docker", "-t", &base, &folder]);
    made.podman(&["push", "-q", "--tls-verify=false", &base]);

    let project = Project::new(test, &format!("FROM {base}\nCOPY text /more\n"));
    let conf = format!(
        "[[registry]]\nlocation = \"{}\"\ninsecure = true\n",
        bases.host()
    );
    project.write("registries.conf", &conf);
    project.podman(&["pull", "-q", "--tls-verify=false", &base]);
    let before = bases.access_log().len();
    let bases = if break_bases {
        drop(bases);
        None
    } else {
        Some(bases)
    };
    let (one, two) = (
        RegistryProcess::start(&Auth::None),
        RegistryProcess::start(&Auth::None),
    );
    let to = format!("http://{}/ns,http://{}/ns", one.host(), two.host());
    // At another level than the base was compressed at, which is for what must be compressed.
    let args = ["release", "v1.2.3", "-v", "--to", &to];
    let mut command = project.command(&[&args[..], &["--compression-level", "1"]].concat());
    command.env(
        "CONTAINERS_REGISTRIES_CONF",
        project.path("registries.conf"),
    );
    let outcome = Running::start(command).finish().await;
    let log = bases.map(|bases| bases.access_log()[before..].to_owned());
    let sent = outcome
        .err
        .lines()
        .filter(|line| line.contains("podman sent "));
    let sent = sent.map(str::to_owned).collect();
    (outcome, sent, log.unwrap_or_default())
}

/// Whether the podman here asks for the digest that a base's layer was pulled under (4.9 and newer do).
fn asks() -> bool {
    let told =
        Project::plain("origins-version").podman(&["version", "--format", "{{.Client.Version}}"]);
    let mut numbers = told
        .trim()
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(4), Some(9))
}

#[tokio::test]
async fn release_takes_the_layers_of_a_base_from_where_it_is() {
    let (outcome, sent, log) = released("origins", false).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    // The top layer, and the config; an older podman sends the base's two layers as well.
    assert_eq!(sent.len(), if asks() { 2 } else { 4 }, "{}", outcome.err);
    let taken = outcome.err.matches("is the base's own, from").count();
    let read = log
        .lines()
        .filter(|line| line.contains("\"GET /v2/base/blobs/sha256:"))
        .count();
    assert_eq!(
        (taken, read),
        if asks() { (2, 2) } else { (0, 0) },
        "{}\n{log}",
        outcome.err
    );
}

#[tokio::test]
async fn release_does_without_the_bases_registry_where_that_is_down() {
    let (outcome, sent, _) = released("origins-down", true).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert_eq!(sent.len(), 4, "{}", outcome.err);
}
