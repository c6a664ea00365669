//! Decides that what a registry says is checked: lists of tags, digests, and what it really stored.
//! Must never take a wrong answer for a right one.

use super::*;
use crate::support::faults::{Fault as Break, Rule, one_by_one};
use crate::support::proxy::Builder;
use crate::support::registries::{Auth, RegistryProcess};
use rpub::model::fault::Class;

#[tokio::test]
async fn a_manifest_that_was_stored_otherwise_is_noticed() {
    let registry = RegistryProcess::start(&Auth::None);
    let image = Image::new();
    // A real registry that got a byte more stores something else, under the tag, and says 201.
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("PUT", "/manifests/1.2.3", Break::AlterBody).always())
        .start()
        .await;
    let fault = image.push(&through(&proxy)).await.unwrap_err();
    assert_eq!(fault.class, Class::Content);
    assert_eq!(proxy.count("PUT", "/manifests/1.2.3"), 3);

    // One that says the right digest but answers another afterwards.
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("HEAD", "/manifests/1.2.3", Break::WrongDigest).always())
        .start()
        .await;
    let fault = image.push(&through(&proxy)).await.unwrap_err();
    assert_eq!(fault.class, Class::Content);
    assert!(fault.detail.contains("it was sent"), "{fault}");

    // One that says 201 and has nothing.
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("PUT", "/manifests/9.9.9", Break::status(201)).always())
        .start()
        .await;
    let app = through(&proxy);
    let fault = app
        .put_manifest(&tag("9.9.9"), &image.manifest)
        .await
        .unwrap_err();
    assert_eq!(fault.class, Class::Content);
    assert!(fault.detail.contains("does not have it"), "{fault}");
}

#[tokio::test]
async fn bytes_of_another_digest_are_not_even_sent() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host()).start().await;
    let image = Image::new();
    let another = Digest::of(b"another").into();
    let fault = through(&proxy)
        .put_manifest(&another, &image.manifest)
        .await
        .unwrap_err();
    assert_eq!(fault.class, Class::Refused);
    assert!(proxy.seen().is_empty());
}

#[tokio::test]
async fn a_manifest_that_is_none_is_refused() {
    let registry = RegistryProcess::start(&Auth::None);
    let json = |text: &str| Break::status(200).body(text);
    for (fault, words) in [
        (Break::html(200), "a web page"),
        (json("{}"), "not a manifest"),
        (json(&" ".repeat(5 * 1024 * 1024)), "longer than"),
        (Break::WrongDigest, "says it stored"),
    ] {
        let proxy = Proxy::before(registry.host())
            .rule(Rule::on("GET", "/manifests/", fault).always())
            .start()
            .await;
        let image = Image::new();
        let app = through(&proxy);
        image.push(&app).await.unwrap();
        let fault = app.read_manifest(&tag("1.2.3")).await.unwrap_err();
        assert_eq!(fault.class, Class::Content, "{fault}");
        assert!(fault.detail.contains(words), "{fault}");
    }
}

#[tokio::test]
async fn a_head_without_a_digest_is_made_up_for_by_a_get() {
    let registry = RegistryProcess::start(&Auth::None);
    let silent = Break::status(200).header("Docker-Content-Digest", "none of your business");
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("HEAD", "/manifests/", silent).always())
        .start()
        .await;
    let image = Image::new();
    let app = through(&proxy);
    image.push(&app).await.unwrap();
    image.check(&app).await;
    assert!(proxy.count("GET", "/manifests/1.2.3") > 0);
}

fn page(tags: &[&str], next: Option<&str>) -> Break {
    let body = serde_json::json!({"name": "o/app", "tags": tags}).to_string();
    let page = Break::status(200).body(&body);
    match next {
        Some(next) => page.header("Link", format!("<{next}>; rel=\"next\"")),
        None => page,
    }
}

/// docker-registry 2.8 gives all tags at once, so that the pages are scripted.
async fn tags_of(
    registry: &RegistryProcess,
    first: Break,
    second: Break,
) -> Result<Vec<String>, Fault> {
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("GET", "/tags/list?n=1000&last=", page(&[], None)).always())
        .rule(Rule::on("GET", "/tags/list?last=", second))
        .rule(Rule::on("GET", "/tags/list", first).always())
        .start()
        .await;
    let tags = through(&proxy).tags().await?;
    Ok(tags.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn tags_are_read_to_the_last_page() {
    let registry = RegistryProcess::start(&Auth::None);
    let next = "/v2/o/app/tags/list?last=b&n=2";
    let first = || page(&["c", "b"], Some(next));
    let tags = tags_of(&registry, first(), page(&["a", "b"], None)).await;
    assert_eq!(tags.unwrap(), ["a", "b", "c"]);
    // Where the second page fails, only that one is asked for again.
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("GET", "/tags/list?last=", Break::status(502)))
        .rule(Rule::on("GET", "/tags/list?last=", page(&["a"], None)))
        .rule(Rule::on("GET", "/tags/list", first()))
        .rule(Rule::on("GET", "/tags/list?n=1000&last=a", page(&[], None)))
        .start()
        .await;
    assert_eq!(through(&proxy).tags().await.unwrap().len(), 3);
    assert_eq!(proxy.count("GET", "/tags/list"), 4);
}

#[tokio::test]
async fn a_list_of_tags_without_its_link_is_asked_on_to_its_end() {
    let registry = RegistryProcess::start(&Auth::None);
    // As it orders them, which need not be by name.
    let proxy = Proxy::before(registry.host());
    let rules = one_by_one("o/app", &["v10", "v9", "latest", "a"]);
    let proxy = rules.into_iter().fold(proxy, Builder::rule);
    let proxy = proxy.start().await;
    let app = through(&proxy);
    let tags = app.tags().await.unwrap();
    let texts: Vec<&str> = tags
        .iter()
        .map(rpub::model::reference::Tag::as_str)
        .collect();
    assert_eq!(texts, ["a", "latest", "v10", "v9"]);
    assert_eq!(proxy.count("GET", "/tags/list"), 5);
    assert!(app.tag_list().await.unwrap().doubt.is_none());
    // One that cannot be asked on tells everything again: Debian's does.
    let image = Image::new();
    let direct = super::app(registry.host());
    image.push(&direct).await.unwrap();
    assert!(direct.tag_list().await.unwrap().doubt.is_none());
    assert_eq!(direct.tags().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_registry_that_cannot_be_asked_on_leaves_a_doubt() {
    let registry = RegistryProcess::start(&Auth::None);
    for (fault, class) in [
        (400, Class::Refused),
        (404, Class::NotFound),
        (405, Class::Refused),
    ] {
        let proxy = Proxy::before(registry.host())
            .rule(Rule::on("GET", "&last=", Break::status(fault)).always())
            .rule(Rule::on("GET", "/tags/list", page(&["a"], None)).always())
            .start()
            .await;
        let list = through(&proxy).tag_list().await.unwrap();
        assert_eq!(list.tags.len(), 1);
        assert_eq!(list.doubt.unwrap().class, class);
    }
    for (fault, class) in [
        (Break::status(403), Class::Permission),
        (Break::status(500), Class::Server),
        (Break::html(200), Class::Content),
        (Break::Reset, Class::Transport),
    ] {
        let proxy = Proxy::before(registry.host())
            .rule(Rule::on("GET", "&last=", fault).always())
            .rule(Rule::on("GET", "/tags/list", page(&["a"], None)).always())
            .start()
            .await;
        let fault = through(&proxy).tag_list().await.unwrap_err();
        assert_eq!(fault.class, class, "{fault}");
    }
}

#[tokio::test]
async fn a_list_of_tags_without_end_is_not_held_in_memory() {
    let registry = RegistryProcess::start(&Auth::None);
    // 4 MiB of tags that are new each time, page after page.
    let many: Vec<String> = (0..30_000)
        .map(|number| format!("{number:0>128}"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let endless = page(&many, Some("/v2/o/app/tags/list?n=1"));
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("GET", "/tags/list", endless).always())
        .start()
        .await;
    let app = through(&proxy);
    let fault = app.tags().await.unwrap_err();
    assert_eq!(fault.class, Class::Refused);
    assert!(fault.detail.contains("more than 16 MiB of tags"), "{fault}");
    assert_eq!(proxy.count("GET", "/tags/list"), 5);
}

#[tokio::test]
async fn a_list_of_tags_with_holes_is_none() {
    let registry = RegistryProcess::start(&Auth::None);
    let next = "/v2/o/app/tags/list?last=b";
    let elsewhere = page(&["a"], Some("http://127.0.0.1:1/v2/o/app/tags/list"));
    let none = || page(&[], None);
    for (first, second) in [
        (elsewhere, none()),
        (page(&["not a tag"], None), none()),
        (Break::status(200).body("[]"), none()),
        (Break::html(200), none()),
        (Break::html(404), none()),
    ] {
        let fault = tags_of(&registry, first, second).await.unwrap_err();
        assert_eq!(fault.class, Class::Content, "{fault}");
    }
    let cut = tags_of(&registry, page(&["a"], Some(next)), Break::status(404)).await;
    assert_eq!(cut.unwrap_err().class, Class::NotFound);
    // The same page again and again.
    let endless = page(&["a"], Some("/v2/o/app/tags/list?n=1"));
    let fault = tags_of(&registry, endless, none()).await.unwrap_err();
    assert_eq!(fault.class, Class::Refused);
}

#[tokio::test]
async fn a_blob_that_breaks_off_goes_on_where_it_was() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("GET", "/blobs/", Break::HalfAnswer))
        .rule(Rule::on("GET", "/blobs/", Break::HalfAnswer))
        .rule(Rule::on("GET", "/blobs/", Break::status(503)))
        .start()
        .await;
    let image = Image::new();
    let app = through(&proxy);
    image.push(&app).await.unwrap();
    let bytes = read_all(&app, image.layer.digest).await.unwrap();
    assert_eq!(Digest::of(&bytes), image.layer.digest);
    assert_eq!(proxy.count("GET", "/blobs/"), 4);

    let proxy = Proxy::before(registry.host())
        .rule(Rule::on("GET", "/blobs/", Break::HalfAnswer).always())
        .start()
        .await;
    // Each answer gives half of what is left, until half is nothing: then the tries are counted.
    let fault = read_all(&through(&proxy), image.layer.digest)
        .await
        .unwrap_err();
    assert_eq!(fault.class, Class::Transport);
    assert!(fault.detail.contains("unexpected end"), "{fault}");
}

#[tokio::test]
async fn a_file_that_changed_is_our_own_fault() {
    let registry = RegistryProcess::start(&Auth::None);
    let image = Image::new();
    let app = app(registry.host());
    std::fs::write(&image.layer.path, "shorter").unwrap();
    let fault = app.put_blob(&image.layer, &[]).await.unwrap_err();
    assert_eq!(fault.class, Class::Storage);
    std::fs::remove_file(&image.layer.path).unwrap();
    let fault = app.put_blob(&image.layer, &[]).await.unwrap_err();
    assert_eq!(fault.class, Class::Storage);
}
