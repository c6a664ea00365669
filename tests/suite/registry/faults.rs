//! Decides that each single fault is survived, and that a lasting one is told for what it is.
//! Must never need more than the tries that the policy allows.

use super::*;
use crate::support::faults::{Fault as Break, Rule};
use crate::support::registries::{Auth, RegistryProcess};
use rpub::model::fault::Class;

/// Every request of a push and of reading back, as method and pattern.
const REQUESTS: [(&str, &str); 9] = [
    ("HEAD", "/blobs/sha256"),
    ("POST", "/blobs/uploads/"),
    ("PUT", "/blobs/uploads/"),
    ("PUT", "/manifests/sha256"),
    ("PUT", "/manifests/1.2.3"),
    ("HEAD", "/manifests/1.2.3"),
    ("GET", "/manifests/sha256"),
    ("GET", "/blobs/sha256"),
    ("GET", "/tags/list"),
];

async fn survives(registry: &RegistryProcess, requests: &[(&'static str, &str)], fault: Break) {
    for &(method, pattern) in requests {
        let proxy = Proxy::before(registry.host())
            .rule(Rule::on(method, pattern, fault.clone()))
            .start()
            .await;
        let (client, ..) = client(options(proxy.host()), CredentialSource::anonymous());
        // A repository of its own, so that all of it is uploaded each time.
        let port = proxy.host().as_str().rsplit(':').next().unwrap().to_owned();
        let app = client.repository(format!("o/app{port}").parse().unwrap());
        let image = Image::new();
        let context = format!("{fault:?} at {method} {pattern}");
        if let Err(fault) = image.push(&app).await {
            panic!("{context}: {fault}");
        }
        image.check(&app).await;
        assert_eq!(app.tags().await.expect(&context).len(), 1, "{context}");
        assert!(proxy.count(method, pattern) >= 2, "{context}");
    }
}

#[tokio::test]
async fn a_lost_connection_is_survived_anywhere() {
    let registry = RegistryProcess::start(&Auth::None);
    for fault in [
        Break::Reset,
        Break::CloseAfterBody,
        Break::LoseAnswer,
        Break::HalfAnswer,
    ] {
        survives(&registry, &REQUESTS, fault).await;
    }
}

#[tokio::test]
async fn a_passing_error_is_survived_anywhere() {
    let registry = RegistryProcess::start(&Auth::None);
    for status in [500, 502, 503, 504, 499, 522, 403, 429] {
        survives(&registry, &REQUESTS, Break::status(status)).await;
    }
    survives(&registry, &REQUESTS, Break::html(502)).await;
}

#[tokio::test]
async fn a_page_in_place_of_an_answer_is_survived() {
    let registry = RegistryProcess::start(&Auth::None);
    survives(&registry, &REQUESTS, Break::html(200)).await;
    survives(&registry, &REQUESTS[6..], Break::html(404)).await;
}

#[tokio::test]
async fn a_lost_upload_begins_again() {
    let registry = RegistryProcess::start(&Auth::None);
    let lost = r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown"}]}"#;
    for fault in [
        Break::status(404).body(lost),
        Break::html(404),
        Break::status(404),
    ] {
        survives(&registry, &[("PUT", "/blobs/uploads/")], fault).await;
    }
    let behind =
        r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;
    let fault = Break::status(404).body(behind);
    survives(&registry, &[("PUT", "/manifests/sha256")], fault).await;
}

#[tokio::test]
async fn another_digest_than_ours_is_survived_once() {
    let registry = RegistryProcess::start(&Auth::None);
    let with_digest = [
        ("PUT", "/blobs/uploads/"),
        ("PUT", "/manifests/sha256"),
        ("PUT", "/manifests/1.2.3"),
        ("HEAD", "/manifests/1.2.3"),
        ("GET", "/manifests/sha256"),
    ];
    survives(&registry, &with_digest, Break::WrongDigest).await;
}

#[tokio::test]
async fn silence_is_survived() {
    let registry = RegistryProcess::start(&Auth::None);
    for (method, pattern) in [
        ("PUT", "/blobs/uploads/"),
        ("HEAD", "/blobs/"),
        ("PUT", "/manifests/"),
    ] {
        let proxy = Proxy::before(registry.host())
            .rule(Rule::on(method, pattern, Break::Silence))
            .start()
            .await;
        let mut options = options(proxy.host());
        options.timeouts.idle = Duration::from_secs(1);
        options.timeouts.answer = Duration::from_secs(1);
        let (client, ..) = client(options, CredentialSource::anonymous());
        let image = Image::new();
        let app = client.repository("o/app".parse().unwrap());
        image.push(&app).await.unwrap();
        image.check(&app).await;
    }
}

#[tokio::test]
async fn a_request_to_wait_is_told_and_nothing_goes_before_it_is_over() {
    let registry = RegistryProcess::start(&Auth::None);
    let busy = Break::status(429).header("Retry-After", "1");
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("HEAD", "/blobs/", busy))
        .start()
        .await;
    let (client, mut told, _) = client(options(proxy.host()), CredentialSource::anonymous());
    let app = client.repository("o/app".parse().unwrap());
    let missing = Digest::of(b"nowhere");
    let first = app.blob_size(missing);
    // A second request, which begins as soon as the first one was refused.
    let second = async {
        let Some(Event::Waiting { delay, reason, .. }) = told.recv().await else {
            panic!("nothing was told");
        };
        assert!(delay > Duration::from_millis(500) && delay <= Duration::from_secs(1));
        assert!(reason.contains("429"), "{reason}");
        assert_eq!(proxy.seen().len(), 1);
        let asked = app.tags();
        tokio::pin!(asked);
        // It does not so much as knock while the gate is closed.
        let early = tokio::time::timeout(Duration::from_millis(300), &mut asked).await;
        assert!(early.is_err());
        assert_eq!(proxy.seen().len(), 1);
        asked.await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.unwrap(), None);
    assert_eq!(second.unwrap(), []);
    assert_eq!(proxy.seen().len(), 3);
}

#[tokio::test]
async fn too_long_a_wait_is_no_wait() {
    let registry = RegistryProcess::start(&Auth::None);
    let busy = Break::status(429).header("Retry-After", "86400");
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("HEAD", "/blobs/", busy))
        .start()
        .await;
    let app = through(&proxy);
    let fault = app.blob_size(Digest::of(b"nowhere")).await.unwrap_err();
    assert_eq!(fault.class, Class::RateLimit);
    assert_eq!(fault.retry_after, Some(Duration::from_hours(24)));
    // The host meant everyone: the next one is not even asked.
    assert_eq!(app.tags().await.unwrap_err().class, Class::RateLimit);
    assert_eq!(proxy.seen().len(), 1);
}

#[tokio::test]
async fn a_lasting_fault_has_its_class_and_its_number_of_tries() {
    let registry = RegistryProcess::start(&Auth::None);
    let denied = r#"{"errors":[{"code":"DENIED","message":"permission_denied: write_package"}]}"#;
    let hub = r#"{"detail":"that is not possible","message":"m"}"#;
    for (fault, class, tries, words) in [
        (Break::status(401), Class::Auth, 1, "401"),
        (
            Break::status(403).body(denied),
            Class::Permission,
            3,
            "write_package",
        ),
        (
            Break::status(405).body(hub),
            Class::Refused,
            1,
            "that is not possible",
        ),
        (Break::status(404), Class::NotFound, 1, "404"),
        (Break::status(500), Class::Server, 3, "500"),
        (Break::status(429), Class::RateLimit, 3, "429"),
        (Break::html(403), Class::Permission, 3, "a web page"),
        (Break::html(200), Class::Content, 3, "is not the answer"),
        (Break::html(404), Class::Content, 3, "a web page"),
        (Break::Reset, Class::Transport, 3, "reset"),
        (Break::CloseAfterBody, Class::Transport, 3, "unexpected end"),
        (Break::HalfAnswer, Class::Transport, 3, ""),
    ] {
        let context = format!("{fault:?}");
        let proxy = Proxy::before(registry.host())
            .rule(Rule::on("PUT", "/manifests/sha256", fault).always())
            .start()
            .await;
        let image = Image::new();
        let fault = image.push(&through(&proxy)).await.unwrap_err();
        assert_eq!(fault.class, class, "{context}: {fault}");
        assert!(fault.what().contains(words), "{context}: {fault}");
        let asked = format!("PUT http://{}/v2/o/app/manifests/sha256:", proxy.host());
        assert!(fault.request.starts_with(&asked), "{context}: {fault}");
        assert_eq!(proxy.count("PUT", "/manifests/sha256"), tries, "{context}");
        assert_eq!(proxy.count("PUT", "/manifests/1.2.3"), 0, "{context}");
    }
}

#[tokio::test]
async fn a_host_that_is_not_there_is_named() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let fault = app(nobody.parse().unwrap()).tags().await.unwrap_err();
    assert_eq!(fault.class, Class::Transport);
    assert!(fault.what().contains("connection refused"), "{fault}");
    let mut far = Options::new("no-such-host.invalid".parse().unwrap());
    far.policy.tries = 1;
    let (client, ..) = client(far, CredentialSource::anonymous());
    let app = client.repository("o/app".parse().unwrap());
    let fault = app.tags().await.unwrap_err();
    assert_eq!(fault.class, Class::Transport);
    assert!(fault.detail.starts_with("DNS: "), "{fault}");
}
