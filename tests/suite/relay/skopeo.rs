//! Decides that the relay serves the client code that podman itself pushes and pulls with (containers/image, in skopeo).
//! Must never pass where skopeo is missing.

use crate::support::{
    images::{Image, index},
    loopback::{Loopback, Table, name},
};
use rpub::{
    model::{digest::Digest, reference::Reference},
    relay::Access,
    store::Store,
    target::Target,
};
use secrecy::ExposeSecret;
use std::sync::Arc;
use tokio::process::Command;

async fn skopeo(arguments: &[&str]) -> Result<Vec<u8>, String> {
    let output = Command::new("skopeo").args(arguments).output().await;
    let output = output.expect("skopeo is needed here: apt-get install skopeo");
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A list of two images, tagged `v1` in the repository `a/b` of a directory store.
async fn stored() -> (tempfile::TempDir, Vec<u8>) {
    let (seed, folder) = Loopback::before_a_store().await;
    let images = [Image::new("amd64", "one"), Image::new("arm64", "two")];
    for image in &images {
        seed.push_image("a/b", "x", image).await;
    }
    let list = index(&[&images[0], &images[1]]);
    let layout = Store::new(folder.path()).repository(&name("a/b"));
    let tag: Reference = "v1".parse().unwrap();
    layout.put_manifest(&tag, &list).await.unwrap();
    (folder, list.bytes().to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_pushes_to_the_relay_and_everything_arrives_under_its_digest() {
    let (source, list) = stored().await;
    let (relay, target) = Loopback::before_a_store().await;
    let password = relay.relay.password().expose_secret();
    let login = format!("{}:{password}", relay.relay.user());
    let from = format!("oci:{}/a/b:v1", source.path().display());
    let to = format!("docker://{}/c:tmp", relay.relay.address());
    let insecure = "--dest-tls-verify=false";
    let flags = ["copy", "--all", "--preserve-digests", insecure];
    let refused = skopeo(&[&flags[..], &[&from, &to]].concat()).await;
    assert!(refused.unwrap_err().contains("authentication required"));
    let push = [&flags[..], &["--dest-creds", &login, &from, &to]].concat();
    skopeo(&push).await.unwrap();

    let layout = Store::new(target.path()).repository(&name("c"));
    let by_digest = Reference::Digest(Digest::of(&list));
    let arrived = layout.read_manifest(&by_digest).await.unwrap().unwrap();
    assert_eq!(arrived.bytes(), list);
    assert_eq!(layout.tags().await.unwrap(), vec![]);
    let tmp = "tmp".parse().unwrap();
    let pushed = relay.relay.pushed(&name("c"), &tmp).unwrap();
    assert_eq!(pushed.digest(), arrived.digest());
    // Again: nothing is sent that is here already.
    let before = relay.relay.received();
    assert_eq!(before.blobs, 4);
    skopeo(&push).await.unwrap();
    assert_eq!(relay.relay.received(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_pulls_from_a_store_that_is_served() {
    let (source, list) = stored().await;
    let store = Store::new(source.path());
    let routes = Table(move |name: &_| Some(vec![Arc::new(store.existing(name)?) as _]));
    let spare = tempfile::tempdir().unwrap();
    let relay = Loopback::with(Access::ReadOnly, spare, Arc::new(routes)).await;
    let from = format!("docker://{}/a/b:v1", relay.relay.address());
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &from]).await;
    assert_eq!(raw.unwrap(), list);
    let folder = tempfile::tempdir().unwrap();
    let to = format!("dir:{}", folder.path().display());
    let copy = [
        "copy",
        "--all",
        "--preserve-digests",
        "--src-tls-verify=false",
    ];
    skopeo(&[&copy[..], &[&from, &to]].concat()).await.unwrap();
    let tags = ["list-tags", "--tls-verify=false"];
    let repository = from.trim_end_matches(":v1");
    let tags = skopeo(&[&tags[..], &[repository]].concat()).await.unwrap();
    let tags: serde_json::Value = serde_json::from_slice(&tags).unwrap();
    assert_eq!(tags["Tags"], serde_json::json!(["v1"]));
}
