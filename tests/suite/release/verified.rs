//! Decides that `rpub verify` says yes to what was released, and no to every way it may have been changed since.
//! Must never change a registry through rpub: what breaks it is somebody else.

use super::{SMALL, client, digests, manifest, to, two_registries};
use crate::support::{
    machine::{Machine, Project},
    registries::RegistryProcess,
};
use rpub::model::{manifest::RawManifest, reference::Host};

async fn put(host: &Host, reference: &str, manifest: &RawManifest) {
    let url = format!("http://{host}/v2/ns/app/manifests/{reference}");
    let request = client()
        .put(url)
        .header("Content-Type", manifest.media_type())
        .body(manifest.bytes().to_vec());
    assert_eq!(request.send().await.unwrap().status().as_u16(), 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_is_verified_and_every_change_is_noticed() {
    let (machine, registries) = (Machine::new(), two_registries());
    let hosts = registries.each_ref().map(RegistryProcess::host);
    let to = to(&hosts, "ns");
    let project = Project::new(&["linux/amd64", "linux/arm64"], SMALL);
    let toml = std::fs::read_to_string(project.path().join("rpub.toml")).unwrap();
    let release = |version: &str| {
        let args = ["release", version, "--to", &to, "--format", "json"];
        digests(&machine.rpub(project.path(), &args).well().json())
    };
    let verify = |version: &str| {
        let args = ["verify", version, "--to", &to, "--format", "json"];
        machine.rpub(project.path(), &args)
    };
    project.write("file", "old");
    let (old, _) = release("v1.0.0");
    project.write("file", "new");
    let (list, children) = release("v1.2.3");
    let seen = digests(&verify("v1.2.3").well().json());
    assert_eq!(seen, (list, children.clone()));

    // A tag was moved on one registry: `latest`, then a version's.
    let (old, new) = (
        manifest(&hosts[1], "ns/app", &old.to_string())
            .await
            .unwrap(),
        manifest(&hosts[1], "ns/app", &list.to_string())
            .await
            .unwrap(),
    );
    for tag in ["latest", "1.2"] {
        put(&hosts[1], tag, &old).await;
        let ran = verify("v1.2.3").exit(4);
        for told in [hosts[1].as_str(), tag, &old.digest().to_string()] {
            assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
        }
        put(&hosts[1], tag, &new).await;
    }
    verify("v1.2.3").well();

    // A label is another than this plan's.
    project.write("rpub.toml", &format!("licenses = \"MIT\"\n{toml}"));
    let ran = verify("v1.2.3").exit(4);
    let told = "label org.opencontainers.image.licenses is \"nothing\", not \"MIT\"";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    project.write("rpub.toml", &toml);

    // A platform more is wanted than was published.
    project.write(
        "rpub.toml",
        &toml.replace("\"linux/arm64\"", "\"linux/arm64\", \"linux/s390x\""),
    );
    verify("v1.2.3").exit(4);
    project.write("rpub.toml", &toml);
    verify("v1.2.3").well();

    // There is no such release.
    verify("v1.2.4").exit(4);

    // A registry lost a child.
    let child = children[1].to_string();
    let url = format!("http://{}/v2/ns/app/manifests/{child}", hosts[0]);
    let gone = client().delete(url).send().await.unwrap();
    assert_eq!(gone.status().as_u16(), 202);
    let ran = verify("v1.2.3").exit(4);
    for told in [hosts[0].as_str(), &child] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
}
