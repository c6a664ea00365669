//! Decides that the rpub program publishes what it promises, with real podman and real registries.
//! Must never pass where a part is missing, nor replace one by a mock.

/// What a release does to the tags of one before it.
mod after;
/// Nothing is visible before everything is there.
mod by_digest;
/// Twenty one after the other, four at once: no cross-talk, nothing left.
mod crowd;
/// Nothing new is needed once tags move.
mod descriptors;
/// Layers go while later steps are built.
mod early;
/// Machines hand digest records over.
mod handover;
/// `rpub push` pushes what this project built.
mod kept;
/// A large image, to three places at once.
mod large;
/// How hard layers are compressed.
mod levels;
/// Whose steps have this machine's network.
mod networks;
/// A base's layers come from where the base is.
mod origins;
/// What the HTML report says.
mod page;
/// What is published can be pulled, run and served.
mod pulled;
/// One commit, twice.
mod rebuilt;
/// Digest records that are not this release's.
mod records;
/// What is there already is not sent again.
mod repeated;
/// `rpub verify` notices what somebody else changed.
mod verified;

use crate::support::registries::{Auth, RegistryProcess};
use rpub::model::{digest::Digest, manifest::RawManifest, manifest::media_type, reference::Host};
use serde_json::Value;

/// An image of few bytes, with all that a release must not lose.
const SMALL: &str = "FROM scratch\nCOPY file /file\nHEALTHCHECK CMD [\"/file\"]\n";

fn two_registries() -> [RegistryProcess; 2] {
    registries()
}

fn registries<const COUNT: usize>() -> [RegistryProcess; COUNT] {
    std::array::from_fn(|_| RegistryProcess::start(&Auth::None))
}

/// The value of `--to` for these hosts and a namespace.
fn to<'a>(hosts: impl IntoIterator<Item = &'a Host>, namespace: &str) -> String {
    let one = |host: &Host| format!("http://{host}/{namespace}");
    hosts.into_iter().map(one).collect::<Vec<_>>().join(",")
}

fn client() -> reqwest::Client {
    // Whoever was first has installed the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A manifest as a registry has it; `None` where it has none.
pub(crate) async fn manifest(host: &Host, name: &str, reference: &str) -> Option<RawManifest> {
    let url = format!("http://{host}/v2/{name}/manifests/{reference}");
    let request = client().get(url);
    let request = request.header("Accept", media_type::ALL.join(", "));
    let response = request.send().await.unwrap();
    if response.status().as_u16() == 404 {
        return None;
    }
    assert!(response.status().is_success(), "{}", response.status());
    let kind = response.headers()["content-type"].to_str().unwrap();
    let kind = kind.to_owned();
    let bytes = response.bytes().await.unwrap().to_vec();
    Some(RawManifest::parse(bytes, &kind).unwrap())
}

/// The tags of a repository; none where there is no such repository either.
pub(crate) async fn tags(host: &Host, name: &str) -> Vec<String> {
    let url = format!("http://{host}/v2/{name}/tags/list");
    let text = client().get(url).send().await.unwrap().text().await;
    let answer: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let tags = answer["tags"].as_array().cloned().unwrap_or_default();
    let mut tags: Vec<String> = tags
        .iter()
        .map(|tag| tag.as_str().unwrap().to_owned())
        .collect();
    tags.sort();
    tags
}

/// A blob that a registry must have.
pub(crate) async fn blob(host: &Host, name: &str, digest: Digest) -> Vec<u8> {
    let url = format!("http://{host}/v2/{name}/blobs/{digest}");
    let response = client().get(url).send().await.unwrap();
    assert!(response.status().is_success(), "{}", response.status());
    let bytes = response.bytes().await.unwrap().to_vec();
    assert_eq!(Digest::of(&bytes), digest);
    bytes
}

/// The digest of the only image in a report, and those of its children.
fn digests(report: &Value) -> (Digest, Vec<Digest>) {
    let image = &report["images"][0];
    let parse = |value: &Value| value.as_str().unwrap().parse::<Digest>().unwrap();
    let children = image["platforms"].as_array().unwrap();
    let children = children.iter().map(|child| parse(&child["digest"]));
    (parse(&image["digest"]), children.collect())
}

/// What `skopeo inspect --raw` prints.
fn raw(reference: &str) -> Vec<u8> {
    let mut skopeo = std::process::Command::new("skopeo");
    skopeo.args(["inspect", "--raw"]);
    if reference.starts_with("docker://") {
        skopeo.arg("--tls-verify=false");
    }
    let output = skopeo.arg(reference).output().expect("skopeo is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{reference}: {complaint}");
    output.stdout
}
