//! Decides how a base's layer comes from where the base lives, so that podman need not compress it again.
//! Must never fail a push: what cannot be had podman sends itself; nor say that a blob is here before its digest was checked.

use super::{
    ahead::Ahead,
    fanout::{Found, Targets},
    session::{Confirmed, Session},
    upload::{Ended, Upload},
};
use crate::events::{Event, Sent};
use crate::model::{
    digest::Digest,
    fault::Fault,
    reference::{Repository, RepositoryName},
};
use crate::target::{LocalBlob, Target};
use futures::future::try_join_all;
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
    /// The blob from its origin, where it has one: taken over by targets that live where it does, else in the spool from
    /// then on, and on its way to the targets before that.
    pub(super) async fn bring(
        self: &Arc<Self>,
        name: &RepositoryName,
        targets: &Targets,
        digest: Digest,
    ) -> Option<Found> {
        let BlobOrigin { target, size } = self.routes.origin(digest)?;
        let origin = target.repository();
        let turn = self.state().turn(&origin.place, digest);
        // Two images on one base ask at once: the second one finds it here.
        let _turn = turn.lock().await;
        let known = self.state().blob(digest);
        if let Some(known) = known {
            drop(self.send(name, targets, &known, Ahead::default()));
            return Some(Found::Spooled(known));
        }
        if self.taken_over(name, targets, (digest, size), origin).await {
            return Some(Found::OnTargets(size));
        }
        match self.fetch(name, targets, (digest, size), &target).await {
            Ok((blob, ahead)) => {
                let text = format!("layer {} is the base's own, from {origin}", digest.short());
                self.events.send(Event::Note(text));
                self.state().add_holder(digest, origin);
                drop(self.send(name, targets, &blob, ahead));
                Some(Found::Spooled(blob))
            }
            Err(why) => {
                tracing::info!(%digest, %origin, why, "podman compresses it instead");
                None
            }
        }
    }

    /// Whether every target has it now, without a byte of it coming here.
    async fn taken_over(
        &self,
        name: &RepositoryName,
        targets: &Targets,
        (digest, size): (Digest, u64),
        origin: &Repository,
    ) -> bool {
        if targets.is_empty() || targets.iter().any(|t| t.repository().place != origin.place) {
            return false;
        }
        let mounts = targets
            .iter()
            .map(async |target| match target.blob_size(digest).await? {
                Some(there) => Ok::<_, Fault>(there == size),
                None => target.mount_blob(digest, &origin.name).await,
            });
        let all = try_join_all(mounts).await;
        if !all.is_ok_and(|all| all.into_iter().all(|taken| taken)) {
            return false;
        }
        let confirmed = Confirmed {
            size,
            reusable: true,
        };
        self.confirm(name, targets, digest, confirmed, Sent::Mounted);
        let text = format!("layer {} was taken over from {origin}", digest.short());
        self.events.send(Event::Note(text));
        true
    }

    async fn fetch(
        self: &Arc<Self>,
        name: &RepositoryName,
        targets: &Targets,
        (digest, size): (Digest, u64),
        origin: &Arc<dyn Target>,
    ) -> Result<(LocalBlob, Ahead), String> {
        let found = origin
            .read_blob(digest)
            .await
            .map_err(|fault| fault.to_string())?;
        let (announced, bytes) = found.ok_or("it is not there")?;
        if announced != size {
            return Err(format!("it has {announced} bytes instead of {size}"));
        }
        let mut upload =
            Upload::new(name.clone(), &self.spool).map_err(|error| error.to_string())?;
        let place = &origin.repository().place;
        upload.follow(self.send_ahead(targets, &upload, Some((digest, place))));
        let upload = tokio::select! {
            () = self.cancel.cancelled() => return Err("the relay ends".to_owned()),
            upload = upload.append(bytes) => upload.map_err(why)?,
        };
        let done = upload.finish();
        if done.digest != digest || done.size != size {
            return Err(format!("it is another blob: {}", done.digest));
        }
        let blob = self.keep(digest, size, done.file);
        let blob = blob.map_err(|error| error.to_string())?;
        Ok((blob, done.ahead))
    }
}

fn why(ended: Ended) -> String {
    match ended {
        Ended::Client(why) => why,
        Ended::Disk(error) => error.to_string(),
    }
}
