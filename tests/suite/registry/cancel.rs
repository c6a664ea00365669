//! Decides that a user who asks to stop is heard, in the middle of whatever goes on.
//! Must never leave anything half visible: an upload that was stopped is no blob.

use super::*;
use crate::support::faults::{Fault as Break, Rule};
use crate::support::registries::{Auth, RegistryProcess};
use rpub::model::fault::Class;

#[tokio::test]
async fn an_upload_is_stopped_half_way() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host()).start().await;
    let (client, mut told, cancel) = client(options(proxy.host()), CredentialSource::anonymous());
    let app = client.repository("o/app".parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let large = blob(&folder, "large", &vec![7; 64 * 1024 * 1024]);
    let uploading = app.put_blob(&large, &[]);
    let stop = async {
        while let Some(event) = told.recv().await {
            if let Event::Progress { .. } = event {
                cancel.cancel();
                return;
            }
        }
    };
    let (done, ()) = tokio::join!(uploading, stop);
    assert_eq!(done.unwrap_err().class, Class::Cancelled);
    // Nothing begins any more.
    let fault = app.tags().await.unwrap_err();
    assert_eq!(fault.class, Class::Cancelled);
    assert_eq!(
        super::app(registry.host())
            .blob_size(large.digest)
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_wait_and_a_silence_are_stopped() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host())
        .rule(Rule::on(
            "HEAD",
            "/blobs/",
            Break::status(429).header("Retry-After", "200"),
        ))
        .rule(Rule::on("GET", "/tags/", Break::Silence))
        .start()
        .await;
    let missing = Digest::of(b"nowhere");
    let (registry, mut told, cancel) = client(options(proxy.host()), CredentialSource::anonymous());
    let app = registry.repository("o/app".parse().unwrap());
    let (done, ()) = tokio::join!(app.blob_size(missing), async {
        assert!(matches!(told.recv().await, Some(Event::Waiting { .. })));
        cancel.cancel();
    });
    assert_eq!(done.unwrap_err().class, Class::Cancelled);

    let (registry, _told, cancel) = client(options(proxy.host()), CredentialSource::anonymous());
    let app = registry.repository("o/app".parse().unwrap());
    let (done, ()) = tokio::join!(app.tags(), async {
        while proxy.count("GET", "/tags/") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    });
    assert_eq!(done.unwrap_err().class, Class::Cancelled);
}
