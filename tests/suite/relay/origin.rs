//! Decides that a base's layer comes from where the base is, checked, and that an origin that lies fails no push.
//! Must never write a double of an origin: a directory store is one, and its files are altered on disk.

use crate::support::{
    images::{self, Image},
    loopback::{Loopback, name},
    proxy::Proxy,
    registries::{Auth, RegistryProcess},
};
use rpub::{
    events::Events,
    model::{digest::Digest, reference::RepositoryName},
    registry::{CredentialSource, Options, Registry},
    relay::{Access, BlobOrigin, Routes},
    store::Store,
    target::Target,
};
use std::{path::PathBuf, sync::Arc};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

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

/// `name` on a real registry, with a proxy before it that counts.
fn behind(proxy: &Proxy, repository: &str) -> Arc<dyn Target> {
    let options = Options {
        insecure: true,
        ..Options::new(proxy.host())
    };
    let (cancel, anonymous) = (CancellationToken::new(), CredentialSource::anonymous());
    let registry = Registry::new(options, anonymous, Events::default(), cancel).unwrap();
    Arc::new(registry.repository(name(repository)))
}

/// The base and the targets on real registries.
struct OnRegistries {
    targets: Vec<Arc<dyn Target>>,
    base: Arc<dyn Target>,
    layer: Digest,
    size: u64,
}

impl Routes for OnRegistries {
    fn targets(&self, _: &RepositoryName) -> Option<Vec<Arc<dyn Target>>> {
        Some(self.targets.clone())
    }

    fn origin(&self, digest: Digest) -> Option<BlobOrigin> {
        (digest == self.layer).then(|| BlobOrigin {
            target: Arc::clone(&self.base),
            size: self.size,
        })
    }
}

#[tokio::test]
async fn relay_lets_targets_take_a_layer_over_where_the_base_lives() {
    for elsewhere in [false, true] {
        let registries = [(); 2].map(|()| RegistryProcess::start(&Auth::None));
        let home = Proxy::before(registries[0].host()).start().await;
        let other = Proxy::before(registries[1].host()).start().await;
        let image = Image::new("amd64", "base");
        let base = behind(&home, "upstream/base");
        images::push(&*base, &image).await;
        let mut targets = vec![behind(&home, "a/b")];
        if elsewhere {
            targets.push(behind(&other, "a/b"));
        }
        let routes = OnRegistries {
            targets: targets.clone(),
            base,
            layer: Digest::of(&image.layers[0]),
            size: image.layers[0].len() as u64,
        };
        let folder = tempfile::tempdir().unwrap();
        let access = Access::with_random_password(folder.path().join("spools")).unwrap();
        let relay = Loopback::with(access, folder, Arc::new(routes)).await;
        assert_eq!(relay.head(&layer_of(&image)).await.status(), 200);
        relay.push_blob("a/b", &image.config).await;
        let pushed = relay.push_manifest("a/b", "tmp", &image.manifest).await;
        assert_eq!(pushed.status(), 201);
        for target in &targets {
            let size = target.blob_size(Digest::of(&image.layers[0])).await;
            assert_eq!(size.unwrap(), Some(image.layers[0].len() as u64));
        }
        // It came here only where somebody else needs it, and went back to nobody.
        let read = home.count("GET", &format!("blobs/{}", Digest::of(&image.layers[0])));
        assert_eq!(read, usize::from(elsewhere));
        assert_eq!(home.count("POST", "/v2/a/b/blobs/uploads/?mount="), 1);
        let uploads = |proxy: &Proxy| proxy.count("PUT", "/v2/a/b/blobs/uploads/");
        // The config, and the layer elsewhere.
        assert_eq!(uploads(&home), 1);
        assert_eq!(uploads(&other), if elsewhere { 2 } else { 0 });
    }
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
