//! Decides that every answer to a deletion is taken for what it means, and that only what is gone is called gone.
//! Must never take a registry's word for it: the real one behind is asked.

use super::*;
use crate::support::deletions::deletion_of;
use crate::support::faults::{Fault as Break, Rule};
use crate::support::registries::{Auth, RegistryProcess};
use rpub::model::fault::Class;
use rpub::model::retention::{Deleted, Refusal};

async fn delete(image: &Image, on: &Remote) -> Result<Deleted, Fault> {
    on.delete(&deletion_of(image.manifest.digest())).await
}

/// An image that is in `o/app`, and a proxy that breaks each deletion of it.
async fn broken(registry: &RegistryProcess, rule: Rule) -> (Image, Proxy) {
    let image = Image::new();
    image.push(&app(registry.host())).await.unwrap();
    (
        image,
        Proxy::before(registry.host()).rule(rule).start().await,
    )
}

fn on_delete(fault: Break) -> Rule {
    Rule::on("DELETE", "/manifests/", fault)
}

async fn is_there(image: &Image, registry: &RegistryProcess) -> bool {
    let found = app(registry.host()).resolve(&image.by_digest()).await;
    found.unwrap().is_some()
}

#[tokio::test]
async fn a_manifest_goes_with_its_tags() {
    let registry = RegistryProcess::start(&Auth::None);
    let image = Image::new();
    let app = app(registry.host());
    image.push(&app).await.unwrap();
    assert_eq!(delete(&image, &app).await.unwrap(), Deleted::Now);
    assert_eq!(app.resolve(&tag("1.2.3")).await.unwrap(), None);
    assert!(registry.manifests("o/app").is_empty());
    assert_eq!(delete(&image, &app).await.unwrap(), Deleted::Before);
}

#[tokio::test]
async fn a_registry_that_deletes_nothing_says_so_once() {
    let registry = RegistryProcess::without_deletion(&Auth::None);
    let proxy = Proxy::before(registry.host()).start().await;
    let (image, app) = (Image::new(), through(&proxy));
    image.push(&app).await.unwrap();
    let never = Deleted::Refused(Refusal::Never);
    assert_eq!(delete(&image, &app).await.unwrap(), never);
    assert_eq!(proxy.count("DELETE", ""), 1);
    image.check(&app).await;
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let registry = RegistryProcess::start(&Auth::None);
    for (fault, deletions) in [
        (Break::status(403), 2),
        (Break::status(429).header("Retry-After", "1"), 2),
        (Break::status(500), 2),
        (Break::html(502), 2),
        (Break::html(200), 2),
        (Break::html(404), 2),
        (Break::Reset, 2),
        // It did as it was told: to look is enough.
        (Break::LoseAnswer, 1),
        (Break::HalfAnswer, 1),
    ] {
        let context = format!("{fault:?}");
        let (image, proxy) = broken(&registry, on_delete(fault)).await;
        let deleted = delete(&image, &through(&proxy)).await;
        assert_eq!(deleted.unwrap(), Deleted::Now, "{context}");
        assert_eq!(proxy.count("DELETE", ""), deletions, "{context}");
        assert!(!is_there(&image, &registry).await, "{context}");
    }
}

fn said(status: u16, code: &str, message: &str) -> Break {
    let error = serde_json::json!({"errors": [{"code": code, "message": message}]});
    Break::status(status).body(&error.to_string())
}

#[tokio::test]
async fn a_lasting_refusal_has_its_reason() {
    let registry = RegistryProcess::start(&Auth::None);
    let words = "manifest is referenced by a manifest list";
    let used = "the artifact is in use";
    for (fault, refusal, deletions) in [
        (Break::status(405), Refusal::Never, 1),
        (Break::html(405), Refusal::Never, 1),
        (said(400, "UNSUPPORTED", "no"), Refusal::Never, 1),
        (
            said(403, "DENIED", "access denied"),
            Refusal::NotPermitted,
            3,
        ),
        (Break::html(403), Refusal::NotPermitted, 3),
        (
            said(403, "DENIED", words),
            Refusal::InUse(words.to_owned()),
            3,
        ),
        (
            said(409, "CONFLICT", used),
            Refusal::InUse(used.to_owned()),
            1,
        ),
        // It says that it did, and did not.
        (Break::status(202), Refusal::Background, 1),
    ] {
        let context = format!("{fault:?}");
        let (image, proxy) = broken(&registry, on_delete(fault).always()).await;
        let deleted = delete(&image, &through(&proxy)).await;
        assert_eq!(deleted.unwrap(), Deleted::Refused(refusal), "{context}");
        assert_eq!(proxy.count("DELETE", ""), deletions, "{context}");
        assert!(is_there(&image, &registry).await, "{context}");
    }
}

#[tokio::test]
async fn what_says_nothing_about_it_is_a_fault() {
    let registry = RegistryProcess::start(&Auth::None);
    for (fault, class, deletions) in [
        (Break::status(401), Class::Auth, 1),
        (said(400, "MANIFEST_INVALID", "no"), Class::Refused, 1),
        (Break::status(412), Class::Refused, 1),
        (Break::status(429), Class::RateLimit, 3),
        (Break::status(500), Class::Server, 3),
        (Break::html(503), Class::Server, 3),
        (Break::html(200), Class::Content, 3),
        (Break::html(202), Class::Content, 3),
        (Break::html(404), Class::Content, 3),
        (Break::Reset, Class::Transport, 3),
    ] {
        let context = format!("{fault:?}");
        let (image, proxy) = broken(&registry, on_delete(fault).always()).await;
        let fault = delete(&image, &through(&proxy)).await.unwrap_err();
        assert_eq!(fault.class, class, "{context}: {fault}");
        let asked = format!("DELETE http://{}/v2/o/app/manifests/", proxy.host());
        if class != Class::Auth {
            assert!(fault.request.starts_with(&asked), "{context}: {fault}");
        }
        assert_eq!(proxy.count("DELETE", ""), deletions, "{context}");
        assert!(is_there(&image, &registry).await, "{context}");
    }
}

#[tokio::test]
async fn to_be_refused_what_is_not_there_is_no_refusal() {
    let registry = RegistryProcess::start(&Auth::None);
    let (image, proxy) = broken(&registry, on_delete(Break::status(403)).always()).await;
    let direct = app(registry.host());
    assert_eq!(delete(&image, &direct).await.unwrap(), Deleted::Now);
    let deleted = delete(&image, &through(&proxy)).await;
    assert_eq!(deleted.unwrap(), Deleted::Now);
    assert_eq!(proxy.count("DELETE", ""), 1);
}

#[tokio::test]
async fn a_page_is_no_proof_that_it_is_gone() {
    let registry = RegistryProcess::start(&Auth::None);
    for deletion in [202, 500] {
        let rule = on_delete(Break::status(deletion)).always();
        let (image, proxy) = broken(&registry, rule).await;
        proxy.break_also(Rule::on("HEAD", "/manifests/", Break::html(404)).always());
        let fault = delete(&image, &through(&proxy)).await.unwrap_err();
        assert_eq!(fault.class, Class::Content, "{deletion}: {fault}");
        assert!(is_there(&image, &registry).await, "{deletion}");
    }
}

#[tokio::test]
async fn a_token_that_may_not_delete_is_a_matter_of_permission() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host())
        .tokens(USER, PASSWORD)
        .start()
        .await;
    let app = logged_in(&proxy);
    let image = Image::new();
    image.push(&app).await.unwrap();
    // As distribution says it where the token service gave out less than was asked for.
    let realm = format!(
        "Bearer realm=\"http://{}/token\",service=\"registry.test\",scope=\"repository:o/app:delete\",error=\"insufficient_scope\"",
        proxy.host()
    );
    let refuse = Break::status(401).header("WWW-Authenticate", realm);
    proxy.break_also(on_delete(refuse).always());
    let refused = Deleted::Refused(Refusal::NotPermitted);
    assert_eq!(delete(&image, &app).await.unwrap(), refused);
    image.check(&app).await;
}
