//! Decides when a blob goes on to the targets before it is whole, and which of them then have it.
//! Must never fail a push, nor let a target finish what was not checked: whatever goes wrong, the whole blob is sent after all.

use super::{fanout::Targets, session::Session, upload::Upload};
use crate::events::Sent;
use crate::model::{digest::Digest, fault::Fault, reference::Place};
use crate::target::{Growing, LocalBlob, Target};
use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

/// A blob that is smaller costs fewer requests when it is whole.
const ENOUGH: u64 = 8 * 1024 * 1024;

/// What is on its way to the targets, in their order; none to those that it is not sent to. Dropped, it is given up.
#[derive(Default)]
pub(super) struct Ahead(Vec<Option<Way>>);

/// One upload that follows what is written.
pub(super) struct Way {
    /// Dropped without a word, it is given up.
    whole: watch::Sender<Option<(Digest, u64)>>,
    begun: Arc<OnceLock<Instant>>,
    task: JoinHandle<Result<bool, Fault>>,
}

impl Ahead {
    /// One for each target, in their order.
    pub(super) fn ways(self) -> impl Iterator<Item = Option<Way>> {
        self.0.into_iter()
    }
}

impl Session {
    /// Sends an upload on while it comes, from [`ENOUGH`] on. Where its digest is known, a target that has the blob or
    /// can take it over from where it lives is spared.
    pub(super) fn send_ahead(
        self: &Arc<Self>,
        targets: &Targets,
        upload: &Upload,
        known: Option<(Digest, &Place)>,
    ) -> Ahead {
        let Ok((file, written)) = upload.growth() else {
            return Ahead::default();
        };
        let file = Arc::new(file);
        let way = |target: &Arc<dyn Target>| {
            if known.is_some_and(|(_, place)| target.repository().place == *place) {
                return None;
            }
            let (whole, verdict) = watch::channel(None);
            let begun = Arc::default();
            let follow = follow(
                Arc::clone(target),
                Growing {
                    file: Arc::clone(&file),
                    written: written.clone(),
                    whole: verdict,
                },
                known.map(|(digest, _)| digest),
                self.state().permits_ahead(target.repository()),
                Arc::clone(&begun),
            );
            let cancel = self.cancel.clone();
            let task = self.tasks.spawn(async move {
                let followed = cancel.run_until_cancelled(follow).await;
                followed.unwrap_or(Ok(false))
            });
            Some(Way { whole, begun, task })
        };
        Ahead(targets.iter().map(way).collect())
    }
}

/// Waits until there is enough of it, and uploads it; false where nothing was sent.
async fn follow(
    target: Arc<dyn Target>,
    mut growing: Growing,
    known: Option<Digest>,
    permits: Arc<Semaphore>,
    begun: Arc<OnceLock<Instant>>,
) -> Result<bool, Fault> {
    let enough = |bytes: &u64| *bytes >= ENOUGH;
    let grown = growing.written.wait_for(enough).await.is_ok();
    if !grown {
        return Ok(false);
    }
    if let Some(digest) = known
        && target.blob_size(digest).await?.is_some()
    {
        return Ok(false);
    }
    // Whoever has to wait may as well wait until it is whole.
    let Ok(_permit) = permits.try_acquire() else {
        return Ok(false);
    };
    let _ = begun.set(Instant::now());
    let repository = target.repository().to_string();
    let sent = target.put_growing(growing).await;
    sent.inspect_err(
        |fault| tracing::info!(%fault, repository, "it is sent again when it is whole"),
    )
}

impl Way {
    /// This upload and for how many milliseconds it has been under way, if it has begun and not ended.
    pub(super) fn begun(self) -> Option<(Way, u64)> {
        let since = self.begun.get()?.elapsed().as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        (!self.task.is_finished()).then_some((self, since))
    }

    /// Lets it come to its end, now that the blob is whole; None where it has to be sent in another way. What the target
    /// turns out to have is not sent to the end.
    pub(super) async fn finish(self, target: &Arc<dyn Target>, blob: &LocalBlob) -> Option<Sent> {
        let Ok(None) = target.blob_size(blob.digest).await else {
            return None;
        };
        // An error means that it has ended by itself, which its task tells.
        let _ = self.whole.send(Some((blob.digest, blob.size)));
        let sent = self.task.await;
        matches!(sent, Ok(Ok(true))).then_some(Sent::Uploaded)
    }
}
