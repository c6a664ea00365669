//! Decides that images and lists reach a real registry, and that a failing one is told without secrets.
//! Must never leave a list in podman's storage.

use crate::support::engine::{Names, PlainRegistry, engine, folder, podman, request};
use rpub::error::Kind;
use rpub::model::manifest::{Body, RawManifest, media_type};
use rpub::podman::{BuildRequest, Login};
use secrecy::SecretString;

#[tokio::test]
async fn podman_pushes_images_and_a_list_of_them() {
    let (names, registry) = (Names::new("lists"), PlainRegistry::start());
    let folder = folder(&[(
        "Containerfile",
        "FROM scratch\nCOPY Containerfile /\nHEALTHCHECK CMD [\"/x\"]\n",
    )]);
    let password = SecretString::from("throw-away");
    let login = Login {
        user: "rpub",
        password: &password,
    };
    let engine = engine().await;
    let list = names.tag("list");
    let mut digests = Vec::new();
    // Twice: a list that is left over must not keep its entries.
    for round in ["one", "two"] {
        engine.manifest_create(&list).await.unwrap();
        digests.clear();
        for platform in ["linux/amd64", "linux/arm64"] {
            let mut request = BuildRequest {
                platform: platform.parse().unwrap(),
                tag: names.tag(&format!("{round}-{}", platform.replace('/', "-"))),
                ..request(folder.path(), &names)
            };
            request
                .labels
                .extend([("round".to_owned(), round.to_owned())]);
            let id = engine.build(&request, &mut |_| {}).await.unwrap();
            let tag = platform.replace('/', "-");
            let destination = format!("{}/some/app:{tag}", registry.address());
            let pushed = engine.push(id.as_str(), &destination, login, None);
            pushed.await.unwrap();
            let (bytes, kind) = registry.manifest("some/app", &tag).await;
            assert_eq!(kind, media_type::DOCKER_MANIFEST);
            let digest = RawManifest::parse(bytes, &kind).unwrap().digest();
            let image = format!("{}/some/app@{digest}", registry.address());
            engine.manifest_add(&list, &image, login).await.unwrap();
            // A second time changes nothing, and podman says nothing.
            engine
                .manifest_add(&list, &format!("docker://{image}"), login)
                .await
                .unwrap();
            digests.push(digest);
        }
        let destination = format!("{}/some/app:list", registry.address());
        engine
            .manifest_push(&list, &destination, login)
            .await
            .unwrap();
        let (bytes, kind) = registry.manifest("some/app", "list").await;
        let index = RawManifest::parse(bytes, &kind).unwrap();
        let Body::Index(children) = index.body() else {
            panic!("no list")
        };
        assert_eq!(kind, media_type::OCI_INDEX);
        let found: Vec<_> = children.iter().map(|child| child.digest).collect();
        assert_eq!(found, digests);
        for (child, platform) in children.iter().zip(["linux/amd64", "linux/arm64"]) {
            assert_eq!(child.platform.as_ref().unwrap().to_string(), platform);
        }
    }
    engine.manifest_remove(&list).await.unwrap();
    engine.manifest_remove(&list).await.unwrap();
    assert_eq!(podman(&["images", "-q", &list]), "");
    engine.shutdown().await;
}

#[tokio::test]
async fn podman_push_failures_are_told_in_its_words_and_without_the_password() {
    let names = Names::new("pushfail");
    let folder = folder(&[("Containerfile", "FROM scratch\nCOPY . /\n")]);
    let password = SecretString::from("throw-away-secret");
    let login = Login {
        user: "rpub",
        password: &password,
    };
    let engine = engine().await;
    let id = engine
        .build(&request(folder.path(), &names), &mut |_| {})
        .await
        .unwrap();
    let list = names.tag("list");
    engine.manifest_create(&list).await.unwrap();
    // Nothing listens on port 1.
    for error in [
        engine
            .push(id.as_str(), "127.0.0.1:1/x:y", login, None)
            .await
            .unwrap_err(),
        engine
            .push("localhost/no-such-image:x", "127.0.0.1:1/x:y", login, None)
            .await
            .unwrap_err(),
        engine
            .push(id.as_str(), "127.0.0.1:1/NOT A NAME", login, None)
            .await
            .unwrap_err(),
        engine
            .manifest_add(&list, "127.0.0.1:1/x@sha256:0", login)
            .await
            .unwrap_err(),
        engine
            .manifest_push(&list, "127.0.0.1:1/x:y", login)
            .await
            .unwrap_err(),
        engine
            .manifest_push("localhost/no-such-list:x", "127.0.0.1:1/x:y", login)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind, Kind::Engine, "{error}");
        assert!(!error.hint.is_empty() && !error.place.is_empty());
        assert!(
            !format!("{error:?}").contains("throw-away-secret"),
            "{error:?}"
        );
        eprintln!("{error}");
    }
    engine.manifest_remove(&list).await.unwrap();
    engine.shutdown().await;
}
