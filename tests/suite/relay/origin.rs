//! Decides that a base's layer comes from where the base is, checked, and that an origin that lies fails no push.
//! Must never write a double of an origin: a directory store is one, and its files are altered on disk.

use crate::support::{
    images::{self, Image},
    loopback::{Loopback, name},
};
use rpub::{
    model::{digest::Digest, reference::RepositoryName},
    relay::{Access, BlobOrigin, Routes},
    store::Store,
    target::Target,
};
use std::{path::PathBuf, sync::Arc};
use tempfile::TempDir;

/// One target, and the base in another store.
struct WithBase {
    target: Store,
    base: Store,
    layer: Digest,
    size: u64,
}

impl Routes for WithBase {
    fn targets(&self, name: &RepositoryName) -> Option<Vec<Arc<dyn Target>>> {
        Some(vec![Arc::new(self.target.repository(name))])
    }

    fn origin(&self, digest: Digest) -> Option<BlobOrigin> {
        (digest == self.layer).then(|| BlobOrigin {
            target: Arc::new(self.base.repository(&name("base"))),
            size: self.size,
        })
    }
}

/// A relay that knows where the image's layer is, after `alter` had its file, and the folders of both stores.
async fn relay(image: &Image, alter: impl FnOnce(PathBuf)) -> (Loopback, [TempDir; 2]) {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [target, base] = [0, 1].map(|i: usize| Store::new(folders[i].path()));
    images::push(&base.repository(&name("base")), image).await;
    let layer = Digest::of(&image.layers[0]);
    let blobs = folders[1].path().join("base/blobs/sha256");
    alter(blobs.join(layer.hex()));
    let routes = WithBase {
        target,
        base,
        layer,
        size: image.layers[0].len() as u64,
    };
    let folder = tempfile::tempdir().unwrap();
    let access = Access::with_random_password(folder.path().join("spools")).unwrap();
    let relay = Loopback::with(access, folder, Arc::new(routes)).await;
    (relay, folders)
}

/// What somebody did to a layer's file.
type Alter = fn(PathBuf);

fn layer_of(image: &Image) -> String {
    format!("/v2/a/b/blobs/{}", Digest::of(&image.layers[0]))
}

#[tokio::test]
async fn relay_brings_a_layer_that_no_target_has_from_its_origin() {
    let image = Image::new("amd64", "base");
    let (relay, folders) = relay(&image, |_| ()).await;
    let found = relay.head(&layer_of(&image)).await;
    assert_eq!(found.status(), 200);
    relay.push_blob("a/b", &image.config).await;
    let pushed = relay.push_manifest("a/b", "tmp", &image.manifest).await;
    assert_eq!(pushed.status(), 201);
    // The config alone was sent by the client; the layer is where it belongs.
    assert_eq!(relay.relay.received().blobs, 1);
    let layout = Store::new(folders[0].path()).repository(&name("a/b"));
    let size = layout.blob_size(Digest::of(&image.layers[0])).await;
    assert_eq!(size.unwrap(), Some(image.layers[0].len() as u64));
    // What has no origin is asked of none.
    let other = format!("/v2/a/b/blobs/{}", Digest::of(b"other"));
    assert_eq!(relay.head(&other).await.status(), 404);
}

#[tokio::test]
async fn relay_takes_nothing_from_an_origin_that_lies_and_the_push_goes_on() {
    let image = Image::new("amd64", "base");
    let lies: [(&str, Alter); 3] = [
        ("other bytes", |path| {
            let size = std::fs::read(&path).unwrap().len();
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, vec![0x1f; size]).unwrap();
        }),
        ("another size", |path| {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.push(0);
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }),
        ("nothing", |path| std::fs::remove_file(path).unwrap()),
    ];
    for (lie, alter) in lies {
        let (relay, _folders) = relay(&image, alter).await;
        let found = relay.head(&layer_of(&image)).await;
        assert_eq!(found.status(), 404, "{lie}");
        let pushed = relay.push_image("a/b", "tmp", &image).await;
        assert_eq!(pushed.status(), 201, "{lie}");
        assert_eq!(relay.relay.received().blobs, 2, "{lie}");
        assert!(relay.relay.take_fault(&name("a/b")).is_none(), "{lie}");
    }
}
