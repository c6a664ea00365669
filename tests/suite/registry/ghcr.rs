//! Decides that GitHub's API is asked as it wants to be asked, and that its answers are taken for what they mean.
//! Must never pass where a part of a list counts as all of it, nor where more goes than was decided upon.

mod published;

use super::*;
use crate::support::deletions::deletion_of;
use crate::support::faults::{Fault as Break, Rule};
use crate::support::ghcr::{Ghcr, ORGANISATION};
use rpub::model::fault::Class;
use rpub::model::retention::{Deleted, Refusal};
use rpub::model::spec::Service;

fn on_github(ghcr: &Ghcr) -> Options {
    Options {
        service: Service::Ghcr,
        api: Some(ghcr.api()),
        ..options(ghcr.host())
    }
}

fn package(ghcr: &Ghcr, name: &str) -> Remote {
    let (registry, ..) = client(on_github(ghcr), login());
    registry.repository(name.parse().unwrap())
}

/// So many images without a tag; gives their digests.
async fn push(count: usize, to: &Remote) -> Vec<Digest> {
    let mut digests = Vec::new();
    for number in 0..count {
        let manifest = numbered(number);
        let digest = manifest.digest();
        let image = Image::new();
        to.put_blob(&image.config, &[]).await.unwrap();
        to.put_manifest(&digest.into(), &manifest).await.unwrap();
        digests.push(digest);
    }
    digests.sort();
    digests
}

/// A manifest without layers, other for each number.
fn numbered(number: usize) -> RawManifest {
    let config = br#"{"os":"linux","architecture":"amd64"}"#;
    let text = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "layers": [],
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "size": config.len(), "digest": Digest::of(config),
        },
        "annotations": {"number": number.to_string()},
    });
    RawManifest::parse(text.to_string().into_bytes(), "").unwrap()
}

async fn listed(on: &Remote) -> Vec<Digest> {
    let versions = on.versions().await.unwrap().expect("GitHub lists them");
    let mut digests: Vec<Digest> = versions.iter().map(|version| version.digest).collect();
    digests.sort();
    digests
}

#[tokio::test]
async fn ghcr_lists_every_page_and_asks_for_the_owner_once() {
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    ghcr.packages().page(2);
    for (name, path) in [
        (
            "alice/deep/app",
            "/users/alice/packages/container/deep%2Fapp/versions",
        ),
        (
            &format!("{ORGANISATION}/app"),
            &format!("/orgs/{ORGANISATION}/packages/container/app/versions"),
        ),
    ] {
        let app = package(&ghcr, name);
        let pushed = push(5, &app).await;
        let kept: Reference = pushed[0].into();
        let manifest = app.read_manifest(&kept).await.unwrap().unwrap();
        app.put_manifest(&tag("1.2.3"), &manifest).await.unwrap();
        assert_eq!(listed(&app).await, pushed);
        assert_eq!(ghcr.api_proxy.count("GET", path), 3, "{name}");
        let versions = app.versions().await.unwrap().unwrap();
        let tagged: Vec<_> = versions.iter().filter(|one| !one.tags.is_empty()).collect();
        assert_eq!(tagged.len(), 1);
        assert_eq!(tagged[0].digest, pushed[0]);
        assert_eq!(tagged[0].tags, ["1.2.3".parse().unwrap()]);
        let owner = name.split('/').next().unwrap();
        assert_eq!(
            ghcr.api_proxy
                .count("GET", format!("/users/{owner}$").as_str()),
            1
        );
    }
    // The token goes to the API; the registry's own tokens do not.
    for request in ghcr.api_proxy.seen() {
        assert_eq!(request.authorization, Some(format!("Bearer {PASSWORD}")));
    }
}

#[tokio::test]
async fn ghcr_gives_no_list_with_holes() {
    let good = "[]";
    let version = |name: &str, tags: &str| {
        format!(
            r#"[{{"id":1,"name":"{name}","created_at":"2024-01-01T00:00:00Z","updated_at":"2024-01-01T00:00:00Z","metadata":{{"container":{tags}}}}}]"#
        )
    };
    let digest = Digest::of(b"x").to_string();
    let elsewhere = "<http://127.0.0.1:1/api/v3/users/alice/packages/container/app/versions?page=2>; rel=\"next\"";
    for (fault, class) in [
        (Break::status(500), Class::Server),
        (Break::Reset, Class::Transport),
        (Break::HalfAnswer, Class::Transport),
        (Break::html(200), Class::Content),
        (Break::status(200).body("{}"), Class::Content),
        (
            Break::status(200).body(&version("latest", r#"{"tags":[]}"#)),
            Class::Content,
        ),
        (
            Break::status(200).body(&version(&digest, r#"{"tags":["a b"]}"#)),
            Class::Content,
        ),
        (
            Break::status(200).body(&version(&digest, "{}")),
            Class::Content,
        ),
        (
            Break::status(200).body(good).header("Link", elsewhere),
            Class::Content,
        ),
        (
            Break::status(200).body(good).header(
                "Link",
                "</api/v3/users/alice/packages/container/other/versions?page=2>; rel=\"next\"",
            ),
            Class::Content,
        ),
    ] {
        let context = format!("{fault:?}");
        let ghcr = Ghcr::start(USER, PASSWORD).await;
        ghcr.packages().page(1);
        let app = package(&ghcr, "alice/app");
        push(3, &app).await;
        let second = Rule::on("GET", "/versions?*page=2", fault.clone()).always();
        ghcr.api_proxy.break_also(second);
        let lasting = app.versions().await.expect_err(&context);
        assert_eq!(lasting.class, class, "{context}: {lasting}");
        is_clean(&format!("{lasting} {lasting:?}"));
        // Once is no matter.
        ghcr.api_proxy.heal();
        ghcr.api_proxy
            .break_also(Rule::on("GET", "/versions?*page=2", fault));
        assert_eq!(listed(&app).await.len(), 3, "{context}");
    }
}

#[tokio::test]
async fn ghcr_deletes_one_version_and_brings_it_back() {
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    let app = package(&ghcr, "alice/deep/app");
    let digests = push(3, &app).await;
    let deletion = deletion_of(digests[1]);
    assert_eq!(app.delete(&deletion).await.unwrap(), Deleted::Now);
    assert_eq!(listed(&app).await, [digests[0], digests[2]]);
    assert_eq!(app.resolve(&digests[1].into()).await.unwrap(), None);
    assert_eq!(app.delete(&deletion).await.unwrap(), Deleted::Before);
    assert_eq!(ghcr.api_proxy.count("DELETE", ""), 1);
    // Another process knows no number, and finds it among what was deleted.
    let another = package(&ghcr, "alice/deep/app");
    assert!(another.restore(digests[1]).await.unwrap());
    assert_eq!(listed(&app).await, digests);
    assert!(!another.restore(Digest::of(b"nowhere")).await.unwrap());
    assert_eq!(ghcr.proxy.count("DELETE", ""), 0);
}

#[tokio::test]
async fn ghcr_survives_what_passes_at_a_deletion() {
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    let app = package(&ghcr, "alice/app");
    let faults = [
        Break::status(502),
        Break::html(404),
        Break::Reset,
        Break::LoseAnswer,
        Break::status(429).header("Retry-After", "1"),
        Break::status(403)
            .body(r#"{"message":"You have exceeded a secondary rate limit."}"#)
            .header("Retry-After", "1"),
    ];
    let digests = push(faults.len() + 1, &app).await;
    for (fault, digest) in faults.into_iter().zip(&digests) {
        let context = format!("{fault:?}");
        ghcr.api_proxy
            .break_also(Rule::on("DELETE", "/versions/", fault));
        let deleted = app.delete(&deletion_of(*digest)).await.unwrap();
        assert_eq!(deleted, Deleted::Now, "{context}");
    }
    assert_eq!(listed(&app).await, digests[digests.len() - 1..]);
}

#[tokio::test]
async fn ghcr_says_why_it_keeps_a_version() {
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    let app = package(&ghcr, "alice/app");
    let digests = push(3, &app).await;
    // It was untagged when it was decided upon.
    app.versions().await.unwrap();
    app.put_manifest(&tag("mine"), &read(&app, digests[0]).await)
        .await
        .unwrap();
    let mine = Deleted::Refused(Refusal::Tagged(vec!["mine".parse().unwrap()]));
    assert_eq!(app.delete(&deletion_of(digests[0])).await.unwrap(), mine);
    assert_eq!(ghcr.api_proxy.count("DELETE", ""), 0);
    ghcr.packages().popular(digests[1]);
    let popular = Deleted::Refused(Refusal::Popular);
    assert_eq!(app.delete(&deletion_of(digests[1])).await.unwrap(), popular);
    ghcr.packages().may_delete(false);
    let not_permitted = Deleted::Refused(Refusal::NotPermitted);
    assert_eq!(
        app.delete(&deletion_of(digests[2])).await.unwrap(),
        not_permitted
    );
    let last = r#"{"message":"You cannot delete the last tagged version of a package. You must delete the package instead."}"#;
    for status in [400, 422] {
        let rule = Rule::on("DELETE", "/versions/", Break::status(status).body(last));
        ghcr.api_proxy.break_also(rule);
        let kept = Deleted::Refused(Refusal::LastTagged);
        assert_eq!(app.delete(&deletion_of(digests[2])).await.unwrap(), kept);
    }
    let (registry, ..) = client(on_github(&ghcr), CredentialSource::anonymous());
    let stranger = registry.repository("alice/app".parse().unwrap());
    let refused = stranger.delete(&deletion_of(digests[2])).await.unwrap();
    assert_eq!(refused, Deleted::Refused(Refusal::NotLoggedIn));
    assert_eq!(stranger.versions().await.unwrap_err().class, Class::Auth);
    assert_eq!(listed(&app).await, digests);
}

async fn read(on: &Remote, digest: Digest) -> RawManifest {
    on.read_manifest(&digest.into()).await.unwrap().unwrap()
}

/// A number that has become another manifest's is not used.
#[tokio::test]
async fn ghcr_deletes_no_version_of_another_digest() {
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    let app = package(&ghcr, "alice/app");
    let digests = push(2, &app).await;
    app.versions().await.unwrap();
    let body = format!(
        r#"{{"id":1,"name":"{}","created_at":"2024-01-01T00:00:00Z","updated_at":"2024-01-01T00:00:00Z"}}"#,
        digests[1]
    );
    let rule = Rule::on("GET", "/versions/", Break::status(200).body(&body));
    ghcr.api_proxy.break_also(rule);
    let refused = app.delete(&deletion_of(digests[0])).await.unwrap();
    assert!(
        matches!(refused, Deleted::Refused(Refusal::Other(_))),
        "{refused:?}"
    );
    assert_eq!(ghcr.api_proxy.count("DELETE", ""), 0);
}

/// A version that is not found under the number that it had may have another by now.
#[tokio::test]
async fn ghcr_calls_nothing_gone_that_it_still_lists() {
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    let app = package(&ghcr, "alice/app");
    let digests = push(1, &app).await;
    app.versions().await.unwrap();
    let gone = Break::status(404).body(r#"{"message":"Not Found"}"#);
    let rule = Rule::on("GET", "/versions/", gone);
    ghcr.api_proxy.break_also(rule);
    let deletion = deletion_of(digests[0]);
    assert_eq!(app.delete(&deletion).await.unwrap(), Deleted::Now);
    assert_eq!(app.resolve(&digests[0].into()).await.unwrap(), None);
}

#[tokio::test]
async fn ghcr_is_given_a_minute_where_it_names_no_time() {
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    let mut options = on_github(&ghcr);
    options.policy.tries = 1;
    let limit = r#"{"message":"You have exceeded a secondary rate limit. Please wait."}"#;
    for fault in [Break::status(403).body(limit), Break::status(429)] {
        let (registry, ..) = client(options.clone(), login());
        let app = registry.repository("alice/app".parse().unwrap());
        let rule = Rule::on("GET", "/versions", fault);
        ghcr.api_proxy.break_also(rule);
        let fault = app.versions().await.unwrap_err();
        assert_eq!(fault.class, Class::RateLimit);
        assert_eq!(fault.retry_after, Some(Duration::from_mins(1)));
    }
}

#[tokio::test]
async fn ghcr_faults_name_the_login_to_mend_and_no_secret() {
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    let wrong = CredentialSource::login(USER, "wrong-topsecret".to_owned().into());
    let (registry, ..) = client(on_github(&ghcr), wrong);
    let app = registry.repository("alice/app".parse().unwrap());
    let fault = app.versions().await.unwrap_err();
    assert_eq!(fault.class, Class::Auth);
    // One logs in to the registry; nobody logs in to the API.
    assert!(
        fault.remedy().contains(ghcr.host().as_str()),
        "{}",
        fault.remedy()
    );
    let echo = format!(r#"{{"message":"no: Bearer {PASSWORD}"}}"#);
    let rule = Rule::on("GET", "/users/", Break::status(400).body(&echo));
    ghcr.api_proxy.break_also(rule);
    let fault = package(&ghcr, "alice/app").versions().await.unwrap_err();
    assert!(fault.detail.contains("no: Bearer"), "{fault}");
    is_clean(&format!("{fault} {fault:?}"));
    // What is not there, or not ours to see.
    let fault = package(&ghcr, "alice/none").versions().await.unwrap_err();
    assert!(fault.detail.contains("may not see"), "{fault}");
    // GitHub has nothing without an owner.
    let fault = package(&ghcr, "app").versions().await.unwrap_err();
    assert_eq!(fault.class, Class::Refused);
}
