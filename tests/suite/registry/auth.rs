//! Decides that every kind of login works, and that no secret leaves for where it does not belong.
//! Must never use a real account.

use super::*;
use crate::support::deletions::deletion_of;
use crate::support::faults::{Fault as Break, Rule};
use crate::support::proxy::Seen;
use crate::support::registries::{Auth, RegistryProcess};
use crate::support::tokens::Tokens;
use rpub::model::fault::Class;
use rpub::model::retention::Deleted;
use std::io::Write;
use std::sync::{Arc, Mutex};

#[tokio::test]
async fn basic_login_with_an_auth_file() {
    let auth = Auth::Basic {
        user: USER,
        password: PASSWORD,
    };
    let registry = RegistryProcess::start(&auth);
    let image = Image::new();
    let path = image.folder.path().join("auth.json");
    let entry = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("{USER}:{PASSWORD}"),
    );
    let text = format!(
        r#"{{"auths":{{"{}":{{"auth":"{entry}"}}}}}}"#,
        registry.host()
    );
    std::fs::write(&path, text).unwrap();
    let environment = rpub::registry::Environment::of::<&str, &str>([]);
    let credentials = CredentialSource::new(Some(path), environment).unwrap();
    let (client, ..) = client(options(registry.host()), credentials);
    let app = client.repository("o/app".parse().unwrap());
    image.push(&app).await.unwrap();
    image.check(&app).await;
}

#[tokio::test]
async fn a_wrong_login_or_none_is_told_at_once() {
    let auth = Auth::Basic {
        user: USER,
        password: PASSWORD,
    };
    let registry = RegistryProcess::start(&auth);
    let proxy = Proxy::before(registry.host()).start().await;
    let image = Image::new();
    let wrong = CredentialSource::login(USER, "wrong-topsecret".to_owned().into());
    for (credentials, requests) in [(wrong, 2), (CredentialSource::anonymous(), 1)] {
        let before = proxy.seen().len();
        let (client, ..) = client(options(proxy.host()), credentials);
        let app = client.repository("o/app".parse().unwrap());
        let fault = image.push(&app).await.unwrap_err();
        assert_eq!(fault.class, Class::Auth);
        is_clean(&format!("{fault} {fault:?}"));
        assert_eq!(proxy.seen().len() - before, requests);
    }
}

#[tokio::test]
async fn tokens_over_tls_as_ghcr_gives_them() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host())
        .tls()
        .tokens(USER, PASSWORD)
        .start()
        .await;
    let image = Image::new();
    let trusting = Options {
        insecure: false,
        ca_file: proxy.ca_file(),
        ..options(proxy.host())
    };
    let (registry, ..) = client(trusting.clone(), login());
    let app = registry.repository("o/app".parse().unwrap());
    image.push(&app).await.unwrap();
    image.check(&app).await;
    // One token to read and one to write.
    assert_eq!(proxy.count("GET", "/token?"), 2);
    let from = ["o/app".parse().unwrap()];
    let other = registry.repository("o/other".parse().unwrap());
    assert_eq!(
        other.put_blob(&image.layer, &from).await.unwrap(),
        Sent::Mounted
    );

    // Tokens end before their time: each is fetched once more.
    let before = proxy.count("GET", "/token?");
    proxy.expire_tokens();
    image.push(&app).await.unwrap();
    image.check(&app).await;
    assert_eq!(proxy.count("GET", "/token?") - before, 2);
    let deleted = app.delete(&deletion_of(image.manifest.digest())).await;
    assert_eq!(deleted.unwrap(), Deleted::Now);

    // Without the certificate nothing is said at all.
    let before = proxy.seen().len();
    let distrusting = Options {
        ca_file: None,
        ..trusting
    };
    let (registry, ..) = client(distrusting, login());
    let app = registry.repository("o/app".parse().unwrap());
    let fault = app.tags().await.unwrap_err();
    assert_eq!(fault.class, Class::Transport);
    assert!(fault.detail.starts_with("TLS: "), "{fault}");
    assert_eq!(proxy.seen().len(), before);
}

#[tokio::test]
async fn one_token_is_fetched_for_many_requests_at_once() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host())
        .tokens(USER, PASSWORD)
        .start()
        .await;
    let app = logged_in(&proxy);
    let missing = Digest::of(b"nowhere");
    let all = (0..20).map(|_| app.blob_size(missing));
    for found in futures::future::join_all(all).await {
        assert_eq!(found.unwrap(), None);
    }
    assert_eq!(proxy.count("GET", "/token?"), 1);
}

#[tokio::test]
async fn a_token_service_that_refuses_is_a_matter_of_permission() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host())
        .tokens(USER, "another")
        .start()
        .await;
    for credentials in [login(), CredentialSource::anonymous()] {
        let (registry, ..) = client(options(proxy.host()), credentials);
        let app = registry.repository("o/app".parse().unwrap());
        let fault = app.tags().await.unwrap_err();
        assert!(
            matches!(fault.class, Class::Auth | Class::Permission),
            "{fault}"
        );
        assert_eq!(
            rpub::error::Error::from(fault).kind,
            rpub::error::Kind::Permission
        );
    }
}

/// All that was logged, down to the last trace.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_has_a_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let registry = RegistryProcess::start(&Auth::None);
    // It repeats our token, as a hostile or a careless one would.
    let token = format!("{}1-{}", Tokens::PREFIX, "x".repeat(40));
    let body = format!(r#"{{"errors":[{{"code":"DENIED","message":"no: Bearer {token}"}}]}}"#);
    let proxy = Proxy::before(registry.host())
        .tokens(USER, PASSWORD)
        .rule(Rule::on("GET", "/tags/list", Break::status(403).body(&body)).always())
        .start()
        .await;
    let (client, ..) = client(options(proxy.host()), login());
    let app = client.repository("o/app".parse().unwrap());
    let image = Image::new();
    image.push(&app).await.unwrap();
    let fault = app.tags().await.unwrap_err();
    assert_eq!(fault.class, Class::Permission);
    assert!(fault.detail.contains("no: Bearer"), "{fault}");
    is_clean(&format!("{fault} {fault:?} {client:?} {app:?}"));
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(text.contains("answered"), "{text}");
    is_clean(&text);
}

fn is_anonymous(seen: &[Seen]) {
    assert!(!seen.is_empty());
    for request in seen {
        assert_eq!(request.authorization, None, "{request:?}");
    }
}

#[tokio::test]
async fn a_redirect_or_an_upload_elsewhere_gets_no_credentials() {
    let registry = RegistryProcess::start(&Auth::None);
    let storage = Proxy::before(registry.host()).start().await;
    let image = Image::new();
    image.push(&app(registry.host())).await.unwrap();
    let elsewhere = format!(
        "http://{}/v2/o/app/blobs/{}",
        storage.host(),
        image.layer.digest
    );
    // A real upload session, but at the other host.
    let session = {
        let begun = reqwest::Client::new()
            .post(format!("http://{}/v2/o/new/blobs/uploads/", storage.host()))
            .send()
            .await
            .unwrap();
        begun.headers()["location"].to_str().unwrap().to_owned()
    };
    let before = storage.seen().len();
    let proxy = Proxy::before(registry.host())
        .tokens(USER, PASSWORD)
        .rule(
            Rule::on(
                "GET",
                "/blobs/sha256",
                Break::status(307).header("Location", elsewhere),
            )
            .nth(2),
        )
        .rule(
            Rule::on(
                "POST",
                "/o/new/blobs/uploads/",
                Break::status(202).header("Location", session),
            )
            .nth(2),
        )
        .start()
        .await;
    let (client, ..) = client(options(proxy.host()), login());
    let app = client.repository("o/app".parse().unwrap());
    // The first of each is where the challenge comes from.
    assert!(read_all(&app, image.config.digest).await.is_ok());
    assert!(read_all(&app, image.layer.digest).await.is_ok());
    let new = client.repository("o/new".parse().unwrap());
    let fresh = blob(&image.folder, "fresh", b"fresh");
    let other = blob(&image.folder, "other", b"other");
    new.put_blob(&fresh, &[]).await.unwrap();
    new.put_blob(&other, &[]).await.unwrap();
    let there = &storage.seen()[before..];
    assert!(there.iter().any(|seen| seen.method == "GET"), "{there:?}");
    assert!(there.iter().any(|seen| seen.method == "PUT"), "{there:?}");
    is_anonymous(there);
}

#[tokio::test]
async fn no_login_goes_to_a_token_service_without_tls() {
    let registry = RegistryProcess::start(&Auth::None);
    let plain = Proxy::before(registry.host())
        .tokens(USER, PASSWORD)
        .start()
        .await;
    let realm = format!("Bearer realm=\"http://{}/token\"", plain.host());
    let refuse = Break::status(401).header("WWW-Authenticate", realm);
    let proxy = Proxy::before(registry.host())
        .tls()
        .rule(Rule::on("GET", "/v2/", refuse).always())
        .start()
        .await;
    let options = Options {
        insecure: false,
        ca_file: proxy.ca_file(),
        ..options(proxy.host())
    };
    let (client, ..) = client(options, login());
    let fault = client
        .repository("o/app".parse().unwrap())
        .tags()
        .await
        .unwrap_err();
    assert_eq!(fault.class, Class::Auth);
    assert!(plain.seen().is_empty());
}

#[test]
fn plain_http_is_for_this_machine_only() {
    let far = Options {
        insecure: true,
        ..Options::new("ghcr.io".parse().unwrap())
    };
    let refused = Registry::new(far, login(), Events::default(), CancellationToken::new());
    assert_eq!(refused.unwrap_err().kind, rpub::error::Kind::Usage);
}

#[test]
fn docker_hub_keeps_single_names_in_its_library() {
    let hub = Options::new("docker.io".parse().unwrap());
    let registry =
        Registry::new(hub, login(), Events::default(), CancellationToken::new()).unwrap();
    let remote = registry.repository("alpine".parse().unwrap());
    assert_eq!(remote.repository().to_string(), "docker.io/alpine");
    assert!(format!("{remote:?}").contains("library/alpine"));
}

#[tokio::test]
async fn a_refresh_token_becomes_an_access_token() {
    let registry = RegistryProcess::start(&Auth::None);
    let answer = Break::status(200).body(r#"{"access_token":"abc","expires_in":300}"#);
    let service = Proxy::before(registry.host())
        .rule(Rule::on("POST", "/oauth", answer))
        .start()
        .await;
    let realm = format!("Bearer realm=\"http://{}/oauth\",service=x", service.host());
    let challenge = Break::status(401).header("WWW-Authenticate", realm);
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("GET", "/tags/list", challenge))
        .start()
        .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    let text = serde_json::json!({"auths": {proxy.host().as_str(): {"identitytoken": "refresh-topsecret"}}});
    std::fs::write(&path, text.to_string()).unwrap();
    let environment = rpub::registry::Environment::of::<&str, &str>([]);
    let credentials = CredentialSource::new(Some(path), environment).unwrap();
    let (client, ..) = client(options(proxy.host()), credentials);
    let app = client.repository("o/app".parse().unwrap());
    assert_eq!(app.tags().await.unwrap(), []);
    assert_eq!(service.count("POST", "/oauth"), 1);
    for request in service.seen() {
        // The secret goes in the body, not in the URL.
        is_clean(&request.target);
    }
    let last = proxy.seen().pop().unwrap();
    assert_eq!(last.authorization.as_deref(), Some("Bearer abc"));
}
