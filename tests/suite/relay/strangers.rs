//! Decides that those who have not shown the password get nothing of the relay: no memory, no descriptors, no time.
//! Must never count on how fast anything is: where a limit is a time, the clock is the test's own.

use crate::support::loopback::Loopback;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// More than the relay keeps.
const MANY: usize = 200;
const REQUEST: &str = "GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\n";

async fn connect(relay: &Loopback) -> TcpStream {
    TcpStream::connect(relay.relay.address()).await.unwrap()
}

fn password(relay: &Loopback) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let pair = format!("rpub:{}", relay.relay.password().expose_secret());
    format!("Authorization: Basic {}\r\n", STANDARD.encode(pair))
}

/// What comes until the relay hangs up, which it must.
async fn until_the_end(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let ended = tokio::time::timeout(Duration::from_mins(1), stream.read_to_end(&mut said));
    // A reset is an end too: the relay had not read all that was sent.
    let _ = ended.await.expect("the relay hangs up");
    String::from_utf8_lossy(&said).to_lowercase()
}

/// The answer to a request on a connection that stays open.
async fn ask(stream: &mut TcpStream, head: &str) -> String {
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = vec![0; 4096];
    let count = stream.read(&mut said).await.unwrap();
    String::from_utf8_lossy(&said[..count]).to_lowercase()
}

#[tokio::test]
async fn a_refused_connection_is_closed() {
    let relay = Loopback::alone().await;
    for (head, status) in [
        (format!("{REQUEST}\r\n"), "401"),
        (
            "GET /v2/ HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
            "403",
        ),
    ] {
        let mut stream = connect(&relay).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = until_the_end(&mut stream).await;
        assert!(said.starts_with(&format!("http/1.1 {status} ")), "{said}");
        assert!(said.contains("connection: close"), "{said}");
    }
    // With the password it stays open, also after an answer that is a refusal.
    let mut stream = connect(&relay).await;
    let missing = REQUEST.replace("/v2/", "/v2/a/manifests/v1");
    let head = format!("{missing}{}\r\n", password(&relay));
    for _ in 0..2 {
        assert!(ask(&mut stream, &head).await.starts_with("http/1.1 404 "));
    }
}

#[tokio::test]
async fn headers_are_small() {
    let relay = Loopback::alone().await;
    let mut stream = connect(&relay).await;
    let many = format!("X: {}\r\n", "x".repeat(20_000));
    let head = format!("{REQUEST}{}{many}\r\n", password(&relay));
    // The relay need not read all of it.
    let _ = stream.write_all(head.as_bytes()).await;
    let said = until_the_end(&mut stream).await;
    assert!(!said.contains("200 ok"), "{said}");
    assert!(
        said.is_empty() || said.starts_with("http/1.1 431 "),
        "{said}"
    );
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let relay = Loopback::alone().await;
    let mut stream = connect(&relay).await;
    // The preface, and a frame of no settings.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(preface).await.unwrap();
    let said = until_the_end(&mut stream).await;
    assert!(
        said.is_empty() || said.starts_with("http/1.1 4"),
        "{said:?}"
    );
}

#[tokio::test]
async fn many_idle_strangers_keep_nobody_out() {
    let relay = Loopback::alone().await;
    let mut podman = connect(&relay).await;
    let head = format!("{REQUEST}{}\r\n", password(&relay));
    assert!(ask(&mut podman, &head).await.starts_with("http/1.1 200 "));
    let mut idle = Vec::new();
    for _ in 0..MANY {
        idle.push(connect(&relay).await);
    }
    // A new connection gets in, the oldest of the idle ones has made room for it, and one with the password stays.
    let answer = relay.send(Method::GET, "/v2/").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(until_the_end(&mut idle[0]).await, "");
    assert!(ask(&mut podman, &head).await.starts_with("http/1.1 200 "));
}

#[tokio::test]
async fn half_a_request_is_not_waited_for() {
    let relay = Loopback::alone().await;
    let mut podman = connect(&relay).await;
    let head = format!("{REQUEST}{}\r\n", password(&relay));
    assert!(ask(&mut podman, &head).await.starts_with("http/1.1 200 "));
    let mut stranger = connect(&relay).await;
    stranger.write_all(REQUEST.as_bytes()).await.unwrap();
    tokio::time::pause();
    let mut said = [0; 64];
    // The clock goes on as soon as there is nothing else to wait for; an idle one is closed likewise.
    for stream in [&mut stranger, &mut podman] {
        let end = tokio::time::timeout(Duration::from_hours(1), stream.read(&mut said));
        let end = end.await.expect("the relay hangs up");
        assert_eq!(end.unwrap_or(0), 0);
    }
}

/// Lets time pass until there is something to read, or the end.
async fn pass_time(stream: &TcpStream) -> Vec<u8> {
    let mut said = vec![0; 4096];
    for _ in 0..1000 {
        tokio::time::advance(Duration::from_mins(1)).await;
        match stream.try_read(&mut said) {
            Ok(count) => return said[..count].to_vec(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return Vec::new(),
        }
    }
    panic!("the relay waits without end");
}

#[tokio::test]
async fn a_body_that_stands_still_is_cut() {
    let relay = Loopback::alone().await;
    let session = relay.begin("a").await;
    let mut podman = connect(&relay).await;
    let head = format!(
        "PATCH {session} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}Content-Length: 1000\r\n\r\nhalf",
        password(&relay)
    );
    podman.write_all(head.as_bytes()).await.unwrap();
    tokio::time::pause();
    let said = pass_time(&podman).await;
    let said = String::from_utf8_lossy(&said).to_lowercase();
    assert!(
        said.is_empty() || said.starts_with("http/1.1 400 "),
        "{said}"
    );
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_cut() {
    let relay = Loopback::alone().await;
    // More than the kernel holds for both ends.
    let blob = vec![0; 64 << 20];
    assert_eq!(relay.push_blob("a", &blob).await.status(), 201);
    let digest = rpub::model::digest::Digest::of(&blob);
    let mut podman = connect(&relay).await;
    let path = format!("/v2/a/blobs/{digest}");
    let head = REQUEST.replace("/v2/", &path);
    let head = format!("{head}{}\r\n", password(&relay));
    podman.write_all(head.as_bytes()).await.unwrap();
    podman.readable().await.unwrap();
    tokio::time::pause();
    for _ in 0..30 {
        tokio::time::advance(Duration::from_mins(1)).await;
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut said = Vec::new();
    let _ = podman.read_to_end(&mut said).await;
    assert!(said.len() < blob.len(), "{}", said.len());
}

#[tokio::test]
async fn descriptors_are_raised_where_they_may_be() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 256, hard).unwrap();
    let _relay = Loopback::alone().await;
    let raised = || getrlimit(Resource::RLIMIT_NOFILE).unwrap().0;
    // The relay does it as soon as it runs.
    for _ in 0..1000 {
        if raised() != 256 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(raised(), hard.min(4096));
}
