//! Decides that every target gets the same bytes, by digest, and that a target's fault reaches the pipeline.
//! Must never write a double of a target where a directory store will do; only faults are injected.

use crate::support::{
    images::{Image, index},
    loopback::{Loopback, name, refusal},
};
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use rpub::{
    events::{Event, Sent},
    model::{
        digest::Digest,
        fault::{Class, Fault},
        manifest::RawManifest,
        reference::{Reference, Repository, RepositoryName, Tag},
    },
    store::{Layout, Store},
    target::{ByteStream, LocalBlob, Target},
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

/// A store's layout that fails on request and counts what it is asked.
struct Watched {
    layout: Layout,
    fail_puts: Arc<AtomicUsize>,
    mounts: Arc<Mutex<Vec<Vec<RepositoryName>>>>,
}

fn out_of_quota() -> Fault {
    let mut fault = Fault::new(Class::Permission, "ghcr.io", "PUT blob", "over quota");
    fault.code = Some("DENIED".to_owned());
    fault
}

#[async_trait]
impl Target for Watched {
    fn repository(&self) -> &Repository {
        self.layout.repository()
    }

    async fn blob_size(&self, digest: Digest) -> Result<Option<u64>, Fault> {
        self.layout.blob_size(digest).await
    }

    async fn read_blob(&self, digest: Digest) -> Result<Option<(u64, ByteStream)>, Fault> {
        self.layout.read_blob(digest).await
    }

    async fn peek_blob(&self, digest: Digest, count: usize) -> Result<Option<Bytes>, Fault> {
        self.layout.peek_blob(digest, count).await
    }

    async fn put_blob(
        &self,
        blob: &LocalBlob,
        mount_from: &[RepositoryName],
    ) -> Result<Sent, Fault> {
        self.mounts.lock().unwrap().push(mount_from.to_vec());
        let left = self
            .fail_puts
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_ok() {
            return Err(out_of_quota());
        }
        self.layout.put_blob(blob, mount_from).await
    }

    async fn resolve(&self, reference: &Reference) -> Result<Option<Digest>, Fault> {
        self.layout.resolve(reference).await
    }

    async fn read_manifest(&self, reference: &Reference) -> Result<Option<RawManifest>, Fault> {
        self.layout.read_manifest(reference).await
    }

    async fn put_manifest(
        &self,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), Fault> {
        assert!(
            matches!(reference, Reference::Digest(_)),
            "a tag: {reference}"
        );
        self.layout.put_manifest(reference, manifest).await
    }

    async fn tags(&self) -> Result<Vec<Tag>, Fault> {
        self.layout.tags().await
    }

    async fn remove_tag(&self, tag: &Tag) -> Result<bool, Fault> {
        self.layout.remove_tag(tag).await
    }
}

/// A relay before two stores, of which the second is watched.
struct Two {
    relay: Loopback,
    stores: [Store; 2],
    _folders: [tempfile::TempDir; 2],
    fail_puts: Arc<AtomicUsize>,
    mounts: Arc<Mutex<Vec<Vec<RepositoryName>>>>,
}

impl Two {
    async fn start() -> Self {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let stores = [0, 1].map(|i: usize| Store::new(folders[i].path()));
        let fail_puts = Arc::new(AtomicUsize::new(0));
        let mounts = Arc::new(Mutex::new(Vec::new()));
        let (first, second) = (stores[0].clone(), stores[1].clone());
        let (fails, asked) = (Arc::clone(&fail_puts), Arc::clone(&mounts));
        let relay = Loopback::start(move |name| {
            let watched = Watched {
                layout: second.repository(name),
                fail_puts: Arc::clone(&fails),
                mounts: Arc::clone(&asked),
            };
            Some(vec![
                Arc::new(first.repository(name)) as _,
                Arc::new(watched) as _,
            ])
        });
        Two {
            relay: relay.await,
            stores,
            _folders: folders,
            fail_puts,
            mounts,
        }
    }

    fn layouts(&self, repository: &str) -> [Layout; 2] {
        [0, 1].map(|i: usize| self.stores[i].repository(&name(repository)))
    }
}

#[tokio::test]
async fn fan_out_gives_every_target_the_same_digest_and_no_tag() {
    let mut two = Two::start().await;
    let images = [Image::new("amd64", "one"), Image::new("arm64", "two")];
    let list = index(&[&images[0], &images[1]]);
    for image in &images {
        let tag = format!("tmp-{}", image.architecture);
        let pushed = two.relay.push_image("a/b", &tag, image).await;
        assert_eq!(pushed.status(), 201);
    }
    let pushed = two.relay.push_manifest("a/b", "list", &list).await;
    assert_eq!(pushed.status(), 201);
    for layout in two.layouts("a/b") {
        let by_digest = Reference::Digest(list.digest());
        let found = layout.read_manifest(&by_digest).await.unwrap();
        assert_eq!(found.as_ref(), Some(&list));
        assert_eq!(layout.tags().await.unwrap(), vec![]);
        for image in &images {
            for blob in image.blobs() {
                let size = layout.blob_size(Digest::of(blob)).await.unwrap();
                assert_eq!(size, Some(blob.len() as u64));
            }
        }
    }
    let mut told = (0, 0, 0);
    while let Ok(event) = two.relay.events.try_recv() {
        match event {
            Event::Received { .. } => told.0 += 1,
            Event::Blob { .. } => told.1 += 1,
            Event::Manifest { .. } => told.2 += 1,
            _ => {}
        }
    }
    // Four blobs arrived, each went to two targets; two images and a list, each to two.
    assert_eq!(told, (4, 8, 6));
}

#[tokio::test]
async fn a_fault_of_a_target_is_denied_to_podman_and_typed_for_the_pipeline() {
    let two = Two::start().await;
    let image = Image::new("amd64", "hello");
    two.fail_puts.store(usize::MAX, Ordering::SeqCst);
    let session = two.relay.begin("a").await;
    two.relay.patch(&session, image.config.clone()).await;
    let done = two.relay.finish(&session, Digest::of(&image.config)).await;
    assert_eq!(done.status(), 201);
    // Waits for the blob that cannot arrive, or hears that it could not.
    let answer = refusal(two.relay.push_manifest("a", "v1", &image.manifest).await).await;
    let denied = (403, "DENIED".to_owned());
    let missing = (400, "MANIFEST_BLOB_UNKNOWN".to_owned());
    assert!(answer == denied || answer == missing, "{answer:?}");
    let a = name("a");
    let fault = loop {
        if let Some(fault) = two.relay.relay.take_fault(&a) {
            break fault;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(fault.class, Class::Permission);
    assert_eq!(fault.code.as_deref(), Some("DENIED"));
    assert_eq!(fault.detail, "over quota");
    assert!(two.relay.relay.take_fault(&a).is_none());
    assert!(two.relay.relay.pushed(&a, &"v1".parse().unwrap()).is_none());

    // The next push begins anew, from the spool.
    two.fail_puts.store(0, Ordering::SeqCst);
    let pushed = two.relay.push_image("a", "v1", &image).await;
    assert_eq!(pushed.status(), 201);
    for layout in two.layouts("a") {
        let by_digest = Reference::Digest(image.manifest.digest());
        assert!(layout.read_manifest(&by_digest).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn after_a_fault_no_more_uploads_are_taken_until_it_is_taken() {
    let two = Two::start().await;
    two.fail_puts.store(1, Ordering::SeqCst);
    two.relay.push_blob("a", b"first").await;
    let path = "/v2/a/blobs/uploads/";
    while two.relay.send(Method::POST, path).await.status() != 403 {
        tokio::task::yield_now().await;
    }
    let other = two.relay.send(Method::POST, "/v2/b/blobs/uploads/").await;
    assert_eq!(other.status(), 202);
    assert!(two.relay.relay.take_fault(&name("a")).is_some());
    let again = two.relay.send(Method::POST, path).await;
    assert_eq!(again.status(), 202);
}

#[tokio::test]
async fn a_second_repository_is_told_where_to_mount_from() {
    let two = Two::start().await;
    let image = Image::new("amd64", "hello");
    two.relay.push_image("a", "v1", &image).await;
    two.relay.push_image("b", "v1", &image).await;
    let mounts = two.mounts.lock().unwrap().clone();
    assert_eq!(mounts, [vec![], vec![], vec![name("a")], vec![name("a")]]);
    // One file in the spool for each digest.
    assert_eq!(two.relay.spooled().len(), 2);
}

#[tokio::test]
async fn a_blob_in_the_spool_is_sent_on_when_another_repository_asks_for_it() {
    let two = Two::start().await;
    let image = Image::new("amd64", "hello");
    two.relay.push_image("a", "v1", &image).await;
    for blob in image.blobs() {
        let path = format!("/v2/b/blobs/{}", Digest::of(blob));
        assert_eq!(two.relay.head(&path).await.status(), 200);
    }
    let pushed = two.relay.push_manifest("b", "v1", &image.manifest).await;
    assert_eq!(pushed.status(), 201);
    assert_eq!(two.relay.relay.received().blobs, 2);
}

#[tokio::test]
async fn what_the_targets_have_is_admitted_if_it_is_compressed_or_the_expected_config() {
    let two = Two::start().await;
    let image = Image::new("amd64", "hello");
    let plain = b"an uncompressed layer".as_slice();
    let zstd = b"\x28\xb5\x2f\xfd and more".as_slice();
    let mut seed = Loopback::start({
        let stores = two.stores.clone();
        move |name| {
            let layouts = stores.iter().map(|s| Arc::new(s.repository(name)) as _);
            Some(layouts.collect())
        }
    })
    .await;
    seed.push_image("a", "v1", &image).await;
    seed.push_blob("a", plain).await;
    seed.push_blob("a", zstd).await;
    // An uploaded blob is on its way only: four of them to two targets.
    let mut arrived = 0;
    while arrived < 8 {
        let event = seed.events.recv().await.unwrap();
        arrived += usize::from(matches!(event, Event::Blob { .. }));
    }
    seed.relay.shutdown().await;

    let head = async |bytes: &[u8]| {
        let path = format!("/v2/a/blobs/{}", Digest::of(bytes));
        two.relay.head(&path).await.status().as_u16()
    };
    assert_eq!(head(&image.layers[0]).await, 200);
    assert_eq!(head(zstd).await, 200);
    assert_eq!(head(plain).await, 404);
    assert_eq!(head(&image.config).await, 404);
    let a = name("a");
    two.relay.relay.expect_config(&a, Digest::of(&image.config));
    assert_eq!(head(&image.config).await, 200);
    let layer = format!("/v2/a/blobs/{}", Digest::of(&image.layers[0]));
    let got = two.relay.get(&layer).await.bytes().await.unwrap();
    assert_eq!(got, image.layers[0]);
    let pushed = two.relay.push_manifest("a", "v1", &image.manifest).await;
    assert_eq!(pushed.status(), 201);
    assert_eq!(two.relay.relay.received().blobs, 0);
    // Confirmed for the manifest's sake, and still not to be told to podman.
    assert_eq!(head(plain).await, 404);
}

#[tokio::test]
async fn what_only_one_target_has_is_not_admitted() {
    let two = Two::start().await;
    let image = Image::new("amd64", "hello");
    let first = two.stores[0].clone();
    let seed = Loopback::start(move |name| Some(vec![Arc::new(first.repository(name)) as _]));
    let seed = seed.await;
    seed.push_image("a", "v1", &image).await;
    let path = format!("/v2/a/blobs/{}", Digest::of(&image.layers[0]));
    assert_eq!(two.relay.head(&path).await.status(), 404);
    let answer = refusal(two.relay.push_manifest("a", "v1", &image.manifest).await).await;
    assert_eq!(answer, (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn a_manifest_that_tells_wrong_sizes_is_refused() {
    let two = Two::start().await;
    let image = Image::new("amd64", "hello");
    two.relay.push_image("a", "v1", &image).await;
    let text = String::from_utf8(image.manifest.bytes().to_vec()).unwrap();
    let size = format!("\"size\":{}", image.config.len());
    let wrong = text.replace(&size, "\"size\":1");
    assert_ne!(wrong, text);
    let wrong = RawManifest::parse(wrong.into_bytes(), "").unwrap();
    let answer = refusal(two.relay.push_manifest("a", "v2", &wrong).await).await;
    assert_eq!(answer, (400, "MANIFEST_INVALID".to_owned()));
}
