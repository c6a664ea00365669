//! Decides that the relay takes pushes as the distribution-spec 1.1 says ("Push"): section titles name the tests.
//! Must never look behind the protocol where the protocol can tell.

use crate::support::{
    images::{Image, index},
    loopback::{Loopback, files_below, header, name, refusal},
};
use reqwest::Method;
use rpub::model::digest::Digest;

const BLOB: &[u8] = b"0123456789abcdef";

/// GET of a blob that was pushed gives its bytes.
async fn assert_pulls(relay: &Loopback, repository: &str, bytes: &[u8]) {
    let path = format!("/v2/{repository}/blobs/{}", Digest::of(bytes));
    let response = relay.get(&path).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.bytes().await.unwrap(), bytes);
}

#[tokio::test]
async fn push_post_then_put() {
    let relay = Loopback::alone().await;
    let session = relay.begin("a/b").await;
    let path = format!("{session}?digest={}", Digest::of(BLOB));
    let request = relay.request(Method::PUT, &path).body(BLOB);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 201);
    let location = header(&response, "location").to_owned();
    assert_eq!(location, format!("/v2/a/b/blobs/{}", Digest::of(BLOB)));
    assert_eq!(
        header(&response, "docker-content-digest"),
        Digest::of(BLOB).to_string()
    );
    assert_eq!(
        header(&response, "docker-distribution-api-version"),
        "registry/2.0"
    );
    assert_eq!(relay.get(&location).await.bytes().await.unwrap(), BLOB);
    assert_eq!(relay.relay.received().blobs, 1);
    assert_eq!(relay.relay.received().bytes, 16);
}

#[tokio::test]
async fn push_single_post() {
    let relay = Loopback::alone().await;
    let path = format!("/v2/a/blobs/uploads/?digest={}", Digest::of(BLOB));
    let response = relay.request(Method::POST, &path).body(BLOB).send().await;
    assert_eq!(response.unwrap().status(), 201);
    assert_pulls(&relay, "a", BLOB).await;
    let wrong = format!("/v2/a/blobs/uploads/?digest={}", Digest::of(b"other"));
    let response = relay.request(Method::POST, &wrong).body(BLOB).send().await;
    assert_eq!(
        refusal(response.unwrap()).await,
        (400, "DIGEST_INVALID".to_owned())
    );
}

#[tokio::test]
async fn push_streamed_as_podman_does() {
    let relay = Loopback::alone().await;
    let session = relay.begin("a").await;
    let parts: Vec<Result<&'static [u8], std::io::Error>> = vec![Ok(&BLOB[..7]), Ok(&BLOB[7..])];
    let body = reqwest::Body::wrap_stream(futures::stream::iter(parts));
    let response = relay.patch(&session, body).await;
    assert_eq!(response.status(), 202);
    assert_eq!(header(&response, "range"), "0-15");
    let session = header(&response, "location").to_owned();
    let digest = Digest::of(BLOB).to_string().replace(':', "%3A");
    let response = relay
        .send(Method::PUT, &format!("{session}?digest={digest}"))
        .await;
    assert_eq!(response.status(), 201);
    assert_pulls(&relay, "a", BLOB).await;
}

#[tokio::test]
async fn push_chunked_with_content_range_and_last_chunk_in_put() {
    let relay = Loopback::alone().await;
    let session = relay.begin("a").await;
    for (range, bytes) in [("0-3", &BLOB[..4]), ("4-9", &BLOB[4..10])] {
        let request = relay.request(Method::PATCH, &session);
        let request = request.header("content-range", range).body(bytes);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 202);
        assert!(!header(&response, "docker-upload-uuid").is_empty());
    }
    let status = relay.get(&session).await;
    assert_eq!(status.status(), 204);
    assert_eq!(header(&status, "range"), "0-9");
    assert_eq!(header(&status, "location"), session);
    let path = format!("{session}?digest={}", Digest::of(BLOB));
    let request = relay.request(Method::PUT, &path);
    let request = request.header("content-range", "10-15").body(&BLOB[10..]);
    assert_eq!(request.send().await.unwrap().status(), 201);
    assert_pulls(&relay, "a", BLOB).await;
}

#[tokio::test]
async fn push_chunked_out_of_order_is_416() {
    let relay = Loopback::alone().await;
    let session = relay.begin("a").await;
    let chunk = |range: &'static str, bytes: &'static [u8]| {
        let request = relay.request(Method::PATCH, &session);
        request.header("content-range", range).body(bytes).send()
    };
    assert_eq!(chunk("4-9", &BLOB[4..10]).await.unwrap().status(), 416);
    assert_eq!(chunk("0-3", &BLOB[..4]).await.unwrap().status(), 202);
    let again = chunk("0-3", &BLOB[..4]).await.unwrap();
    assert_eq!(again.status(), 416);
    assert_eq!(header(&again, "range"), "0-3");
    assert_eq!(header(&again, "location"), session);
    // What was refused did not hurt what is there.
    assert_eq!(chunk("4-15", &BLOB[4..]).await.unwrap().status(), 202);
    let done = relay.finish(&session, Digest::of(BLOB)).await;
    assert_eq!(done.status(), 201);
}

#[tokio::test]
async fn push_chunk_of_another_length_than_its_content_range_is_refused() {
    let relay = Loopback::alone().await;
    let session = relay.begin("a").await;
    let request = relay.request(Method::PATCH, &session);
    let request = request.header("content-range", "0-9").body(&BLOB[..4]);
    let answer = refusal(request.send().await.unwrap()).await;
    assert_eq!(answer, (400, "SIZE_INVALID".to_owned()));
    assert_eq!(relay.spooled(), Vec::<String>::new());
}

#[tokio::test]
async fn push_with_a_wrong_digest_leaves_nothing() {
    let relay = Loopback::alone().await;
    let session = relay.begin("a").await;
    relay.patch(&session, BLOB).await;
    let answer = refusal(relay.finish(&session, Digest::of(b"other")).await).await;
    assert_eq!(answer, (400, "DIGEST_INVALID".to_owned()));
    let missing = refusal(relay.get(&session).await).await;
    assert_eq!(missing, (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    assert_eq!(relay.spooled(), Vec::<String>::new());
    assert_eq!(relay.relay.received().blobs, 0);
}

#[tokio::test]
async fn push_to_an_upload_that_is_unknown_cancelled_or_anothers_is_404() {
    let relay = Loopback::alone().await;
    let session = relay.begin("a").await;
    let others = session.replace("/v2/a/", "/v2/b/");
    assert_eq!(relay.patch(&others, BLOB).await.status(), 404);
    let response = relay.send(Method::DELETE, &session).await;
    assert_eq!(response.status(), 204);
    assert_eq!(relay.spooled(), Vec::<String>::new());
    let unknown = "/v2/a/blobs/uploads/00000000000000000000000000000000";
    for path in [session.as_str(), unknown, "/v2/a/blobs/uploads/..%2f..%2fx"] {
        let answer = refusal(relay.patch(path, BLOB).await).await;
        assert_eq!(answer, (404, "BLOB_UPLOAD_UNKNOWN".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn push_an_empty_blob() {
    let relay = Loopback::alone().await;
    let session = relay.begin("a").await;
    let done = relay.finish(&session, Digest::of(b"")).await;
    assert_eq!(done.status(), 201);
    assert_pulls(&relay, "a", b"").await;
}

#[tokio::test]
async fn cross_repository_mount() {
    let relay = Loopback::alone().await;
    relay.push_blob("a", BLOB).await;
    let digest = Digest::of(BLOB);
    let path = format!("/v2/b/blobs/uploads/?mount={digest}&from=a");
    let response = relay.send(Method::POST, &path).await;
    assert_eq!(response.status(), 201);
    assert_eq!(
        header(&response, "location"),
        format!("/v2/b/blobs/{digest}")
    );
    assert_pulls(&relay, "b", BLOB).await;
}

#[tokio::test]
async fn cross_repository_mount_of_an_unknown_blob_begins_an_upload() {
    let relay = Loopback::alone().await;
    for query in [
        format!("mount={}&from=a", Digest::of(BLOB)),
        format!("mount={}", Digest::of(BLOB)),
        "mount=nonsense&from=..".to_owned(),
    ] {
        let path = format!("/v2/b/blobs/uploads/?{query}");
        let response = relay.send(Method::POST, &path).await;
        assert_eq!(response.status(), 202, "{query}");
        let session = header(&response, "location").to_owned();
        relay.patch(&session, BLOB).await;
        relay.send(Method::DELETE, &session).await;
    }
}

#[tokio::test]
async fn push_manifest_by_tag_and_by_digest() {
    let relay = Loopback::alone().await;
    let image = Image::new("amd64", "hello");
    let digest = image.manifest.digest();
    let response = relay.push_image("a", "v1", &image).await;
    assert_eq!(response.status(), 201);
    assert_eq!(
        header(&response, "docker-content-digest"),
        digest.to_string()
    );
    let location = header(&response, "location").to_owned();
    assert_eq!(location, format!("/v2/a/manifests/{digest}"));
    let by_digest = relay
        .push_manifest("a", &digest.to_string(), &image.manifest)
        .await;
    assert_eq!(by_digest.status(), 201);
    assert_eq!(relay.get(&location).await.status(), 200);
    let reference = "v1".parse().unwrap();
    let name = "a".parse().unwrap();
    let pushed = relay.relay.pushed(&name, &reference);
    assert_eq!(pushed, Some(image.manifest));
}

#[tokio::test]
async fn push_manifest_that_is_none_too_large_or_of_another_digest() {
    let relay = Loopback::alone().await;
    let image = Image::new("amd64", "hello");
    let wrong = Digest::of(b"other").to_string();
    let answer = refusal(relay.push_manifest("a", &wrong, &image.manifest).await).await;
    assert_eq!(answer, (400, "DIGEST_INVALID".to_owned()));
    for (reference, body, expected) in [
        ("v1", b"<html>".to_vec(), (400, "MANIFEST_INVALID")),
        (".v1", image.manifest.bytes().to_vec(), (400, "TAG_INVALID")),
        ("v1", vec![b' '; 5 << 20], (413, "MANIFEST_INVALID")),
    ] {
        let path = format!("/v2/a/manifests/{reference}");
        let request = relay.request(Method::PUT, &path).body(body);
        let (status, code) = refusal(request.send().await.unwrap()).await;
        assert_eq!((status, code.as_str()), expected);
    }
}

#[tokio::test]
async fn push_manifest_before_its_blobs_is_refused() {
    let (relay, store) = Loopback::before_a_store().await;
    let image = Image::new("amd64", "hello");
    let first = relay.push_manifest("a", "v1", &image.manifest).await;
    assert_eq!(
        refusal(first).await,
        (400, "MANIFEST_BLOB_UNKNOWN".to_owned())
    );
    relay.push_blob("a", &image.config).await;
    let half = relay.push_manifest("a", "v1", &image.manifest).await;
    assert_eq!(
        refusal(half).await,
        (400, "MANIFEST_BLOB_UNKNOWN".to_owned())
    );
    assert_eq!(relay.push_image("a", "v1", &image).await.status(), 201);
    assert!(store.path().join("a/oci-layout").is_file());
}

#[tokio::test]
async fn push_index_with_a_missing_child_is_refused() {
    for relay in [Loopback::alone().await, Loopback::before_a_store().await.0] {
        let images = [Image::new("amd64", "one"), Image::new("arm64", "two")];
        let list = index(&[&images[0], &images[1]]);
        relay.push_image("a", "one", &images[0]).await;
        let answer = refusal(relay.push_manifest("a", "list", &list).await).await;
        assert_eq!(answer, (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));
        relay.push_image("a", "two", &images[1]).await;
        let whole = relay.push_manifest("a", "list", &list).await;
        assert_eq!(whole.status(), 201);
    }
}

#[tokio::test]
async fn content_management_is_not_done() {
    let relay = Loopback::alone().await;
    relay.push_blob("a", BLOB).await;
    let digest = Digest::of(BLOB);
    for path in [
        format!("/v2/a/blobs/{digest}"),
        "/v2/a/manifests/v1".to_owned(),
    ] {
        let answer = refusal(relay.send(Method::DELETE, &path).await).await;
        assert_eq!(answer, (405, "UNSUPPORTED".to_owned()));
    }
}

/// Of a step's image the layers alone go on; of an image that is that step, all of it.
#[tokio::test]
async fn push_of_a_step_brings_its_layers_and_no_more() {
    let (relay, store) = Loopback::before_a_store().await;
    let image = Image::new("amd64", "step");
    let blobs = image.manifest.blobs();
    let (config, layer) = (blobs[0].digest, blobs[1].digest);
    let stored = || files_below(store.path());
    let has = |digest: Digest| stored().contains(&digest.hex());
    relay.relay.expect_step(&name("a"), config);
    assert_eq!(relay.push_image("a", "t", &image).await.status(), 201);
    crate::support::engine::eventually("the layer is there", || has(layer)).await;
    assert!(
        !has(config) && !has(image.manifest.digest()),
        "{:?}",
        stored()
    );
    assert_eq!(relay.get("/v2/a/manifests/t").await.status(), 404);

    relay.relay.expect_config(&name("a"), config);
    let response = relay.push_manifest("a", "t", &image.manifest).await;
    assert_eq!(response.status(), 201);
    assert!(
        has(config) && has(image.manifest.digest()),
        "{:?}",
        stored()
    );
}
