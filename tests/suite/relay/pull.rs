//! Decides that the relay answers pulls and listings as the distribution-spec 1.1 says ("Pull", "Content Discovery").
//! Must never look behind the protocol where the protocol can tell.

use crate::support::{
    images::{Image, index},
    loopback::{Loopback, header, refusal},
};
use reqwest::Method;
use rpub::model::digest::Digest;

#[tokio::test]
async fn pull_determines_support() {
    let relay = Loopback::alone().await;
    let response = relay.get("/v2/").await;
    assert_eq!(response.status(), 200);
    let version = header(&response, "docker-distribution-api-version");
    assert_eq!(version, "registry/2.0");
}

#[tokio::test]
async fn pull_nonexistent_blob_404() {
    let (before_a_store, _store) = Loopback::before_a_store().await;
    for relay in [Loopback::alone().await, before_a_store] {
        let path = format!("/v2/a/blobs/{}", Digest::of(b"nothing"));
        assert_eq!(relay.head(&path).await.status(), 404);
        let answer = refusal(relay.get(&path).await).await;
        assert_eq!(answer, (404, "BLOB_UNKNOWN".to_owned()));
    }
}

#[tokio::test]
async fn pull_existing_blob_and_its_head() {
    let relay = Loopback::alone().await;
    relay.push_blob("a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{}", Digest::of(b"0123456789"));
    for method in [Method::HEAD, Method::GET] {
        let response = relay.send(method, &path).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-length"), "10");
        assert_eq!(
            header(&response, "docker-content-digest"),
            Digest::of(b"0123456789").to_string()
        );
    }
}

#[tokio::test]
async fn pull_blob_in_part() {
    let relay = Loopback::alone().await;
    relay.push_blob("a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{}", Digest::of(b"0123456789"));
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-1", 206, "bytes 9-9/10", "9"),
        ("bytes=0-9", 200, "", "0123456789"),
    ] {
        let request = relay.request(Method::GET, &path).header("range", range);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{range}");
        assert_eq!(header(&response, "content-range"), content_range);
        assert_eq!(response.text().await.unwrap(), body);
    }
    let request = relay
        .request(Method::GET, &path)
        .header("range", "bytes=10-");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 416);
    assert_eq!(header(&response, "content-range"), "bytes */10");
}

#[tokio::test]
async fn pull_nonexistent_manifest_404() {
    let (before_a_store, _store) = Loopback::before_a_store().await;
    for relay in [Loopback::alone().await, before_a_store] {
        let digest = Digest::of(b"nothing").to_string();
        for reference in ["v1", ".INVALID_MANIFEST_NAME", &digest, "sha512:00"] {
            let path = format!("/v2/a/manifests/{reference}");
            assert_eq!(relay.head(&path).await.status(), 404, "{reference}");
            let answer = refusal(relay.get(&path).await).await;
            assert_eq!(answer, (404, "MANIFEST_UNKNOWN".to_owned()));
        }
    }
}

#[tokio::test]
async fn pull_existing_manifest_by_tag_and_digest() {
    let (before_a_store, _store) = Loopback::before_a_store().await;
    for relay in [Loopback::alone().await, before_a_store] {
        let image = Image::new("amd64", "hello");
        let list = index(&[&image]);
        relay.push_image("a/b/c", "v1", &image).await;
        relay.push_manifest("a/b/c", "list", &list).await;
        for (reference, manifest) in [
            ("v1".to_owned(), &image.manifest),
            (image.manifest.digest().to_string(), &image.manifest),
            ("list".to_owned(), &list),
        ] {
            let path = format!("/v2/a/b/c/manifests/{reference}");
            let length = manifest.bytes().len().to_string();
            for method in [Method::HEAD, Method::GET] {
                let head = method == Method::HEAD;
                let response = relay.send(method, &path).await;
                assert_eq!(response.status(), 200);
                assert_eq!(header(&response, "content-type"), manifest.media_type());
                assert_eq!(header(&response, "content-length"), length);
                let digest = manifest.digest().to_string();
                assert_eq!(header(&response, "docker-content-digest"), digest);
                let expected = if head { b"" } else { manifest.bytes() };
                assert_eq!(response.bytes().await.unwrap(), expected);
            }
        }
    }
}

#[tokio::test]
async fn pull_of_an_unknown_repository_is_name_unknown() {
    let relay = Loopback::start(|_| None).await;
    for path in ["/v2/a/tags/list", "/v2/a/manifests/v1"] {
        let answer = refusal(relay.get(path).await).await;
        assert_eq!(answer, (404, "NAME_UNKNOWN".to_owned()));
    }
}

#[tokio::test]
async fn pull_with_names_that_are_none() {
    let relay = Loopback::alone().await;
    for (path, status, code) in [
        ("/v2/A/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/a..b/tags/list", 400, "NAME_INVALID"),
        ("/v2/a/blobs/sha256:short", 400, "DIGEST_INVALID"),
        ("/v2/a", 404, "UNSUPPORTED"),
        ("/", 404, "UNSUPPORTED"),
        ("/v2/a/referrers/sha256:0", 404, "UNSUPPORTED"),
    ] {
        let answer = refusal(relay.get(path).await).await;
        assert_eq!(answer, (status, code.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn tags_list_paging() {
    let relay = Loopback::alone().await;
    let image = Image::new("amd64", "hello");
    for tag in ["c", "a", "d", "b"] {
        relay.push_image("a/b", tag, &image).await;
    }
    let all = relay.get("/v2/a/b/tags/list").await;
    assert_eq!(header(&all, "link"), "");
    let body: serde_json::Value = all.json().await.unwrap();
    let expected = serde_json::json!({ "name": "a/b", "tags": ["a", "b", "c", "d"] });
    assert_eq!(body, expected);
    for (query, tags, link) in [
        (
            "n=2",
            vec!["a", "b"],
            "</v2/a/b/tags/list?n=2&last=b>; rel=\"next\"",
        ),
        ("n=2&last=b", vec!["c", "d"], ""),
        ("n=0", vec![], ""),
        ("last=bb", vec!["c", "d"], ""),
        ("last=d", vec![], ""),
        ("n=99", vec!["a", "b", "c", "d"], ""),
    ] {
        let response = relay.get(&format!("/v2/a/b/tags/list?{query}")).await;
        assert_eq!(header(&response, "link"), link, "{query}");
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["tags"], serde_json::json!(tags), "{query}");
    }
    let bad = refusal(relay.get("/v2/a/b/tags/list?n=-1").await).await;
    assert_eq!(bad, (400, "PAGINATION_NUMBER_INVALID".to_owned()));
}
