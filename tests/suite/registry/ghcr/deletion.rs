//! Decides that a version is deleted only as it was decided upon, and that every refusal of GitHub has its reason.
//! Must never take GitHub's word for it: the registry behind it is asked.

use super::*;
use crate::support::deletions::deletion_of;
use crate::support::faults::Hold;
use rpub::model::retention::{Deleted, Deletion, Holdings, Links, Look, Refusal, Wish, decide};

fn is_there(ghcr: &Ghcr, digest: Digest) -> bool {
    ghcr.behind().manifests(APP).contains_key(&digest)
}

fn on_delete(fault: Break) -> Rule {
    Rule::on("DELETE", "/versions/", fault)
}

fn said(status: u16, message: &str) -> Break {
    let body = serde_json::json!({"message": message, "status": status.to_string()});
    Break::status(status).body(&body.to_string())
}

/// The deletion of a signature of something that goes: with the tag that makes it one.
pub(super) fn signature(of: Digest, digest: Digest) -> Deletion {
    let sig = format!("sha256-{}.sig", of.hex()).parse().unwrap();
    let there = || Look::There(Links::default());
    let holdings = Holdings {
        tags: BTreeMap::from([(sig, digest)]),
        manifests: BTreeMap::from([(of, there()), (digest, there())]),
        ..Holdings::default()
    };
    let wish = Wish {
        superseded: vec![of],
        ..Wish::default()
    };
    let decision = decide(&holdings, &wish).unwrap();
    let mut deletions = decision.deletions.into_iter();
    deletions.find(|one| one.digest() == digest).unwrap()
}

/// The tag of [`signature`].
pub(super) fn signature_tag(of: Digest) -> Reference {
    tag(&format!("sha256-{}.sig", of.hex()))
}

#[tokio::test]
async fn ghcr_deletes_one_version_and_no_other() {
    let (ghcr, manifests) = filled(4).await;
    ghcr.packages().page(2);
    let app = at(&ghcr, APP);
    let digest = manifests[2].digest();
    let deleted = app.delete(&deletion_of(digest)).await.unwrap();
    assert_eq!(deleted, Deleted::Now);
    let left: Vec<Digest> = ghcr.behind().manifests(APP).into_keys().collect();
    let mut expected = [0, 1, 3].map(|number: usize| manifests[number].digest());
    expected.sort_unstable();
    assert_eq!(left, expected);
    assert_eq!(ghcr.behind().tags(APP)["latest"], manifests[0].digest());
    for app in [&app, &at(&ghcr, APP)] {
        let deleted = app.delete(&deletion_of(digest)).await.unwrap();
        assert_eq!(deleted, Deleted::Before);
    }
    assert_eq!(ghcr.api_proxy.count("DELETE", ""), 1);
    // The registry itself is never asked to delete.
    assert_eq!(ghcr.proxy.count("DELETE", ""), 0);
}

#[tokio::test]
async fn ghcr_keeps_what_was_tagged_since() {
    let (ghcr, manifests) = filled(3).await;
    let (image, sig) = (manifests[1].digest(), manifests[2].digest());
    let (app, behind) = (at(&ghcr, APP), behind(&ghcr, APP));
    app.versions().await.unwrap();
    for (number, name) in [
        (1, tag("stable")),
        (2, signature_tag(image)),
        (2, tag("mine")),
    ] {
        behind
            .put_manifest(&name, &manifests[number])
            .await
            .unwrap();
    }
    for (deletion, name) in [
        (deletion_of(image), "stable"),
        (signature(image, sig), "mine"),
    ] {
        let tagged = Refusal::Tagged(vec![name.parse().unwrap()]);
        let deleted = app.delete(&deletion).await.unwrap();
        assert_eq!(deleted, Deleted::Refused(tagged));
    }
    assert_eq!(ghcr.api_proxy.count("DELETE", ""), 0);
    assert_eq!(ghcr.packages().package(APP).len(), 3);
}

#[tokio::test]
async fn ghcr_keeps_the_last_version_with_a_tag() {
    let (ghcr, manifests) = filled(2).await;
    let (image, sig) = (manifests[0].digest(), manifests[1].digest());
    let (app, behind) = (at(&ghcr, APP), behind(&ghcr, APP));
    behind
        .put_manifest(&signature_tag(image), &manifests[1])
        .await
        .unwrap();
    // `latest` moves away, so that the signature's tag is the only one.
    behind.delete(&deletion_of(image)).await.unwrap();
    let deletion = signature(image, sig);
    let last = Deleted::Refused(Refusal::LastTagged);
    assert_eq!(app.delete(&deletion).await.unwrap(), last);
    assert!(is_there(&ghcr, sig));
    fill(&ghcr, APP, 1).await;
    assert_eq!(app.delete(&deletion).await.unwrap(), Deleted::Now);
    assert!(!is_there(&ghcr, sig));
}

#[tokio::test]
async fn ghcr_refuses_with_reasons() {
    let (ghcr, manifests) = filled(3).await;
    let digest = manifests[1].digest();
    ghcr.packages().popular(digest);
    let popular = Deleted::Refused(Refusal::Popular);
    let not_permitted = Deleted::Refused(Refusal::NotPermitted);
    let app = at(&ghcr, APP);
    assert_eq!(app.delete(&deletion_of(digest)).await.unwrap(), popular);
    ghcr.packages().may_delete(false);
    let other = manifests[2].digest();
    assert_eq!(
        app.delete(&deletion_of(other)).await.unwrap(),
        not_permitted
    );
    ghcr.packages().may_delete(true);
    let asked = ghcr.api_proxy.count("DELETE", "");
    assert_eq!(asked, 2, "each was asked for once");
    let words = "Publicly visible package versions with more than 5000 downloads cannot be deleted. Contact GitHub support for further assistance.";
    let last = "You cannot delete the last tagged version of a package. You must delete the package instead.";
    for (fault, expected) in [
        (said(422, words), popular),
        (said(422, last), Deleted::Refused(Refusal::LastTagged)),
        (
            said(403, "Resource not accessible by integration"),
            not_permitted.clone(),
        ),
        (said(404, "Package not found."), not_permitted),
    ] {
        let context = format!("{fault:?}");
        ghcr.api_proxy.break_also(on_delete(fault).always());
        let deleted = at(&ghcr, APP).delete(&deletion_of(other)).await.unwrap();
        assert_eq!(deleted, expected, "{context}");
        ghcr.api_proxy.heal();
    }
    assert_eq!(ghcr.api_proxy.count("DELETE", ""), asked + 4);
    let (anonymous, ..) = client(options_for(&ghcr), CredentialSource::anonymous());
    let anonymous = anonymous.repository(APP.parse().unwrap());
    let deleted = anonymous.delete(&deletion_of(other)).await.unwrap();
    assert_eq!(deleted, Deleted::Refused(Refusal::NotLoggedIn));
    assert_eq!(ghcr.packages().package(APP).len(), 3);
}

#[tokio::test]
async fn ghcr_deletes_after_what_passes() {
    let limit = "You have exceeded a secondary rate limit";
    for (fault, deletions) in [
        (Break::status(500), 2),
        (Break::html(502), 2),
        (Break::html(200), 2),
        (Break::html(404), 2),
        (Break::Reset, 2),
        (said(403, limit).header("Retry-After", "1"), 2),
        (said(429, limit).header("Retry-After", "1"), 2),
        // GitHub did it: to look is enough.
        (Break::LoseAnswer, 1),
        (Break::HalfAnswer, 1),
    ] {
        let context = format!("{fault:?}");
        let (ghcr, manifests) = filled(2).await;
        let digest = manifests[1].digest();
        ghcr.api_proxy.break_also(on_delete(fault));
        let deleted = at(&ghcr, APP).delete(&deletion_of(digest)).await;
        assert_eq!(deleted.unwrap(), Deleted::Now, "{context}");
        assert_eq!(ghcr.api_proxy.count("DELETE", ""), deletions, "{context}");
        assert!(!is_there(&ghcr, digest), "{context}");
    }
}

#[tokio::test]
async fn ghcr_deletes_nothing_where_it_cannot_look_or_is_not_answered() {
    let (ghcr, manifests) = filled(2).await;
    let digest = manifests[1].digest();
    let look = |fault| Rule::on("GET", "/versions/", fault).always();
    let remove = |fault| on_delete(fault).always();
    for (rule, class, deletions) in [
        (look(Break::status(500)), Class::Server, 0),
        (look(Break::status(403)), Class::Permission, 0),
        (look(Break::html(404)), Class::Content, 0),
        (look(Break::html(200)), Class::Content, 0),
        (look(Break::status(200).body("[]")), Class::Content, 0),
        (look(Break::HalfAnswer), Class::Transport, 0),
        (remove(Break::status(401)), Class::Auth, 1),
        (remove(said(422, "no")), Class::Refused, 1),
        (remove(Break::status(500)), Class::Server, 3),
        (remove(Break::html(200)), Class::Content, 3),
        (remove(Break::html(404)), Class::Content, 3),
        (remove(Break::Reset), Class::Transport, 3),
    ] {
        let before = ghcr.api_proxy.count("DELETE", "");
        ghcr.api_proxy.break_also(rule);
        let fault = at(&ghcr, APP)
            .delete(&deletion_of(digest))
            .await
            .unwrap_err();
        assert_eq!(fault.class, class, "{fault}");
        assert_eq!(
            ghcr.api_proxy.count("DELETE", "") - before,
            deletions,
            "{fault}"
        );
        assert!(is_there(&ghcr, digest), "{fault}");
        ghcr.api_proxy.heal();
    }
}

#[tokio::test]
async fn ghcr_is_asked_to_delete_nothing_else_under_the_same_id() {
    let (ghcr, manifests) = filled(2).await;
    let other = serde_json::json!({
        "id": 1, "name": manifests[0].digest(),
        "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
    });
    let other = Break::status(200).body(&other.to_string());
    ghcr.api_proxy
        .break_also(Rule::on("GET", "/versions/", other).always());
    let deleted = at(&ghcr, APP)
        .delete(&deletion_of(manifests[1].digest()))
        .await;
    let Deleted::Refused(Refusal::Other(why)) = deleted.unwrap() else {
        panic!("it is another manifest");
    };
    assert!(why.contains(&manifests[0].digest().to_string()), "{why}");
    assert_eq!(ghcr.api_proxy.count("DELETE", ""), 0);
}

#[tokio::test]
async fn ghcr_has_deleted_what_somebody_else_was_quicker_with() {
    let (ghcr, manifests) = filled(2).await;
    let (app, behind) = (at(&ghcr, APP), behind(&ghcr, APP));
    let deletion = deletion_of(manifests[1].digest());
    let hold = Hold::default();
    ghcr.api_proxy
        .break_also(on_delete(Break::Held(hold.clone())));
    let (deleted, ()) = tokio::join!(app.delete(&deletion), async {
        hold.has_come().await;
        assert_eq!(behind.delete(&deletion).await.unwrap(), Deleted::Now);
        hold.let_go();
    });
    assert_eq!(deleted.unwrap(), Deleted::Now);
}

#[tokio::test]
async fn ghcr_deletes_what_was_pushed_again_after_somebody_deleted_it() {
    let (ghcr, manifests) = filled(2).await;
    let deletion = deletion_of(manifests[1].digest());
    let app = at(&ghcr, APP);
    app.versions().await.unwrap();
    let other = at(&ghcr, APP).delete(&deletion).await;
    assert_eq!(other.unwrap(), Deleted::Now);
    fill(&ghcr, APP, 2).await;
    // It has another id than the one that was listed.
    assert_eq!(app.delete(&deletion).await.unwrap(), Deleted::Now);
    assert!(!is_there(&ghcr, deletion.digest()));
    assert_eq!(app.delete(&deletion).await.unwrap(), Deleted::Before);
    assert!(app.restore(deletion.digest()).await.unwrap());
    assert!(is_there(&ghcr, deletion.digest()));
}
