//! Decides that Containerfiles become the images that people mean by them.
//! Must never read an rpub.toml: `pipeline::init` does, before it writes one.

use super::*;

/// `name: platform=file …` for each image, and what is left.
fn found(files: &[&str]) -> (Vec<String>, Vec<String>) {
    let files: Vec<String> = files.iter().map(ToString::to_string).collect();
    let found = images(&files, &"own".parse().unwrap());
    let line = |image: &FoundImage| {
        let files = image.files.iter();
        let files: Vec<String> = files.map(|(p, f)| format!("{}={f}", p.slug())).collect();
        format!("{}: {}", image.name, files.join(" "))
    };
    (found.images.iter().map(line).collect(), found.left)
}

#[test]
fn files_become_images() {
    for (files, images, left) in [
        (
            &[
                "README",
                "Containerfiles",
                "MyContainerfile",
                "Containerfile-x",
            ][..],
            &[][..],
            &[][..],
        ),
        (
            &["Containerfile"],
            &["own: linux-amd64=Containerfile linux-arm64=Containerfile"],
            &[],
        ),
        (
            &["Dockerfile", "Containerfile"],
            &["own: linux-amd64=Containerfile linux-arm64=Containerfile"],
            &["Dockerfile"],
        ),
        (
            &[
                "Containerfile.worker.arm64",
                "Containerfile.worker.amd64",
                "Dockerfile.Api",
            ],
            &[
                "api: linux-amd64=Dockerfile.Api linux-arm64=Dockerfile.Api",
                "worker: linux-amd64=Containerfile.worker.amd64 linux-arm64=Containerfile.worker.arm64",
            ],
            &[],
        ),
        (
            &["Containerfile", "Containerfile.aarch64"],
            &["own: linux-amd64=Containerfile linux-arm64=Containerfile.aarch64"],
            &[],
        ),
        (
            &[
                "Containerfile",
                "Containerfile.amd64",
                "Containerfile.arm64",
            ],
            &["own: linux-amd64=Containerfile.amd64 linux-arm64=Containerfile.arm64"],
            &["Containerfile"],
        ),
        (
            &["Containerfile.x86_64", "Containerfile.amd64"],
            &["own: linux-amd64=Containerfile.amd64"],
            &["Containerfile.x86_64"],
        ),
        (
            &["Containerfile.v1.2"],
            &["v1.2: linux-amd64=Containerfile.v1.2 linux-arm64=Containerfile.v1.2"],
            &[],
        ),
        (
            &[
                "Dockerfile.dockerignore",
                "Containerfile.api.bak",
                "Containerfile.api~",
            ],
            &[],
            &[],
        ),
        (
            &["Containerfile.a b", "Containerfile."],
            &[],
            &["Containerfile.", "Containerfile.a b"],
        ),
    ] {
        let (found_images, found_left) = found(files);
        assert_eq!(found_images, images, "{files:?}");
        assert_eq!(found_left, left, "{files:?}");
    }
}

#[test]
fn a_namespace_is_a_name_or_the_variable_of_the_owner() {
    for right in ["owner", "group/sub", "${GITHUB_REPOSITORY_OWNER}"] {
        assert_eq!(right.parse::<Namespace>().unwrap().to_string(), right);
    }
    for wrong in ["Owner", "", "${HOME}", "a b"] {
        assert!(wrong.parse::<Namespace>().is_err(), "{wrong:?}");
    }
}
