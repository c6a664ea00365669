//! Decides what GHCR's registry itself does not do: delete, take large chunks, list what is about a manifest.
//! Must never be kinder than GHCR: rpub is pushed through it whole.

use super::*;
use crate::support::deletions::deletion_of;
use crate::support::loopback::{client as http, header};
use rpub::model::retention::{Deleted, Refusal};

/// A client that takes it for a plain registry.
fn plain(ghcr: &Ghcr) -> Remote {
    let options = Options {
        service: Service::Plain,
        ..options(ghcr.host())
    };
    let (registry, ..) = client(options, login());
    registry.repository(APP.parse().unwrap())
}

#[tokio::test]
async fn ghcr_takes_an_image_as_rpub_pushes_it() {
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    let (image, app) = (Image::new(), at(&ghcr, APP));
    image.push(&app).await.unwrap();
    image.check(&app).await;
    assert_eq!(ghcr.proxy.count("PATCH", ""), 0);
    let found = listed(&app).await;
    let tags = BTreeSet::from(["1.2.3".to_owned()]);
    assert_eq!(found, BTreeMap::from([(image.manifest.digest(), tags)]));
}

#[tokio::test]
async fn ghcr_deletes_nothing_as_a_registry() {
    let (ghcr, manifests) = filled(2).await;
    let plain = plain(&ghcr);
    let deleted = plain.delete(&deletion_of(manifests[1].digest())).await;
    assert_eq!(deleted.unwrap(), Deleted::Refused(Refusal::Never));
    assert!(!plain.remove_tag(&"latest".parse().unwrap()).await.unwrap());
    let statuses = ghcr.proxy.seen().into_iter();
    let statuses = statuses.filter(|seen| seen.method == "DELETE" && seen.status != Some(401));
    let statuses: Vec<Option<u16>> = statuses.map(|seen| seen.status).collect();
    assert_eq!(statuses, [Some(405), Some(405)]);
    assert_eq!(ghcr.packages().package(APP).len(), 2);
    // And rpub takes no tag away there either.
    assert!(
        !at(&ghcr, APP)
            .remove_tag(&"latest".parse().unwrap())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn ghcr_takes_no_chunk_above_4_mib() {
    let (ghcr, _) = filled(1).await;
    let base = format!("http://{}", ghcr.host());
    let scope = format!("service=registry.test&scope=repository:{APP}:pull,push");
    let asked = http().get(format!("{base}/token?{scope}"));
    let asked = asked.basic_auth(USER, Some(PASSWORD)).send().await.unwrap();
    let token: serde_json::Value = asked.json().await.unwrap();
    let token = token["token"].as_str().unwrap();
    for (size, status) in [(4 * 1024 * 1024, 202), (4 * 1024 * 1024 + 1, 416)] {
        let begun = http().post(format!("{base}/v2/{APP}/blobs/uploads/"));
        let begun = begun.bearer_auth(token).send().await.unwrap();
        assert_eq!(begun.status(), 202);
        let patch = http()
            .patch(header(&begun, "location"))
            .bearer_auth(token)
            .header("Content-Type", "application/octet-stream")
            .header("Content-Range", format!("0-{}", size - 1))
            .body(vec![7; size]);
        assert_eq!(patch.send().await.unwrap().status(), status, "{size}");
    }
}

#[tokio::test]
async fn ghcr_lists_nothing_that_is_about_a_manifest() {
    let (ghcr, manifests) = filled(2).await;
    let app = at(&ghcr, APP);
    for manifest in &manifests {
        assert_eq!(app.referrers(manifest.digest()).await.unwrap(), None);
    }
    let mut asked = ghcr.proxy.seen();
    asked.retain(|seen| seen.target.contains("/referrers/") && seen.status == Some(303));
    assert_eq!(asked.len(), 1, "it is asked once");
}
