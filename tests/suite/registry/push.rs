//! Decides that an image gets to a real registry and back, and that nothing is sent twice.
//! Must never look at the clock.

use super::*;
use crate::support::machine::peak_memory;
use crate::support::registries::{Auth, RegistryProcess};
use futures::StreamExt as _;
use rpub::model::reference::Tag;

#[tokio::test]
async fn an_image_goes_there_and_back() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host()).start().await;
    let image = Image::new();
    let (client, mut told, _) = client(options(proxy.host()), CredentialSource::anonymous());
    let app = client.repository("o/app".parse().unwrap());
    assert_eq!(
        app.repository().to_string(),
        format!("{}/o/app", proxy.host())
    );
    assert_eq!(app.tags().await.unwrap(), []);
    assert_eq!(app.resolve(&tag("1.2.3")).await.unwrap(), None);
    assert_eq!(app.read_manifest(&tag("1.2.3")).await.unwrap(), None);
    assert_eq!(app.blob_size(image.layer.digest).await.unwrap(), None);
    assert!(app.read_blob(image.layer.digest).await.unwrap().is_none());
    assert_eq!(app.peek_blob(image.layer.digest, 10).await.unwrap(), None);

    assert_eq!(image.push(&app).await.unwrap(), Sent::Uploaded);
    image.check(&app).await;
    assert_eq!(app.tags().await.unwrap(), ["1.2.3".parse::<Tag>().unwrap()]);
    let start = app
        .peek_blob(image.layer.digest, 10)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&start[..], b"a layer of");
    let all = app
        .peek_blob(image.config.digest, 10_000)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(all.len() as u64, image.config.size);

    // One PUT per blob, with the whole of it: GHCR takes no chunks.
    assert_eq!(proxy.count("PATCH", ""), 0);
    assert_eq!(proxy.count("PUT", "/blobs/uploads/*digest="), 2);
    let mut sent = 0;
    while let Ok(event) = told.try_recv() {
        if let Event::Progress { bytes, .. } = event {
            sent += bytes;
        }
    }
    assert_eq!(sent, image.config.size + image.layer.size);

    // Again: nothing is uploaded.
    let uploads = proxy.count("POST", "");
    assert_eq!(image.push(&app).await.unwrap(), Sent::Present);
    assert_eq!(proxy.count("POST", ""), uploads);
}

#[tokio::test]
async fn a_blob_is_taken_over_from_a_neighbour() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host()).start().await;
    let image = Image::new();
    let (client, ..) = client(options(proxy.host()), CredentialSource::anonymous());
    let repository = |name: &str| client.repository(name.parse().unwrap());
    image.push(&repository("o/app")).await.unwrap();

    let other = repository("o/other");
    let from = ["o/other", "o/none", "o/app"].map(|name| name.parse().unwrap());
    assert_eq!(
        other.put_blob(&image.layer, &from).await.unwrap(),
        Sent::Mounted
    );
    assert_eq!(proxy.count("PUT", "/o/other/blobs"), 0);
    assert_eq!(
        other.blob_size(image.layer.digest).await.unwrap(),
        Some(image.layer.size)
    );

    // No neighbour has it: the session that came instead of a mount is used.
    let third = repository("o/third");
    let from = ["o/none".parse().unwrap()];
    let fresh = blob(&image.folder, "fresh", b"nobody has this yet");
    assert_eq!(third.put_blob(&fresh, &from).await.unwrap(), Sent::Uploaded);
    assert_eq!(proxy.count("POST", "/o/third/"), 1);
}

#[tokio::test]
async fn an_empty_blob_goes_too() {
    let registry = RegistryProcess::start(&Auth::None);
    let folder = tempfile::tempdir().unwrap();
    let empty = blob(&folder, "empty", b"");
    let app = app(registry.host());
    assert_eq!(app.put_blob(&empty, &[]).await.unwrap(), Sent::Uploaded);
    assert_eq!(app.put_blob(&empty, &[]).await.unwrap(), Sent::Present);
    assert_eq!(read_all(&app, empty.digest).await.unwrap(), b"");
    assert_eq!(
        app.peek_blob(empty.digest, 5).await.unwrap().unwrap().len(),
        0
    );
}

#[tokio::test]
async fn a_large_blob_needs_little_memory() {
    use sha2::Digest as _;
    const SIZE: u64 = 200 * 1024 * 1024;
    let registry = RegistryProcess::start(&Auth::None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    std::fs::File::create(&path).unwrap().set_len(SIZE).unwrap();
    let mut hasher = sha2::Sha256::new();
    let piece = vec![0; 1024 * 1024];
    for _ in 0..SIZE / piece.len() as u64 {
        hasher.update(&piece);
    }
    let large = LocalBlob {
        digest: Digest::from_hasher(hasher),
        size: SIZE,
        path,
    };
    let app = app(registry.host());
    let before = peak_memory();
    assert_eq!(app.put_blob(&large, &[]).await.unwrap(), Sent::Uploaded);
    let grown = peak_memory() - before;
    assert!(grown < 32 * 1024, "{grown} KiB");

    let (_, mut stream) = app.read_blob(large.digest).await.unwrap().unwrap();
    let mut read = 0;
    while let Some(piece) = stream.next().await {
        read += piece.unwrap().len() as u64;
    }
    assert_eq!(read, SIZE);
    let grown = peak_memory() - before;
    assert!(grown < 64 * 1024, "{grown} KiB");
}
