//! Decides that many uploads to one host share its wishes: who is asked to wait waits for all.
//! Must never count on how fast this machine is.

use super::*;
use crate::support::faults::{Fault as Break, Rule};
use crate::support::registries::{Auth, RegistryProcess};
use futures::future::join_all;
use rpub::model::fault::Class;

const CROWD: usize = 50;
/// What may be under way when the first answer comes, and some to find out whether the host answers again.
const HANDFUL: usize = 16 + 4;

/// That many blobs of their own; the folder holds them.
fn blobs() -> (TempDir, Vec<LocalBlob>) {
    let folder = tempfile::tempdir().unwrap();
    let blob = |number: usize| {
        let text = format!("blob {number}");
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, &text).unwrap();
        LocalBlob {
            digest: Digest::of(text.as_bytes()),
            size: text.len() as u64,
            path,
        }
    };
    let blobs = (0..CROWD).map(blob).collect();
    (folder, blobs)
}

async fn upload(proxy: &Proxy) -> Vec<Result<Sent, rpub::model::fault::Fault>> {
    let (client, ..) = client(options(proxy.host()), CredentialSource::anonymous());
    let app = client.repository("o/app".parse().unwrap());
    let (_folder, blobs) = blobs();
    join_all(blobs.iter().map(|blob| app.put_blob(blob, &[]))).await
}

/// Requests that came after the first 429 was answered.
fn after_the_first_refusal(proxy: &Proxy) -> usize {
    let seen = proxy.seen();
    let refused = seen.iter().filter(|one| one.status == Some(429));
    let first = refused.filter_map(|one| one.answered).min().unwrap();
    seen.iter().filter(|one| one.came > first).count()
}

#[tokio::test]
async fn a_crowd_that_is_refused_sends_a_handful_of_requests() {
    let registry = RegistryProcess::start(&Auth::None);
    // The first request of an upload, so that this host takes nothing at all.
    let rule = Rule::on("HEAD", "/blobs/", Break::status(429)).always();
    let proxy = Proxy::before(registry.host()).rule(rule).start().await;
    for outcome in upload(&proxy).await {
        assert_eq!(outcome.unwrap_err().class, Class::RateLimit);
    }
    let sent = after_the_first_refusal(&proxy);
    assert!(sent <= HANDFUL, "{sent} after the first 429");
    assert_eq!(proxy.count("POST", ""), 0);
}

/// All arrive in the end, and while the host wants to be left alone it is.
#[tokio::test]
async fn a_crowd_that_is_asked_to_wait_waits_and_arrives() {
    let registry = RegistryProcess::start(&Auth::None);
    let busy = Break::status(429).header("Retry-After", "1");
    let rule = Rule::on("POST", "/blobs/uploads/", busy);
    let proxy = Proxy::before(registry.host()).rule(rule).start().await;
    for outcome in upload(&proxy).await {
        assert_eq!(outcome.unwrap(), Sent::Uploaded);
    }
    // One refusal costs one request more, not one for each of the crowd.
    assert_eq!(proxy.count("POST", "/blobs/uploads/"), CROWD + 1);
}
