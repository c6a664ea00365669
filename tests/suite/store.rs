//! Decides that a directory store is what skopeo and podman call an OCI layout.
//! Must never pass where the real part is missing.

use crate::support::{
    images::{Image, index},
    loopback::{files_below, name},
};
use futures::TryStreamExt;
use rpub::{
    events::Sent,
    model::{
        digest::Digest,
        fault::Class,
        manifest::RawManifest,
        reference::{Reference, Tag},
    },
    store::{Layout, Store},
    target::{LocalBlob, Target},
};
use std::{os::unix::fs::MetadataExt, path::Path};
use tokio::process::Command;

/// Bytes as a file on disk.
fn local(folder: &Path, bytes: &[u8]) -> LocalBlob {
    let digest = Digest::of(bytes);
    let path = folder.join(digest.hex());
    std::fs::write(&path, bytes).unwrap();
    LocalBlob {
        digest,
        size: bytes.len() as u64,
        path,
    }
}

/// Writes an image under its digest.
async fn put(layout: &Layout, image: &Image) {
    let folder = tempfile::tempdir().unwrap();
    for blob in image.blobs() {
        let blob = local(folder.path(), blob);
        layout.put_blob(&blob, &[]).await.unwrap();
    }
    let digest = Reference::Digest(image.manifest.digest());
    layout.put_manifest(&digest, &image.manifest).await.unwrap();
}

fn tag(text: &str) -> Reference {
    Reference::Tag(text.parse().unwrap())
}

async fn skopeo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo").args(arguments).output();
    let output = output
        .await
        .expect("skopeo is needed here: apt-get install skopeo");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "skopeo {arguments:?}: {error}");
    output.stdout
}

#[tokio::test]
async fn skopeo_reads_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let layout = store.repository(&name("owner/app"));
    let images = [Image::new("amd64", "one"), Image::new("arm64", "two")];
    for image in &images {
        put(&layout, image).await;
    }
    let list = index(&[&images[0], &images[1]]);
    layout.put_manifest(&tag("v1.2.3"), &list).await.unwrap();
    let shown = layout.repository().at(&tag("v1.2.3"));
    let place = format!("oci:{}/owner/app:v1.2.3", folder.path().display());
    assert_eq!(shown, place);
    let raw = skopeo(&["inspect", "--raw", &place]).await;
    assert_eq!(raw, list.bytes());
    // And all of it can be copied away, blobs included.
    let copy = tempfile::tempdir().unwrap();
    let to = format!("dir:{}", copy.path().display());
    skopeo(&["copy", "--all", "--preserve-digests", &place, &to]).await;
    let layer = std::fs::read(copy.path().join(Digest::of(&images[1].layers[0]).hex()));
    assert_eq!(layer.unwrap(), images[1].layers[0]);
}

#[tokio::test]
async fn what_skopeo_writes_is_read_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Store::new(folder.path()).repository(&name("app"));
    let image = Image::new("amd64", "one");
    put(&layout, &image).await;
    // skopeo finds OCI media types only in an index.json: the list, not its docker-format child.
    let list = index(&[&image]);
    layout.put_manifest(&tag("ours"), &list).await.unwrap();
    let place = format!("oci:{}/app", folder.path().display());
    let (from, to) = (format!("{place}:ours"), format!("{place}:theirs"));
    skopeo(&["copy", "--all", &from, &to]).await;
    layout.put_manifest(&tag("later"), &list).await.unwrap();
    let expected: Vec<Tag> = ["later", "ours", "theirs"]
        .map(|t| t.parse().unwrap())
        .to_vec();
    assert_eq!(layout.tags().await.unwrap(), expected);
    assert!(
        layout
            .read_manifest(&tag("theirs"))
            .await
            .unwrap()
            .is_some()
    );
    skopeo(&["inspect", "--raw", &to]).await;
}

#[tokio::test]
async fn blobs_are_linked_not_copied_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(&folder.path().join("out"));
    let layout = store.repository(&name("a"));
    assert!(store.existing(&name("a")).is_none());
    let blob = local(folder.path(), b"0123456789");
    assert_eq!(layout.blob_size(blob.digest).await.unwrap(), None);
    assert_eq!(layout.put_blob(&blob, &[]).await.unwrap(), Sent::Uploaded);
    assert_eq!(std::fs::metadata(&blob.path).unwrap().nlink(), 2);
    assert_eq!(layout.put_blob(&blob, &[]).await.unwrap(), Sent::Present);
    assert!(store.existing(&name("a")).is_some());
    let peeked = layout.peek_blob(blob.digest, 4).await.unwrap();
    assert_eq!(peeked.as_deref(), Some(b"0123".as_slice()));
    let (size, bytes) = layout.read_blob(blob.digest).await.unwrap().unwrap();
    let bytes: Vec<_> = bytes.try_collect().await.unwrap();
    assert_eq!(
        (size, bytes.concat().as_slice()),
        (10, b"0123456789".as_slice())
    );

    let neighbour = store.repository(&name("b"));
    let gone = LocalBlob {
        path: folder.path().join("gone"),
        ..blob.clone()
    };
    let sent = neighbour.put_blob(&gone, &[name("a")]).await.unwrap();
    assert_eq!(sent, Sent::Mounted);
    let truncated = LocalBlob {
        size: 11,
        digest: Digest::of(b"other"),
        ..blob
    };
    let fault = layout.put_blob(&truncated, &[]).await.unwrap_err();
    assert_eq!(fault.class, Class::Content);
}

#[tokio::test]
async fn a_blob_from_another_disk_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let shm = tempfile::tempdir_in("/dev/shm").unwrap();
    let blob = local(shm.path(), b"0123456789");
    let layout = Store::new(folder.path()).repository(&name("a"));
    assert_eq!(layout.put_blob(&blob, &[]).await.unwrap(), Sent::Uploaded);
    assert_eq!(layout.blob_size(blob.digest).await.unwrap(), Some(10));
    let names = files_below(&folder.path().join("a/blobs"));
    assert_eq!(names, vec![blob.digest.hex()]);
}

#[tokio::test]
async fn a_manifest_needs_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Store::new(folder.path()).repository(&name("a"));
    let image = Image::new("amd64", "one");
    let by_digest = Reference::Digest(image.manifest.digest());
    let fault = layout.put_manifest(&by_digest, &image.manifest).await;
    let fault = fault.unwrap_err();
    assert_eq!(fault.class, Class::NotFound);
    assert_eq!(fault.code.as_deref(), Some("MANIFEST_BLOB_UNKNOWN"));
    let list = index(&[&image]);
    assert!(layout.put_manifest(&tag("v1"), &list).await.is_err());
    put(&layout, &image).await;
    layout.put_manifest(&tag("v1"), &list).await.unwrap();
    assert_eq!(
        layout.resolve(&tag("v1")).await.unwrap(),
        Some(list.digest())
    );
    assert_eq!(
        layout.resolve(&by_digest).await.unwrap(),
        Some(image.manifest.digest())
    );
    assert_eq!(layout.resolve(&tag("v2")).await.unwrap(), None);
    // A layer is a blob and no manifest.
    let layer = Reference::Digest(Digest::of(&image.layers[0]));
    assert_eq!(layout.resolve(&layer).await.unwrap(), None);
    let other = Reference::Digest(Digest::of(b"other"));
    let fault = layout.put_manifest(&other, &list).await.unwrap_err();
    assert_eq!(fault.code.as_deref(), Some("DIGEST_INVALID"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn taggings_from_eight_tasks_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::new("amd64", "one");
    put(&Store::new(folder.path()).repository(&name("a")), &image).await;
    let tasks = (0..8).map(|task| {
        let (path, manifest) = (folder.path().to_owned(), image.manifest.clone());
        tokio::spawn(async move {
            // Each with a store of its own, as several processes have.
            let layout = Store::new(&path).repository(&name("a"));
            for round in 0..5 {
                let tag = tag(&format!("t{task}-{round}"));
                layout.put_manifest(&tag, &manifest).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let layout = Store::new(folder.path()).repository(&name("a"));
    assert_eq!(layout.tags().await.unwrap().len(), 40);
}

#[tokio::test]
async fn hostile_files_are_faults_that_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Store::new(folder.path()).repository(&name("a"));
    let image = Image::new("amd64", "one");
    put(&layout, &image).await;
    layout
        .put_manifest(&tag("v1"), &image.manifest)
        .await
        .unwrap();
    let path = folder.path().join("a/index.json");
    let good = std::fs::read(&path).unwrap();
    for bad in [
        b"".to_vec(),
        b"[".to_vec(),
        b"{}".to_vec(),
        vec![b' '; 17 << 20],
    ] {
        std::fs::write(&path, bad).unwrap();
        let fault = layout.tags().await.unwrap_err();
        assert_eq!(fault.class, Class::Content);
        assert!(fault.request.contains("a/index.json"), "{fault}");
        let fault = layout.put_manifest(&tag("v2"), &image.manifest).await;
        assert_eq!(fault.unwrap_err().class, Class::Content);
    }
    std::fs::write(&path, good).unwrap();
    let blob = folder
        .path()
        .join("a/blobs/sha256")
        .join(image.manifest.digest().hex());
    std::fs::write(&blob, b"{}").unwrap();
    let fault = layout.read_manifest(&tag("v1")).await.unwrap_err();
    assert_eq!(fault.class, Class::Content);
    assert!(fault.request.contains(&image.manifest.digest().hex()));
}

#[tokio::test]
async fn names_that_would_lead_into_another_layout_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let blob = local(folder.path(), b"x");
    for bad in [
        "a/blobs",
        "a/blobs/sha256",
        "a/index.json",
        "a/oci-layout/b",
    ] {
        let fault = store.repository(&name(bad)).put_blob(&blob, &[]).await;
        assert_eq!(fault.unwrap_err().class, Class::Refused, "{bad}");
    }
    for good in ["blobs", "a", "a/b"] {
        store
            .repository(&name(good))
            .put_blob(&blob, &[])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_oci_manifest_without_its_media_type_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Store::new(folder.path()).repository(&name("a"));
    let config = local(folder.path(), b"{}");
    layout.put_blob(&config, &[]).await.unwrap();
    let text = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":2}},"layers":[]}}"#,
        config.digest
    );
    let kind = rpub::model::manifest::media_type::OCI_MANIFEST;
    let manifest = RawManifest::parse(text.into_bytes(), kind).unwrap();
    layout.put_manifest(&tag("v1"), &manifest).await.unwrap();
    for reference in [tag("v1"), Reference::Digest(manifest.digest())] {
        let found = layout.read_manifest(&reference).await.unwrap();
        assert_eq!(found.as_ref(), Some(&manifest));
    }
}

/// What the child process of the next test runs; on its own it writes for ever.
#[tokio::test]
#[ignore = "killed_writers_leave_no_half_file runs it"]
async fn writes_until_it_is_killed() {
    let folder = std::env::var_os("RPUB_TEST_STORE").expect("set by the other test");
    let layout = Store::new(Path::new(&folder)).repository(&name("a"));
    let shm = tempfile::tempdir().unwrap();
    for round in 0_u64.. {
        let mut bytes = round.to_le_bytes().repeat(500_000);
        bytes.extend(std::process::id().to_le_bytes());
        let blob = local(shm.path(), &bytes);
        layout.put_blob(&blob, &[]).await.unwrap();
        std::fs::remove_file(&blob.path).unwrap();
        let image = Image::new("amd64", &round.to_string());
        put(&layout, &image).await;
        let tag = tag(&format!("t{round}"));
        layout.put_manifest(&tag, &image.manifest).await.unwrap();
    }
}

#[tokio::test]
async fn killed_writers_leave_no_half_file() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Store::new(folder.path()).repository(&name("a"));
    let blobs = folder.path().join("a/blobs/sha256");
    // Another disk, so that blobs are copied: a link has no half.
    let shm = tempfile::tempdir_in("/dev/shm").unwrap();
    for round in 1..=6 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "store::writes_until_it_is_killed"])
            .env("RPUB_TEST_STORE", folder.path())
            .env("TMPDIR", shm.path())
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        while files_below(&blobs).len() < round * 10 {
            assert!(writer.try_wait().unwrap().is_none(), "the writer failed");
            tokio::task::yield_now().await;
        }
        writer.kill().await.unwrap();
        for file in files_below(&blobs) {
            let bytes = std::fs::read(blobs.join(&file)).unwrap();
            assert_eq!(Digest::of(&bytes).hex(), file);
        }
        for tag in layout.tags().await.unwrap() {
            let found = layout.read_manifest(&Reference::Tag(tag)).await;
            assert!(found.unwrap().is_some());
        }
    }
}

#[tokio::test]
async fn store_sweeps_what_killed_writers_left_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Store::new(folder.path()).repository(&name("owner/app"));
    let image = Image::new("amd64", "one");
    put(&layout, &image).await;
    let root = folder.path().join("owner/app");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(48);
    for (file, old) in [
        (".writing-killed", true),
        (".writing-now", false),
        ("of-somebody-else", true),
    ] {
        let file = std::fs::File::create(root.join(file)).unwrap();
        if old {
            file.set_modified(long_ago).unwrap();
        }
    }
    std::fs::create_dir(root.join(".writing-folder")).unwrap();
    put(&layout, &image).await;
    let left = |name: &str| root.join(name).exists();
    assert!(!left(".writing-killed"));
    assert!(left(".writing-now") && left("of-somebody-else") && left(".writing-folder"));
}
