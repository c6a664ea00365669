//! Decides how a base's layer comes from where the base lives, so that podman need not compress it again.
//! Must never fail a push: what cannot be had podman sends itself; nor say that a blob is here before its digest was checked.

use super::{
    session::Session,
    upload::{Ended, Upload},
};
use crate::events::Event;
use crate::model::{digest::Digest, reference::RepositoryName};
use crate::target::{LocalBlob, Target};
use std::sync::Arc;

/// Where a blob can be read that no target has.
#[derive(Clone)]
pub struct BlobOrigin {
    /// The repository that has it.
    pub target: Arc<dyn Target>,
    /// Its size in bytes, as a manifest there says: no more is read.
    pub size: u64,
}

impl Session {
    /// The blob from its origin, where it has one; in the spool from then on.
    pub(super) async fn bring(&self, name: &RepositoryName, digest: Digest) -> Option<LocalBlob> {
        let BlobOrigin { target, size } = self.routes.origin(digest)?;
        let origin = target.repository();
        let turn = self.state().turn(&origin.place, digest);
        // Two images on one base ask at once: the second one finds it here.
        let _turn = turn.lock().await;
        let known = self.state().blob(digest);
        if known.is_some() {
            return known;
        }
        match self.fetch(name, (digest, size), &target).await {
            Ok(blob) => {
                let text = format!("layer {} is the base's own, from {origin}", digest.short());
                self.events.send(Event::Note(text));
                self.state().add_holder(digest, origin);
                Some(blob)
            }
            Err(why) => {
                tracing::info!(%digest, %origin, why, "podman compresses it instead");
                None
            }
        }
    }

    async fn fetch(
        &self,
        name: &RepositoryName,
        (digest, size): (Digest, u64),
        origin: &Arc<dyn Target>,
    ) -> Result<LocalBlob, String> {
        let found = origin
            .read_blob(digest)
            .await
            .map_err(|fault| fault.to_string())?;
        let (announced, bytes) = found.ok_or("it is not there")?;
        if announced != size {
            return Err(format!("it has {announced} bytes instead of {size}"));
        }
        let upload = Upload::new(name.clone(), &self.spool).map_err(|error| error.to_string())?;
        let upload = tokio::select! {
            () = self.cancel.cancelled() => return Err("the relay ends".to_owned()),
            upload = upload.append(bytes) => upload.map_err(why)?,
        };
        let (found, length, file) = upload.finish();
        if found != digest || length != size {
            return Err(format!("it is another blob: {found}"));
        }
        self.keep(digest, size, file)
            .map_err(|error| error.to_string())
    }
}

fn why(ended: Ended) -> String {
    match ended {
        Ended::Client(why) => why,
        Ended::Disk(error) => error.to_string(),
    }
}
