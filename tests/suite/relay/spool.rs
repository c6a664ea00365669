//! Decides that the spool stays small in memory, single on disk, and gone afterwards.
//! Must never measure time.

use crate::support::loopback::{Loopback, files_below, name, refusal};
use crate::support::machine::peak_memory;
use bytes::Bytes;
use futures::{StreamExt, stream};
use rpub::model::{digest::Digest, fault::Class};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_layers_of_100_mib_in_parallel_take_little_memory() {
    const CHUNK: usize = 64 * 1024;
    const CHUNKS: usize = 1600;
    let (relay, store) = Loopback::before_a_store().await;
    let before = peak_memory();
    let pushes = (0..3_u8).map(|fill| {
        let relay = &relay;
        async move {
            let chunk = Bytes::from(vec![fill; CHUNK]);
            let mut hasher = Sha256::new();
            (0..CHUNKS).for_each(|_| hasher.update(&chunk));
            let digest = Digest::from_hasher(hasher);
            let session = relay.begin("a").await;
            let body =
                stream::iter((0..CHUNKS).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
            let patched = relay
                .patch(&session, reqwest::Body::wrap_stream(body))
                .await;
            assert_eq!(patched.status(), 202);
            assert_eq!(relay.finish(&session, digest).await.status(), 201);
            let mut got = relay
                .get(&format!("/v2/a/blobs/{digest}"))
                .await
                .bytes_stream();
            let mut hasher = Sha256::new();
            while let Some(chunk) = got.next().await {
                hasher.update(chunk.unwrap());
            }
            assert_eq!(Digest::from_hasher(hasher), digest);
        }
    });
    futures::future::join_all(pushes).await;
    let received = relay.relay.received();
    assert_eq!((received.blobs, received.bytes), (3, 300 << 20));
    let grown = peak_memory() - before;
    assert!(grown < 64 * 1024, "{grown} KiB");
    relay.relay.shutdown().await;
    drop(store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_blob_pushed_by_eight_at_once_is_one_file() {
    let relay = Loopback::alone().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let names = ["a", "b", "a", "b", "c", "a", "d", "e"];
    let pushes = names.map(|name| relay.push_blob(name, &bytes));
    for response in futures::future::join_all(pushes).await {
        assert_eq!(response.status(), 201);
    }
    assert_eq!(relay.spooled(), vec![Digest::of(&bytes).hex()]);
    assert_eq!(relay.relay.received().blobs, 8);
}

/// Waits until the spool holds what `right` wants; for as long as the test runner lets us.
async fn until(relay: &Loopback, right: impl Fn(&[String]) -> bool) {
    while !right(&relay.spooled()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_no_file() {
    let relay = Loopback::alone().await;
    let session = relay.begin("a").await;
    assert_eq!(relay.spooled().len(), 1);
    let patch = relay.request(reqwest::Method::PATCH, &session);
    let patch = patch.build().unwrap();
    let authorization = patch.headers()["authorization"].to_str().unwrap();
    let address = relay.relay.address();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PATCH {session} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\nContent-Length: 1000000\r\n\r\nsome bytes"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    drop(socket);
    until(&relay, <[String]>::is_empty).await;
    assert_eq!(relay.get(&session).await.status(), 404);
}

#[tokio::test]
async fn shutdown_and_drop_remove_the_spool_and_close_the_port() {
    let relay = Loopback::alone().await;
    relay.push_blob("a", b"some bytes").await;
    // A connection that is in the middle of something must not keep the relay alive.
    let mut idle = tokio::net::TcpStream::connect(relay.relay.address())
        .await
        .unwrap();
    idle.write_all(b"GET /v2/ HT").await.unwrap();
    let address = relay.relay.address();
    relay.relay.shutdown().await;
    assert_eq!(files_below(relay.folder.path()), Vec::<String>::new());
    assert!(
        std::fs::read_dir(relay.folder.path().join("spools"))
            .unwrap()
            .next()
            .is_none()
    );
    assert!(tokio::net::TcpStream::connect(address).await.is_err());

    let dropped = Loopback::alone().await;
    dropped.push_blob("a", b"some bytes").await;
    drop(dropped.relay);
    assert_eq!(files_below(dropped.folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn cancelling_breaks_off_what_is_under_way() {
    let relay = Loopback::alone().await;
    let session = relay.begin("a").await;
    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 1024])));
    let body = reqwest::Body::wrap_stream(endless);
    let push = relay.request(reqwest::Method::PATCH, &session).body(body);
    let push = tokio::spawn(push.send());
    let spools = relay.folder.path().join("spools");
    let spool = std::fs::read_dir(spools).unwrap().next().unwrap().unwrap();
    let file = spool.path().join(&relay.spooled()[0]);
    while std::fs::metadata(&file).unwrap().len() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    relay.cancel.cancel();
    // Denied, or the connection broke: but it ends.
    if let Ok(response) = push.await.unwrap() {
        assert_eq!(response.status(), 403);
    }
    until(&relay, <[String]>::is_empty).await;
    relay.relay.shutdown().await;
}

#[tokio::test]
async fn a_spool_that_cannot_be_written_is_a_typed_fault() {
    let relay = Loopback::alone().await;
    // The folder goes away under the relay: the next file cannot be made.
    std::fs::remove_dir_all(relay.folder.path().join("spools")).unwrap();
    let response = relay
        .send(reqwest::Method::POST, "/v2/a/blobs/uploads/")
        .await;
    assert_eq!(response.status(), 403);
    let fault = relay.relay.take_fault(&name("a")).unwrap();
    assert_eq!(fault.class, Class::Storage);
}

#[tokio::test]
async fn free_space_is_known_and_answers_are_not_left_open() {
    let relay = Loopback::alone().await;
    assert!(relay.relay.spool_free().unwrap() > 0);
    // A client that asks to close gets an end.
    let request = relay.request(reqwest::Method::GET, "/v2/").build().unwrap();
    let authorization = request.headers()["authorization"].to_str().unwrap();
    let address = relay.relay.address();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET /v2/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: {authorization}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// What the child process of the next test runs, where no file may grow beyond 1 MiB.
#[tokio::test]
#[ignore = "a_disk_that_takes_no_more_is_a_typed_fault runs it"]
async fn pushes_more_than_the_disk_takes() {
    let relay = Loopback::alone().await;
    let session = relay.begin("a").await;
    let part = Bytes::from(vec![7; 64 * 1024]);
    let parts = stream::iter((0..320).map(move |_| Ok::<_, std::io::Error>(part.clone())));
    let body = reqwest::Body::wrap_stream(parts);
    // The whole body is taken, so that the client hears the answer instead of a broken connection.
    let answer = refusal(relay.patch(&session, body).await).await;
    assert_eq!(answer, (403, "DENIED".to_owned()));
    assert_eq!(relay.spooled(), Vec::<String>::new());
    let fault = relay.relay.take_fault(&name("a")).unwrap();
    assert_eq!(fault.class, Class::Storage);
    assert!(fault.request.contains("spool-"), "{fault}");
    assert_eq!(relay.push_blob("a", b"small").await.status(), 201);
}

#[tokio::test]
async fn a_disk_that_takes_no_more_is_a_typed_fault() {
    // A limit on file sizes needs no small disk, and no privileges; with its signal ignored, writing fails as on a full
    // disk. The unit is 512 bytes.
    let child = tokio::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored"])
        .arg("relay::spool::pushes_more_than_the_disk_takes")
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(told.contains("1 passed"), "{told}");
}
