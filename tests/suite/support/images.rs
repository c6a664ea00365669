//! Decides what a small image looks like in tests: docker format, gzip layers that really unpack, any platform.
//! Must never need podman or a network.

use rpub::model::{
    digest::Digest,
    manifest::{RawManifest, media_type},
    reference::Reference,
};
use rpub::target::{LocalBlob, Target};
use serde_json::{Value, json};

/// An image for one platform.
pub(crate) struct Image {
    /// The config's bytes.
    pub(crate) config: Vec<u8>,
    /// The compressed layers, base first.
    pub(crate) layers: Vec<Vec<u8>>,
    /// The manifest over them.
    pub(crate) manifest: RawManifest,
    /// `amd64`
    pub(crate) architecture: String,
}

impl Image {
    /// One layer with the file `/text` that holds `text`, for linux/`architecture`.
    pub(crate) fn new(architecture: &str, text: &str) -> Self {
        let labels = json!({ "org.opencontainers.image.version": "1.2.3" });
        Self::labelled(architecture, &[text], &labels)
    }

    /// One layer like that for each of `texts`, base first; with these labels.
    pub(crate) fn labelled(architecture: &str, texts: &[&str], labels: &Value) -> Self {
        let plain: Vec<Vec<u8>> = texts
            .iter()
            .map(|text| tar_of("text", text.as_bytes()))
            .collect();
        let layers: Vec<Vec<u8>> = plain.iter().map(|plain| gzip(plain)).collect();
        let diff_ids: Vec<Digest> = plain.iter().map(|plain| Digest::of(plain)).collect();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Labels": labels,
                "Healthcheck": { "Test": ["CMD", "/bin/true"] },
            },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": texts.iter().map(|_| json!({ "created_by": "test" })).collect::<Vec<_>>(),
        });
        let config = config.to_string().into_bytes();
        let listed = |layer: &Vec<u8>| {
            json!({
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "digest": Digest::of(layer),
                "size": layer.len(),
            })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::DOCKER_MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "digest": Digest::of(&config),
                "size": config.len(),
            },
            "layers": layers.iter().map(listed).collect::<Vec<_>>(),
        });
        Image {
            config,
            layers,
            manifest: RawManifest::parse(manifest.to_string().into_bytes(), "").unwrap(),
            architecture: architecture.to_owned(),
        }
    }

    /// All blobs, config first.
    pub(crate) fn blobs(&self) -> Vec<&[u8]> {
        std::iter::once(&self.config)
            .chain(&self.layers)
            .map(Vec::as_slice)
            .collect()
    }
}

/// Stores an image under its digest, on whatever target.
pub(crate) async fn push(target: &dyn Target, image: &Image) {
    for bytes in image.blobs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        std::fs::write(&path, bytes).unwrap();
        let blob = LocalBlob {
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            path,
        };
        target.put_blob(&blob, &[]).await.unwrap();
    }
    put(target, "", &image.manifest).await;
}

/// Stores a manifest under a tag; under its digest where that is empty.
pub(crate) async fn put(target: &dyn Target, tag: &str, manifest: &RawManifest) {
    let reference = match tag {
        "" => manifest.digest().into(),
        tag => Reference::Tag(tag.parse().unwrap()),
    };
    target.put_manifest(&reference, manifest).await.unwrap();
}

/// An OCI index over images, as podman makes one over docker-format children.
pub(crate) fn index(images: &[&Image]) -> RawManifest {
    let entry = |image: &&Image| {
        json!({
            "mediaType": image.manifest.media_type(),
            "digest": image.manifest.digest(),
            "size": image.manifest.bytes().len(),
            "platform": { "os": "linux", "architecture": image.architecture },
        })
    };
    let text = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": images.iter().map(entry).collect::<Vec<_>>(),
    });
    RawManifest::parse(text.to_string().into_bytes(), "").unwrap()
}

fn tar_of(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, bytes).unwrap();
    builder.into_inner().unwrap()
}

/// A gzip file of stored blocks (RFC 1951, 3.2.4; RFC 1952): no compressor needed, and every reader takes it.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut chunks = bytes.chunks(0xffff).peekable();
    while let Some(chunk) = chunks.next() {
        let length = u16::try_from(chunk.len()).unwrap();
        out.push(u8::from(chunks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(chunk);
    }
    let crc = bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    out.extend((!crc).to_le_bytes());
    out.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    out
}
