//! Decides that only podman gets in: the password, the Host header, read-only relays, ports.
//! Must never test what the server would do after the guard.

use crate::support::{
    images::{Image, index},
    loopback::{Loopback, Table, client, header, name, refusal},
};
use reqwest::Method;
use rpub::{
    events::Events,
    model::{digest::Digest, reference::Reference},
    relay::{Access, Options, Relay},
    store::Store,
    target::Target,
};
use secrecy::ExposeSecret;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn without_the_password_nothing_answers_but_401() {
    let relay = Loopback::alone().await;
    let http = client();
    for path in ["/v2/", "/v2/a/tags/list", "/v2/a/manifests/v1", "/x", "/"] {
        for request in [
            http.get(relay.url(path)),
            http.get(relay.url(path)).basic_auth("rpub", Some("wrong")),
            http.get(relay.url(path)).basic_auth("rpub", Some("")),
            http.get(relay.url(path)).bearer_auth("rpub"),
            http.get(relay.url(path)).header("authorization", "Basic ?"),
            http.put(relay.url(path)).body("x"),
        ] {
            let response = request.send().await.unwrap();
            assert_eq!(
                header(&response, "www-authenticate"),
                "Basic realm=\"rpub\""
            );
            assert_eq!(
                refusal(response).await,
                (401, "UNAUTHORIZED".to_owned()),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn two_relays_have_two_passwords() {
    let one = Loopback::alone().await;
    let two = Loopback::alone().await;
    let password = one.relay.password().expose_secret().to_owned();
    assert_eq!(password.len(), 64);
    assert_ne!(password, two.relay.password().expose_secret());
    assert!(!format!("{:?}", one.relay.password()).contains(&password));
}

#[tokio::test]
async fn a_host_header_that_is_not_loopback_is_refused() {
    let relay = Loopback::alone().await;
    for (host, status) in [
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("169.254.169.254", 403),
        ("", 403),
        ("localhost:1234", 200),
        ("LOCALHOST", 200),
        ("[::1]:80", 200),
        ("127.0.0.1", 200),
    ] {
        let request = relay.request(Method::GET, "/v2/").header("host", host);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{host}");
    }
}

#[tokio::test]
async fn the_preferred_port_is_taken_if_it_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let start = |port| {
        Relay::start(
            Options {
                access: Access::with_random_password(folder.path().to_owned()).unwrap(),
                preferred_port: port,
            },
            Arc::new(Table(|_: &_| None)),
            Events::default(),
            CancellationToken::new(),
        )
    };
    let first = start(None).await.unwrap();
    let port = first.address().port();
    assert!(first.address().ip().is_loopback());
    let second = start(Some(port)).await.unwrap();
    assert_ne!(second.address().port(), port);
    first.shutdown().await;
    let third = start(Some(port)).await.unwrap();
    assert_eq!(third.address().port(), port);
}

#[tokio::test]
async fn read_only_serves_a_store_and_takes_nothing() {
    let (writer, folder) = Loopback::before_a_store().await;
    let image = Image::new("amd64", "hello");
    writer.push_image("a/b", "session", &image).await;
    let list = index(&[&image]);
    let store = Store::new(folder.path());
    let layout = store.repository(&name("a/b"));
    let tag: Reference = "v1".parse().unwrap();
    layout.put_manifest(&tag, &list).await.unwrap();

    let routes = Table(move |name: &_| Some(vec![Arc::new(store.existing(name)?) as _]));
    let spare = tempfile::tempdir().unwrap();
    let reader = Loopback::with(Access::ReadOnly, spare, Arc::new(routes)).await;
    let http = client();
    let get = |path: String| http.get(reader.url(&path)).send();

    assert_eq!(get("/v2/".to_owned()).await.unwrap().status(), 200);
    let manifest = get("/v2/a/b/manifests/v1".to_owned()).await.unwrap();
    assert_eq!(manifest.bytes().await.unwrap(), list.bytes());
    let child = format!("/v2/a/b/manifests/{}", image.manifest.digest());
    let child = get(child).await.unwrap();
    assert_eq!(child.bytes().await.unwrap(), image.manifest.bytes());
    for blob in image.blobs() {
        let path = format!("/v2/a/b/blobs/{}", Digest::of(blob));
        assert_eq!(reader.head(&path).await.status(), 200);
        assert_eq!(get(path).await.unwrap().bytes().await.unwrap(), blob);
    }
    let layer = &image.layers[0];
    let path = format!("/v2/a/b/blobs/{}", Digest::of(layer));
    let part = http.get(reader.url(&path)).header("range", "bytes=1-9");
    assert_eq!(
        part.send().await.unwrap().bytes().await.unwrap(),
        &layer[1..=9]
    );
    let tags: serde_json::Value = get("/v2/a/b/tags/list".to_owned())
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(tags["tags"], serde_json::json!(["v1"]));
    let unknown = get("/v2/a/manifests/v1".to_owned()).await.unwrap();
    assert_eq!(refusal(unknown).await, (404, "NAME_UNKNOWN".to_owned()));
    for (method, path) in [
        (Method::POST, "/v2/a/b/blobs/uploads/"),
        (Method::PUT, "/v2/a/b/manifests/v1"),
        (Method::DELETE, "/v2/a/b/manifests/v1"),
    ] {
        let answer = refusal(reader.send(method, path).await).await;
        assert_eq!(answer, (405, "UNSUPPORTED".to_owned()));
    }
    assert!(reader.relay.spool_free().is_err());
}

#[tokio::test]
async fn read_only_breaks_off_what_is_corrupt() {
    let (writer, folder) = Loopback::before_a_store().await;
    let image = Image::new("amd64", "hello");
    writer.push_image("a", "v1", &image).await;
    writer.relay.shutdown().await;
    let digest = Digest::of(&image.layers[0]);
    let file = folder.path().join("a/blobs/sha256").join(digest.hex());
    let mut bytes = image.layers[0].clone();
    bytes[20] ^= 1;
    std::fs::write(file, bytes).unwrap();

    let store = Store::new(folder.path());
    let routes = Table(move |name: &_| Some(vec![Arc::new(store.existing(name)?) as _]));
    let spare = tempfile::tempdir().unwrap();
    let reader = Loopback::with(Access::ReadOnly, spare, Arc::new(routes)).await;
    let path = format!("/v2/a/blobs/{digest}");
    // The connection breaks: within the body, or, for a blob as small as this one, before the answer's head is out.
    if let Ok(response) = reader.request(Method::GET, &path).send().await {
        assert!(response.bytes().await.is_err());
    }
}
