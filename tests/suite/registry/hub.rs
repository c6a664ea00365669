//! Decides that Docker Hub's ways are known: how it deletes, what it counts, and what its own API tells.
//! Must never need Docker Hub: what differs from a registry is emulated, the registry behind it is real.

use super::*;
use crate::support::deletions::deletion_of;
use crate::support::faults::{Fault as Break, Rule};
use crate::support::hub::{Deletes, DockerHub, TOKEN};
use rpub::model::fault::Class;
use rpub::model::reference::Tag;
use rpub::model::retention::{Deleted, Refusal};
use rpub::model::spec::Service;

/// `o/app` there, with its API at `api`.
fn at(hub: &DockerHub, api: &str, credentials: CredentialSource) -> Remote {
    let options = Options {
        service: Service::DockerHub,
        api: Some(api.parse().unwrap()),
        ..options(hub.host())
    };
    let (registry, ..) = client(options, credentials);
    registry.repository("o/app".parse().unwrap())
}

async fn start() -> (DockerHub, Remote) {
    let hub = DockerHub::start(USER, PASSWORD).await;
    let app = at(&hub, &hub.api.url, login());
    (hub, app)
}

#[tokio::test]
async fn hub_deletes_by_digest_with_a_token_for_that_and_its_own_way() {
    let (hub, app) = start().await;
    let later = |status, looks| Deletes::Later { status, looks };
    let background = Deleted::Refused(Refusal::Background);
    let refused = Deleted::Refused(Refusal::NotPermitted);
    for (how, expected, deletions) in [
        (Deletes::AtOnce, Deleted::Now, 1),
        (later(202, 1), Deleted::Now, 1),
        (later(500, 0), Deleted::Now, 1),
        (later(500, 1), Deleted::Now, 2),
        // Only after all tries.
        (later(500, 3), Deleted::Now, 3),
        (later(500, 9), background.clone(), 3),
        (later(202, 9), background.clone(), 1),
        (Deletes::Never(500), background, 3),
        (Deletes::Never(403), refused, 3),
    ] {
        let image = Image::new();
        image.push(&app).await.unwrap();
        hub.deletes(how);
        let before = hub.proxy.count("DELETE", "/manifests/sha256");
        let deleted = app.delete(&deletion_of(image.manifest.digest())).await;
        assert_eq!(deleted.unwrap(), expected, "{how:?}");
        let after = hub.proxy.count("DELETE", "/manifests/sha256");
        assert_eq!(after - before, deletions, "{how:?}");
        let direct = super::app(hub.behind().host());
        let there = direct.resolve(&image.by_digest()).await.unwrap().is_some();
        assert_eq!(there, expected != Deleted::Now, "{how:?}");
        if there {
            direct
                .delete(&deletion_of(image.manifest.digest()))
                .await
                .unwrap();
            hub.forget();
        }
    }
    assert_eq!(hub.proxy.count("GET", "/token?*delete"), 1);
    assert_eq!(hub.pulled(), 0);
}

#[tokio::test]
async fn hub_keeps_what_a_list_names_and_deletes_no_tag_alone() {
    let (hub, app) = start().await;
    let image = Image::new();
    image.push(&app).await.unwrap();
    let list = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX,
        "manifests": [{
            "mediaType": image.manifest.media_type(), "digest": image.manifest.digest(),
            "size": image.manifest.bytes().len(),
        }],
    });
    let list = RawManifest::parse(list.to_string().into_bytes(), "").unwrap();
    app.put_manifest(&list.digest().into(), &list)
        .await
        .unwrap();
    assert!(!app.remove_tag(&"1.2.3".parse().unwrap()).await.unwrap());
    let (child, parent) = (
        deletion_of(image.manifest.digest()),
        deletion_of(list.digest()),
    );
    let Deleted::Refused(Refusal::InUse(words)) = app.delete(&child).await.unwrap() else {
        panic!("a list names it");
    };
    assert!(words.contains("referenced by a manifest list"), "{words}");
    image.check(&app).await;
    let busy = Break::status(429).header("Retry-After", "1");
    hub.proxy.break_also(Rule::on("DELETE", "", busy));
    for deletion in [&parent, &child] {
        assert_eq!(app.delete(deletion).await.unwrap(), Deleted::Now);
        assert_eq!(app.delete(deletion).await.unwrap(), Deleted::Before);
    }
}

#[tokio::test]
async fn hub_counts_what_is_read_and_not_what_is_asked() {
    let (hub, app) = start().await;
    let image = Image::new();
    image.push(&app).await.unwrap();
    hub.pulls(1);
    assert!(app.read_manifest(&tag("1.2.3")).await.unwrap().is_some());
    let fault = app.read_manifest(&tag("1.2.3")).await.unwrap_err();
    assert_eq!(fault.class, Class::RateLimit);
    assert_eq!(hub.pulled(), 1);
    assert!(app.resolve(&tag("1.2.3")).await.unwrap().is_some());
    let deleted = app.delete(&deletion_of(image.manifest.digest())).await;
    assert_eq!(deleted.unwrap(), Deleted::Now);
}

#[tokio::test]
async fn hubs_api_lists_all_tags_with_one_login() {
    let (hub, app) = start().await;
    assert_eq!(app.more_tags().await.unwrap(), []);
    let image = Image::new();
    let direct = super::app(hub.behind().host());
    image.push(&direct).await.unwrap();
    for number in 0..100 {
        let tag = tag(&format!("t{number}"));
        direct.put_manifest(&tag, &image.manifest).await.unwrap();
    }
    let all = direct.tags().await.unwrap();
    assert_eq!(all.len(), 101);
    assert_eq!(app.more_tags().await.unwrap(), all);
    let tags = ["1.2.3".parse::<Tag>().unwrap()];
    hub.api.immutable(&["1\\..*"]);
    assert_eq!(app.immutable(&tags).await.unwrap(), tags);
    assert_eq!(hub.api.logins(), 1);
    // After 10 minutes, and among too many questions.
    hub.api.expire();
    hub.api.busy(1);
    assert_eq!(app.more_tags().await.unwrap(), all);
    assert_eq!(hub.api.logins(), 2);
    // Pages whose next one was lost are asked on to the end.
    let nothing = Break::status(200).body(r#"{"next": null, "results": [{"name": "a"}]}"#);
    let api = hub.api.url.strip_prefix("http://").unwrap();
    let lossy = Proxy::before(api.parse().unwrap())
        .rule(Rule::on("GET", "/tags?page_size=100$", nothing))
        .start()
        .await;
    let through = at(&hub, &format!("http://{}", lossy.host()), login());
    assert_eq!(through.more_tags().await.unwrap().len(), 2);
    assert_eq!(lossy.count("GET", "/tags?"), 3);
    // Without a login nobody is asked.
    let anonymous = at(&hub, &hub.api.url, CredentialSource::anonymous());
    assert_eq!(anonymous.more_tags().await.unwrap(), []);
    let wrong = CredentialSource::login(USER, "wrong-topsecret".to_owned().into());
    let fault = at(&hub, &hub.api.url, wrong).more_tags().await.unwrap_err();
    assert_eq!(fault.class, Class::Auth);
    is_clean(&format!("{fault} {fault:?}"));
    assert_eq!(hub.api.logins(), 3);
}

#[tokio::test]
async fn hubs_api_is_believed_only_where_it_answers_with_a_list() {
    let hub = DockerHub::start(USER, PASSWORD).await;
    let api = hub.api.url.strip_prefix("http://").unwrap();
    let list = |next: &str, name: &str| {
        let body = serde_json::json!({"next": next, "results": [{"name": name}]});
        Break::status(200).body(&body.to_string())
    };
    // As a careless one would, it repeats the token that it was sent.
    let echo = |status| Break::status(status).body("TOKEN");
    for (fault, class) in [
        (Break::html(200), Class::Content),
        (Break::html(404), Class::Content),
        (Break::status(200).body("[]"), Class::Content),
        (list("http://127.0.0.1:1/more", "a"), Class::Content),
        (list("", "no tag"), Class::Content),
        (echo(401), Class::Auth),
        (echo(403), Class::Permission),
        (Break::status(500), Class::Server),
    ] {
        let context = format!("{fault:?}");
        let fault = match fault {
            Break::Answer { status, body, .. } if body == "TOKEN" => {
                let token = format!("{TOKEN}-{}", hub.api.logins() + 1);
                let body = serde_json::json!({"detail": format!("no: {token}"), "errinfo": {}});
                Break::status(status).body(&body.to_string())
            }
            fault => fault,
        };
        let proxy = Proxy::before(api.parse().unwrap())
            .rule(Rule::on("GET", "/tags?", fault).always())
            .start()
            .await;
        let url = format!("http://{}", proxy.host());
        let fault = at(&hub, &url, login()).more_tags().await.unwrap_err();
        assert_eq!(fault.class, class, "{context}: {fault}");
        is_clean(&format!("{fault} {fault:?}"));
    }
    let proxy = Proxy::before(api.parse().unwrap())
        .rule(Rule::on("GET", "page=2", Break::status(404)).always())
        .rule(Rule::on("GET", "/tags?", list("/v2/x?page=2", "a")))
        .start()
        .await;
    let url = format!("http://{}", proxy.host());
    let fault = at(&hub, &url, login()).more_tags().await.unwrap_err();
    assert_eq!(fault.class, Class::NotFound);
}
