//! Decides that GitHub Packages is asked as it wants to be, and that a list of its versions is whole or none.
//! Must never need GitHub: its API is emulated, the registry behind it is real.

mod deletion;
mod face;
mod limits;
mod restore;
mod schema;

use super::*;
use crate::support::faults::{Fault as Break, Rule};
use crate::support::ghcr::{Ghcr, ORGANISATION};
use rpub::model::fault::Class;
use rpub::model::spec::Service;
use std::collections::{BTreeMap, BTreeSet};

/// The organisation's package that most tests are about.
const APP: &str = "acme/app";

fn options_for(ghcr: &Ghcr) -> Options {
    Options {
        service: Service::Ghcr,
        api: Some(ghcr.api().parse().unwrap()),
        ..options(ghcr.host())
    }
}

/// One package, by a client that knows nothing yet.
fn at(ghcr: &Ghcr, name: &str) -> Remote {
    let (registry, ..) = client(options_for(ghcr), login());
    registry.repository(name.parse().unwrap())
}

/// What lies in the registry itself, without GitHub.
fn behind(ghcr: &Ghcr, name: &str) -> Remote {
    let (registry, ..) = client(options(ghcr.behind().host()), CredentialSource::anonymous());
    registry.repository(name.parse().unwrap())
}

/// Puts so many manifests into a package, the first of them as `latest`, the others without a tag.
async fn fill(ghcr: &Ghcr, name: &str, many: usize) -> Vec<RawManifest> {
    let (image, to) = (Image::new(), behind(ghcr, name));
    to.put_blob(&image.config, &[]).await.unwrap();
    to.put_blob(&image.layer, &[]).await.unwrap();
    let mut all = Vec::new();
    for number in 0..many {
        let mut manifest: serde_json::Value =
            serde_json::from_slice(image.manifest.bytes()).unwrap();
        manifest["mediaType"] = media_type::OCI_MANIFEST.into();
        manifest["annotations"] = serde_json::json!({"number": number.to_string()});
        let manifest = RawManifest::parse(manifest.to_string().into_bytes(), "").unwrap();
        to.put_manifest(&manifest.digest().into(), &manifest)
            .await
            .unwrap();
        all.push(manifest);
    }
    to.put_manifest(&tag("latest"), &all[0]).await.unwrap();
    all
}

/// An emulator with so many versions in [`APP`].
async fn filled(many: usize) -> (Ghcr, Vec<RawManifest>) {
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    let manifests = fill(&ghcr, APP, many).await;
    (ghcr, manifests)
}

/// What a client lists, as the emulator tells what it has.
async fn listed(on: &Remote) -> BTreeMap<Digest, BTreeSet<String>> {
    let versions = on.versions().await.unwrap().unwrap();
    let many = versions.len();
    let texts = |tags: Vec<rpub::model::reference::Tag>| {
        let texts = tags.iter().map(|tag| tag.as_str().to_owned());
        texts.collect()
    };
    let found: BTreeMap<_, _> = versions
        .into_iter()
        .map(|version| (version.digest, texts(version.tags)))
        .collect();
    assert_eq!(found.len(), many, "nothing is listed twice");
    found
}

#[tokio::test]
async fn ghcr_lists_every_page_of_an_organisation_and_of_a_user() {
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    ghcr.packages().page(2);
    for (owner, kind) in [(ORGANISATION, "orgs"), ("o", "users")] {
        let name = format!("{owner}/deep/down/app");
        let manifests = fill(&ghcr, &name, 5).await;
        for tag_text in ["1.2.3", "1.2"] {
            let to = behind(&ghcr, &name);
            to.put_manifest(&tag(tag_text), &manifests[3])
                .await
                .unwrap();
        }
        ghcr.packages().age(manifests[3].digest(), 40);
        let (registry, ..) = client(options_for(&ghcr), login());
        let app = registry.repository(name.parse().unwrap());
        let found = listed(&app).await;
        assert_eq!(found, ghcr.packages().package(&name));
        let tags = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        assert_eq!(found[&manifests[0].digest()], tags(&["latest"]));
        assert_eq!(found[&manifests[3].digest()], tags(&["1.2", "1.2.3"]));
        assert_eq!(found[&manifests[4].digest()], tags(&[]));
        // The name is one word of the path, its slashes escaped.
        let pages = format!("/{kind}/{owner}/packages/container/deep%2Fdown%2Fapp/versions?");
        // And once more: nothing comes after the last one.
        assert_eq!(ghcr.api_proxy.count("GET", &pages), 4);
        // A client asks once what the owner is, whatever of his it asks for.
        let other = format!("{owner}/other");
        fill(&ghcr, &other, 1).await;
        let other = registry.repository(other.parse().unwrap());
        assert_eq!(listed(&other).await.len(), 1);
        assert_eq!(listed(&app).await.len(), 5);
        let asked = format!("/api/v3/users/{owner}$");
        assert_eq!(ghcr.api_proxy.count("GET", &asked), 1);
    }
}

#[tokio::test]
async fn ghcr_tells_when_a_version_was_pushed() {
    let (ghcr, manifests) = filled(2).await;
    ghcr.packages().age(manifests[1].digest(), 40);
    let days_of = |version: &rpub::target::Version| version.age.unwrap().as_secs() / (24 * 3600);
    // Its own clock counts, wherever this machine's is.
    for behind in [0, 1000] {
        ghcr.packages().clock_is_behind(behind);
        let versions = at(&ghcr, APP).versions().await.unwrap().unwrap();
        for (manifest, days) in manifests.iter().zip([0, 40]) {
            let is_it = |version: &&rpub::target::Version| version.digest == manifest.digest();
            assert_eq!(days_of(versions.iter().find(is_it).unwrap()), days);
        }
    }
    // The later one of what it tells counts: GitHub's `updated_at` moves with the tags.
    for (created, updated) in [("2020-01-01", "2024-02-03"), ("2024-02-03", "2020-01-01")] {
        let body = serde_json::json!([{
            "id": 1, "name": manifests[0].digest(), "metadata": null,
            "created_at": format!("{created}T00:00:00Z"), "updated_at": format!("{updated}T00:00:00Z"),
        }]);
        let answer = Break::status(200)
            .header("Date", "Mon, 05 Feb 2024 00:00:00 GMT")
            .body(&body.to_string());
        ghcr.api_proxy
            .break_also(Rule::on("GET", "/versions?", answer).always());
        let versions = at(&ghcr, APP).versions().await.unwrap().unwrap();
        assert_eq!(days_of(&versions[0]), 2);
        assert_eq!(versions[0].tags, []);
        ghcr.api_proxy.heal();
    }
    let without = Rule::on("GET", "/versions?", Break::Without("date")).always();
    ghcr.api_proxy.break_also(without);
    let versions = at(&ghcr, APP).versions().await.unwrap().unwrap();
    assert!(versions.iter().all(|version| version.age.is_none()));
}

/// A page of one version with this name and this tag.
fn page_of(name: &str, tag: &str) -> Break {
    let body = serde_json::json!([{
        "id": 1, "name": name,
        "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
        "metadata": {"package_type": "container", "container": {"tags": [tag]}},
    }]);
    Break::status(200).body(&body.to_string())
}

#[tokio::test]
async fn ghcr_gives_no_list_where_a_page_is_missing() {
    let (ghcr, _) = filled(5).await;
    ghcr.packages().page(2);
    let digest = Digest::of(b"x").to_string();
    let link = |to: &str| {
        let link = format!("<{to}>; rel=\"next\"");
        Break::status(200).body("[]").header("Link", link)
    };
    for (fault, class) in [
        (Break::status(500), Class::Server),
        (Break::html(502), Class::Server),
        (Break::Reset, Class::Transport),
        (Break::LoseAnswer, Class::Transport),
        (Break::HalfAnswer, Class::Transport),
        (Break::html(200), Class::Content),
        (Break::html(404), Class::Content),
        (Break::status(204), Class::Content),
        (Break::status(401), Class::Auth),
        (Break::status(403), Class::Permission),
        (Break::status(404), Class::Permission),
        (Break::status(200), Class::Content),
        (Break::status(200).body("["), Class::Content),
        (Break::status(200).body("{}"), Class::Content),
        (Break::status(200).body("null"), Class::Content),
        (Break::status(200).body("[{\"id\": 1}]"), Class::Content),
        (page_of("latest", "latest"), Class::Content),
        (page_of(&digest, "no tag"), Class::Content),
        (link("http://127.0.0.1:1/more"), Class::Content),
        (link("https://api.github.com/more"), Class::Content),
    ] {
        let context = format!("{fault:?}");
        ghcr.api_proxy
            .break_also(Rule::on("GET", "/versions?*&page=2", fault.clone()).always());
        let fault_found = at(&ghcr, APP).versions().await.unwrap_err();
        assert_eq!(fault_found.class, class, "{context}: {fault_found}");
        is_clean(&format!("{fault_found} {fault_found:?}"));
        ghcr.api_proxy.heal();
        // What passes does no harm.
        if fault_found.temporary() {
            let rule = Rule::on("GET", "/versions?*&page=2", fault);
            ghcr.api_proxy.break_also(rule);
            let found = listed(&at(&ghcr, APP)).await;
            assert_eq!(found, ghcr.packages().package(APP), "{context}");
            ghcr.api_proxy.heal();
        }
    }
}

#[tokio::test]
async fn ghcr_is_asked_on_where_a_page_has_lost_its_link() {
    let (ghcr, manifests) = filled(5).await;
    ghcr.packages().page(2);
    let rule = Rule::on("GET", "/versions?", Break::Without("link")).always();
    ghcr.api_proxy.break_also(rule);
    assert_eq!(listed(&at(&ghcr, APP)).await.len(), manifests.len());
    assert_eq!(ghcr.api_proxy.count("GET", "/versions?"), 4);
}

#[tokio::test]
async fn ghcr_with_pages_without_end_gives_no_list() {
    let (ghcr, _) = filled(1).await;
    let next = format!(
        "<{}/orgs/acme/packages/container/app/versions?>; rel=\"next\"",
        ghcr.api()
    );
    let page = Break::status(200).body("[]").header("Link", next);
    ghcr.api_proxy
        .break_also(Rule::on("GET", "/versions?", page).always());
    let fault = at(&ghcr, APP).versions().await.unwrap_err();
    assert_eq!(fault.class, Class::Refused);
    assert!(fault.detail.contains("more than 1000 pages"), "{fault}");
}

#[tokio::test]
async fn ghcr_is_believed_about_an_owner_only_where_it_answers_with_one() {
    let (ghcr, _) = filled(1).await;
    for (fault, class) in [
        (Break::html(200), Class::Content),
        (Break::html(404), Class::Content),
        (Break::status(200).body("[]"), Class::Content),
        (
            Break::status(200).body("{\"login\": \"acme\"}"),
            Class::Content,
        ),
        (Break::HalfAnswer, Class::Transport),
        (Break::status(404), Class::NotFound),
        (Break::status(500), Class::Server),
    ] {
        let context = format!("{fault:?}");
        ghcr.api_proxy
            .break_also(Rule::on("GET", "/users/acme", fault).always());
        let fault = at(&ghcr, APP).versions().await.unwrap_err();
        assert_eq!(fault.class, class, "{context}: {fault}");
        ghcr.api_proxy.heal();
    }
    assert_eq!(ghcr.api_proxy.count("GET", "/versions"), 0);
}

#[tokio::test]
async fn ghcr_without_a_package_or_a_login_is_no_empty_list() {
    let ghcr = Ghcr::start(USER, PASSWORD).await;
    let fault = at(&ghcr, APP).versions().await.unwrap_err();
    assert_eq!(fault.class, Class::Permission);
    // It stays so: nobody asks again.
    assert_eq!(ghcr.api_proxy.count("GET", "/versions?"), 1);
    let (anonymous, ..) = client(options_for(&ghcr), CredentialSource::anonymous());
    let anonymous = anonymous.repository(APP.parse().unwrap());
    let fault = anonymous.versions().await.unwrap_err();
    assert_eq!(fault.class, Class::Auth);
    assert_eq!(ghcr.api_proxy.count("GET", "/users/"), 1);
}
