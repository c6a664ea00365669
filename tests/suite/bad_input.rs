//! Decides that bad input ends in a clear error and the right exit code, with nothing lost and nothing left.
//! Must never look at more than the command line shows: the real rpub, the real podman, real registries.

/// Containerfiles and images that are not what they should be.
mod builds;
/// Disks that are full.
mod disks;
/// Podmans that are none.
mod engines;
/// Tags that may not move.
mod immutable;
/// SIGINT and SIGTERM in every stage.
mod interrupts;
/// Locks that somebody else holds.
mod locks;
/// Registries that fail, refuse or lie.
mod registries;
/// Words and files that mean nothing.
mod words;

use crate::support::{
    loopback::client,
    project::{PASSWORD, Project, USER},
    registries::{Auth, RegistryProcess},
};

/// A registry that wants the tests' login.
fn registry() -> RegistryProcess {
    RegistryProcess::start(&Auth::Basic {
        user: USER,
        password: PASSWORD,
    })
}

/// The tags that a registry has of a project's image.
async fn tags(registry: &RegistryProcess, project: &Project) -> Vec<String> {
    let url = format!(
        "http://{}/v2/ns/{}/tags/list",
        registry.host(),
        project.image()
    );
    let request = client().get(url).basic_auth(USER, Some(PASSWORD));
    let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    assert!(
        answer["tags"].is_array() || answer["tags"].is_null(),
        "{answer}"
    );
    let tags = answer["tags"].as_array().cloned().unwrap_or_default();
    tags.iter()
        .map(|tag| tag.as_str().unwrap().to_owned())
        .collect()
}
