//! Decides that what is about a manifest is found, all of it, and that no failure looks like "nothing is".
//! Must never need a registry that has the list: Debian's has none, so that answers of others are put before it.

use super::*;
use crate::support::faults::{Fault as Break, Rule};
use crate::support::registries::{Auth, RegistryProcess};
use rpub::model::fault::Class;
use rpub::model::spec::Service;

/// A page of the list, as the specification has it.
fn page(about: &[&str]) -> Break {
    let entry = |text: &&str| {
        serde_json::json!({
            "mediaType": media_type::OCI_MANIFEST, "size": text.len(),
            "digest": Digest::of(text.as_bytes()), "artifactType": "application/x",
        })
    };
    let manifests: Vec<_> = about.iter().map(entry).collect();
    let list = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests,
    });
    let kind = format!("{}; charset=utf-8", media_type::OCI_INDEX);
    Break::status(200)
        .header("Content-Type", kind)
        .body(&list.to_string())
}

fn on_list(fault: Break) -> Rule {
    Rule::on("GET", "/referrers/", fault)
}

async fn ask(on: &Remote) -> Result<Option<Vec<Digest>>, Fault> {
    let found = on.referrers(Digest::of(b"image")).await?;
    Ok(found.map(|found| {
        let mut found: Vec<Digest> = found.iter().map(|about| about.digest).collect();
        found.sort();
        found
    }))
}

fn digests(texts: &[&str]) -> Vec<Digest> {
    let digest = |text: &&str| Digest::of(text.as_bytes());
    let mut digests: Vec<Digest> = texts.iter().map(digest).collect();
    digests.sort();
    digests
}

#[tokio::test]
async fn a_registry_without_the_list_is_asked_once() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host()).start().await;
    let (client, ..) = client(options(proxy.host()), CredentialSource::anonymous());
    for name in ["o/app", "o/app", "o/other"] {
        let remote = client.repository(name.parse().unwrap());
        assert_eq!(ask(&remote).await.unwrap(), None);
    }
    let target = format!("/v2/o/app/referrers/{}", Digest::of(b"image"));
    assert_eq!(proxy.count("GET", &target), 1);
    assert_eq!(proxy.seen().len(), 1);
}

#[tokio::test]
async fn all_pages_are_read_and_an_empty_list_is_a_list() {
    let registry = RegistryProcess::start(&Auth::None);
    let digest = Digest::of(b"image");
    let link = format!("</v2/o/app/referrers/{digest}?page=2>; rel=\"next\"");
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("GET", "page=2", page(&["c"])).always())
        .rule(on_list(page(&["a", "b"]).header("Link", link)))
        .rule(on_list(Break::status(500)).nth(2))
        .rule(on_list(page(&[])))
        .start()
        .await;
    let app = through(&proxy);
    assert_eq!(ask(&app).await.unwrap(), Some(digests(&["a", "b", "c"])));
    assert_eq!(ask(&app).await.unwrap(), Some(digests(&[])));
}

#[tokio::test]
async fn what_is_no_list_is_a_fault_each_time() {
    let registry = RegistryProcess::start(&Auth::None);
    let index = |body: &str| {
        Break::status(200)
            .header("Content-Type", media_type::OCI_INDEX)
            .body(body)
    };
    let docker = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#,
        media_type::DOCKER_LIST
    );
    let elsewhere = page(&["a"]).header("Link", "<http://127.0.0.1:1/x>; rel=\"next\"");
    for (fault, class, asked) in [
        (Break::html(200), Class::Content, 3),
        (Break::html(404), Class::Content, 3),
        (index("{}"), Class::Content, 3),
        (index("[]"), Class::Content, 3),
        (index(r#"{"schemaVersion":2}"#), Class::Content, 3),
        (
            index(r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","size":1,"digest":"y"}]}"#),
            Class::Content,
            3,
        ),
        (
            Break::status(200)
                .header("Content-Type", media_type::DOCKER_LIST)
                .body(&docker),
            Class::Content,
            3,
        ),
        (Break::status(200).body("{\"tags\":[]}"), Class::Content, 3),
        (elsewhere, Class::Content, 3),
        (Break::status(400), Class::Refused, 1),
        (Break::status(401), Class::Auth, 1),
        (Break::status(403), Class::Permission, 3),
        (Break::status(405), Class::Refused, 1),
        (Break::status(500), Class::Server, 3),
        (Break::Reset, Class::Transport, 3),
    ] {
        let context = format!("{fault:?}");
        let proxy = Proxy::before(registry.host())
            .rule(on_list(fault).always())
            .start()
            .await;
        let app = through(&proxy);
        for times in [1, 2] {
            let fault = ask(&app).await.unwrap_err();
            assert_eq!(fault.class, class, "{context}: {fault}");
            let all = proxy.count("GET", "/referrers/");
            assert_eq!(all, times * asked, "{context}");
        }
        proxy.heal();
        assert_eq!(ask(&app).await.unwrap(), None, "{context}");
    }
}

#[tokio::test]
async fn half_a_list_is_a_fault() {
    let registry = RegistryProcess::start(&Auth::None);
    let again = format!(
        "</v2/o/app/referrers/{}>; rel=\"next\"",
        Digest::of(b"image")
    );
    let endless = Proxy::before(registry.host())
        .rule(on_list(page(&["a"]).header("Link", &again)).always())
        .start()
        .await;
    let fault = ask(&through(&endless)).await.unwrap_err();
    assert_eq!(fault.class, Class::Refused);
    assert_eq!(endless.count("GET", "/referrers/"), 100);
    // The second page is not there.
    let halved = Proxy::before(registry.host())
        .rule(on_list(page(&["a"]).header("Link", again)))
        .start()
        .await;
    let fault = ask(&through(&halved)).await.unwrap_err();
    assert_eq!(fault.class, Class::NotFound);
}

#[tokio::test]
async fn who_had_the_list_has_it() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host())
        .rule(on_list(page(&["a"])))
        .start()
        .await;
    let app = through(&proxy);
    assert_eq!(ask(&app).await.unwrap(), Some(digests(&["a"])));
    assert_eq!(ask(&app).await.unwrap_err().class, Class::Content);
}

#[tokio::test]
async fn what_is_not_there_says_nothing_about_the_registry() {
    let registry = RegistryProcess::start(&Auth::None);
    for code in ["NAME_UNKNOWN", "MANIFEST_UNKNOWN"] {
        let body = serde_json::json!({"errors": [{"code": code, "message": "unknown"}]});
        let unknown = Break::status(404).body(&body.to_string());
        let proxy = Proxy::before(registry.host())
            .rule(on_list(unknown))
            .rule(on_list(page(&["a"])).always())
            .start()
            .await;
        let app = through(&proxy);
        assert_eq!(ask(&app).await.unwrap(), None);
        assert_eq!(ask(&app).await.unwrap(), Some(digests(&["a"])));
    }
}

#[tokio::test]
async fn a_way_to_ghcrs_web_site_is_not_gone() {
    let registry = RegistryProcess::start(&Auth::None);
    let site = Proxy::before(registry.host()).start().await;
    let location = format!("http://{}/-/v2/packages", site.host());
    let proxy = Proxy::before(registry.host())
        .rule(on_list(Break::status(303).header("Location", location)).always())
        .start()
        .await;
    let mut asked = options(proxy.host());
    asked.service = Service::Ghcr;
    asked.api = Some(format!("http://{}", proxy.host()).parse().unwrap());
    let (ghcr, ..) = client(asked, CredentialSource::anonymous());
    let app = ghcr.repository("o/app".parse().unwrap());
    assert_eq!(ask(&app).await.unwrap(), None);
    assert!(site.seen().is_empty());
}
