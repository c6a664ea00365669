//! Decides that what was deleted comes back whole, also for who never saw it, and that nothing else is called back.
//! Must never take GitHub's word for it: the registry behind it is asked.

use super::deletion::{signature, signature_tag};
use super::*;
use crate::support::deletions::deletion_of;
use rpub::model::retention::Deleted;

/// An emulator where a signature with its tag is deleted, and its digest.
async fn deleted() -> (Ghcr, Remote, Digest, BTreeMap<Digest, BTreeSet<String>>) {
    let (ghcr, manifests) = filled(3).await;
    let (image, sig) = (manifests[1].digest(), manifests[2].digest());
    behind(&ghcr, APP)
        .put_manifest(&signature_tag(image), &manifests[2])
        .await
        .unwrap();
    let (before, app) = (ghcr.packages().package(APP), at(&ghcr, APP));
    let deleted = app.delete(&signature(image, sig)).await.unwrap();
    assert_eq!(deleted, Deleted::Now);
    assert_eq!(ghcr.packages().package(APP).len(), 2);
    (ghcr, app, sig, before)
}

#[tokio::test]
async fn ghcr_restores_a_manifest_and_its_tags() {
    let (ghcr, app, sig, before) = deleted().await;
    assert!(app.restore(sig).await.unwrap());
    assert_eq!(ghcr.packages().package(APP), before);
    assert_eq!(ghcr.api_proxy.count("GET", "state=deleted"), 0);
    // Once more changes nothing: it is there.
    assert!(app.restore(sig).await.unwrap());
    assert_eq!(listed(&app).await, before);
}

#[tokio::test]
async fn ghcr_restores_what_this_client_never_listed() {
    let (ghcr, _, sig, before) = deleted().await;
    let app = at(&ghcr, APP);
    assert!(app.restore(sig).await.unwrap());
    assert_eq!(ghcr.packages().package(APP), before);
    // Once for the list, and once more for what comes after it.
    assert_eq!(ghcr.api_proxy.count("GET", "state=deleted"), 2);
    assert_eq!(
        app.delete(&deletion_of(Digest::of(b"x"))).await.unwrap(),
        Deleted::Before
    );
}

#[tokio::test]
async fn ghcr_restores_all_versions_of_an_emptied_page() {
    let (ghcr, manifests) = filled(5).await;
    ghcr.packages().page(2);
    let app = at(&ghcr, APP);
    for manifest in &manifests[1..] {
        let deleted = app.delete(&deletion_of(manifest.digest())).await.unwrap();
        assert_eq!(deleted, Deleted::Now);
    }
    let fresh = at(&ghcr, APP);
    for manifest in &manifests[1..] {
        assert!(fresh.restore(manifest.digest()).await.unwrap());
    }
    assert_eq!(ghcr.packages().package(APP).len(), 5);
}

#[tokio::test]
async fn ghcr_restores_nothing_that_it_does_not_know() {
    let (ghcr, ..) = deleted().await;
    let unknown = Digest::of(b"unknown");
    assert!(!at(&ghcr, APP).restore(unknown).await.unwrap());
    assert_eq!(ghcr.api_proxy.count("POST", ""), 0);
}

#[tokio::test]
async fn ghcr_restores_after_what_passes() {
    let limit = r#"{"message": "You have exceeded a secondary rate limit"}"#;
    for (fault, calls) in [
        (Break::status(500), 2),
        (Break::html(200), 2),
        (Break::html(404), 2),
        (Break::Reset, 2),
        (Break::status(403).body(limit).header("Retry-After", "1"), 2),
        // It is found dead in no list any more, and alive by its id.
        (Break::LoseAnswer, 2),
    ] {
        let context = format!("{fault:?}");
        let (ghcr, app, sig, before) = deleted().await;
        ghcr.api_proxy
            .break_also(Rule::on("POST", "/restore", fault));
        assert!(app.restore(sig).await.unwrap(), "{context}");
        assert_eq!(ghcr.packages().package(APP), before, "{context}");
        assert_eq!(ghcr.api_proxy.count("POST", ""), calls, "{context}");
    }
}

#[tokio::test]
async fn ghcr_that_does_not_restore_is_not_believed() {
    let (ghcr, app, sig, _) = deleted().await;
    for (fault, expected) in [
        // It says that it did, and did not; the 30 days are over.
        (Break::status(204), Ok(false)),
        (Break::status(404), Ok(false)),
        (Break::status(403), Err(Class::Permission)),
        (Break::html(404), Err(Class::Content)),
        (Break::status(500), Err(Class::Server)),
        (Break::status(401), Err(Class::Auth)),
    ] {
        let context = format!("{fault:?}");
        ghcr.api_proxy
            .break_also(Rule::on("POST", "/restore", fault).always());
        let restored = app.restore(sig).await.map_err(|fault| fault.class);
        assert_eq!(restored, expected, "{context}");
        assert_eq!(ghcr.packages().package(APP).len(), 2, "{context}");
        ghcr.api_proxy.heal();
    }
}
