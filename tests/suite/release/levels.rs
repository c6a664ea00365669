//! Decides that layers are compressed at the level that is asked for, where podman has levels, and elsewhere that it says so.
//! Must never push twice to one registry: what it has already is not compressed again, at no level.

use super::{blob, manifest, registries, to};
use crate::support::{
    engine::native,
    machine::{Machine, Project},
    registries::RegistryProcess,
};
use rpub::model::manifest::{Descriptor, media_type};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Whether the podman of this version can be told a level.
fn has_levels(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap());
    (numbers.next(), numbers.next()) >= (Some(4), Some(6))
}

/// Pushes what is built; its layer, and what was said.
async fn pushed(
    (machine, project): (&Machine, &Project),
    registry: &RegistryProcess,
    more: &[&str],
) -> (Descriptor, String) {
    let to = to([&registry.host()], "ns");
    let push = ["push", "v1.2.3", "--to", &to, "--format", "json"];
    let ran = machine.rpub(project.path(), &[&push[..], more].concat());
    let ran = ran.well();
    let digest = ran.json()["records"][0]["digest"].clone();
    let manifest = manifest(&registry.host(), "ns/app", digest.as_str().unwrap()).await;
    let manifest = manifest.unwrap();
    assert_eq!(manifest.media_type(), media_type::DOCKER_MANIFEST);
    let layer = manifest.blobs()[1].clone();
    assert_eq!(
        layer.media_type,
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
    );
    let bytes = blob(&registry.host(), "ns/app", layer.digest).await;
    assert!(bytes.starts_with(&GZIP) && bytes.len() as u64 == layer.size);
    (layer, ran.stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_layers_have_the_level_that_is_asked_for() {
    let (machine, registries) = (Machine::new(), registries::<4>());
    let platform = native().to_string();
    let project = Project::new(&[&platform], "FROM scratch\nCOPY busybox /busybox\n");
    std::fs::copy("/bin/busybox", project.path().join("busybox")).expect("busybox-static");
    let rest = std::fs::read_to_string(project.path().join("rpub.toml")).unwrap();
    machine.rpub(project.path(), &["build", "v1.2.3"]).well();

    let here = (&machine, &project);
    let (usual, said_nothing) = pushed(here, &registries[0], &[]).await;
    assert!(!said_nothing.contains("level"), "{said_nothing}");
    project.write("rpub.toml", &format!("compression_level = 1\n{rest}"));
    let (quick, said) = pushed(here, &registries[1], &[]).await;
    let typed = ["--compression-level", "9"];
    let (small, said_then) = pushed(here, &registries[2], &typed).await;
    let (three, _) = pushed(here, &registries[3], &["--compression-level", "3"]).await;
    assert_eq!(usual, three);
    let version = machine.podman(&["version", "--format", "{{.Client.Version}}"]);
    let warned = |said: &str, level: u32| {
        let words = format!("podman {version} compresses layers at its own level, not at");
        said.contains(&format!("{words} compression level {level}: "))
    };
    if has_levels(&version) {
        let sizes = [&small, &usual, &quick].map(|layer| layer.size);
        assert!(sizes.is_sorted_by(|one, next| one < next), "{sizes:?}");
        assert!(!said.contains("level") && !said_then.contains("level"));
    } else {
        assert_eq!([&small, &usual], [&quick, &quick]);
        assert!(
            warned(&said, 1) && warned(&said_then, 9),
            "{said}{said_then}"
        );
    }
}
