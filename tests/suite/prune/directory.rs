//! Decides that a directory store is pruned as registries are, blobs included, and that what is left is a whole layout.
//! Must never look at what is left through rpub: skopeo does, and the folder is read.

use super::stock::project;
use crate::support::{
    images::{Image, index, push, put},
    loopback::files_below,
};
use rpub::{model::digest::Digest, store::Store};
use std::collections::BTreeSet;

fn blobs_of(images: &[&Image]) -> BTreeSet<String> {
    let blobs = images.iter().flat_map(|image| image.blobs());
    let blobs = blobs.map(|bytes| Digest::of(bytes).hex());
    let manifests = images.iter().map(|image| image.manifest.digest().hex());
    blobs.chain(manifests).collect()
}

#[tokio::test]
async fn prune_takes_manifests_and_their_own_blobs_from_a_directory() {
    let project = project();
    let folder = project.path("out");
    let layout = Store::new(&folder).repository(&"app".parse().unwrap());
    let labels = serde_json::json!({});
    let image = |arch, texts: &[&str]| Image::labelled(arch, texts, &labels);
    // All have the first layer; the old one and the new one share a child.
    let shared = image("amd64", &["base", "shared"]);
    let (gone, fresh) = (
        image("arm64", &["base", "old"]),
        image("arm64", &["base", "new"]),
    );
    for one in [&shared, &gone, &fresh] {
        push(&layout, one).await;
    }
    let (old, new) = (index(&[&shared, &gone]), index(&[&shared, &fresh]));
    put(&layout, "", &old).await;
    put(&layout, "latest", &new).await;
    let prune = async || {
        let digest = old.digest().to_string();
        project
            .run(&["prune", "app", "--to", "./out", "--digest", &digest])
            .await
    };

    // Somebody keeps an image there under a name of his own: nothing is touched.
    let path = folder.join("app/index.json");
    let ours = std::fs::read_to_string(&path).unwrap();
    let strange = format!(
        r#"{{"mediaType":"x","digest":"{}","size":1}}"#,
        old.digest()
    );
    std::fs::write(&path, ours.replace("[{", &format!("[{strange},{{"))).unwrap();
    let before = files_below(&folder);
    let run = prune().await;
    assert_eq!(run.code, Some(10), "{}", run.err);
    assert!(run.err.contains("entries that are no tags"), "{}", run.err);
    assert_eq!(files_below(&folder), before);

    std::fs::write(&path, &ours).unwrap();
    let run = prune().await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let mut left = blobs_of(&[&shared, &fresh]);
    left.insert(new.digest().hex());
    let names = std::fs::read_dir(folder.join("app/blobs/sha256")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.collect::<BTreeSet<_>>(), left);
    let to = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("skopeo")
        .args(["copy", "--all", "--quiet"])
        .arg(format!("oci:{}:latest", folder.join("app").display()))
        .arg(format!("dir:{}", to.path().display()))
        .status();
    assert!(copied.expect("skopeo is installed").success());
    project.is_clean_after(&run);
}
