//! Decides how blobs and manifests reach every target of a repository, and when the relay may say that they are there.
//! Must never write a tag, nor send a manifest before all that it names is confirmed on every target.

use super::ahead::{Ahead, Way};
use super::session::{Confirmed, Outcome, Session};
use crate::events::{Event, Sent};
use crate::model::{
    digest::Digest,
    fault::{Class, Fault},
    manifest::{Descriptor, RawManifest},
    reference::{Reference, RepositoryName},
    trace::Fact,
};
use crate::target::{LocalBlob, Target};
use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::{BoxFuture, try_join_all},
    stream,
};
use std::{collections::BTreeSet, sync::Arc};

/// Questions to targets on behalf of one manifest at the same time.
const PARALLEL: usize = 8;

/// The targets of one repository.
pub(super) type Targets = Vec<Arc<dyn Target>>;

/// Where a blob was found.
pub(super) enum Found {
    /// In the spool.
    Spooled(LocalBlob),
    /// Not here, but on every target; its size in bytes.
    OnTargets(u64),
}

/// Why a manifest was not sent.
#[derive(Debug)]
pub(super) enum NotSent {
    /// A target failed; recorded already.
    Fault(Fault),
    /// Something that it names is missing, here or on a target.
    Missing(Digest),
    /// A blob has another size than the manifest says.
    Size(Digest, u64),
}

impl Session {
    /// Answers podman's question whether a blob need not be sent.
    ///
    /// A blob that only the targets have is admitted if it is the config that is expected, or a compressed layer:
    /// podman asks for the digest of the *uncompressed* layer first, and on a yes would name that one in its manifest.
    pub(super) async fn find_blob(
        self: &Arc<Self>,
        name: &RepositoryName,
        targets: &Targets,
        digest: Digest,
    ) -> Result<Option<Found>, Fault> {
        let (spooled, of_step) = {
            let state = self.state();
            (state.blob(digest), state.is_of_step(name, digest))
        };
        if of_step {
            return Ok(spooled.map(Found::Spooled));
        }
        if let Some(blob) = spooled {
            // It runs by itself; the manifest will wait for it.
            drop(self.send(name, targets, &blob, Ahead::default()));
            return Ok(Some(Found::Spooled(blob)));
        }
        let known = self.state().memory(name).confirmed.get(&digest).copied();
        if let Some(Confirmed {
            size,
            reusable: true,
        }) = known
        {
            return Ok(Some(Found::OnTargets(size)));
        }
        let Some(size) = self.size_on_all(name, targets, digest).await? else {
            return Ok(self.bring(name, targets, digest).await);
        };
        let expected = self.state().memory(name).expected_configs.contains(&digest);
        if !expected && !self.is_compressed(name, targets, digest).await? {
            return Ok(None);
        }
        self.confirm(
            name,
            targets,
            digest,
            Confirmed {
                size,
                reusable: true,
            },
            Sent::Present,
        );
        Ok(Some(Found::OnTargets(size)))
    }

    /// Sends a blob to every target in the background, unless that is done or under way. What went ahead of it is used.
    pub(super) fn send(
        self: &Arc<Self>,
        name: &RepositoryName,
        targets: &Targets,
        blob: &LocalBlob,
        ahead: Ahead,
    ) -> Outcome {
        let mut state = self.state();
        let sendings = &mut state.memory(name).sendings;
        if let Some(known) = sendings.get(&blob.digest)
            && !matches!(known.peek(), Some(Err(_)))
        {
            return known.clone();
        }
        // Spawned under the lock: a failing task removes its entry, so the entry must be there before it can.
        let task = self.tasks.spawn(Arc::clone(self).send_to_all(
            name.clone(),
            targets.clone(),
            blob.clone(),
            ahead,
        ));
        let place = format!("sending {} of {name}", blob.digest);
        let outcome = task
            .map(|joined| {
                joined.unwrap_or_else(|error| {
                    // Only a panic ends here: the task is never aborted.
                    Err(Fault::new(Class::Refused, "", place, error.to_string()))
                })
            })
            .boxed()
            .shared();
        sendings.insert(blob.digest, outcome.clone());
        outcome
    }

    async fn send_to_all(
        self: Arc<Self>,
        name: RepositoryName,
        targets: Targets,
        blob: LocalBlob,
        ahead: Ahead,
    ) -> Result<(), Fault> {
        let mut ways = ahead.ways();
        let sendings =
            (targets.iter()).map(|target| self.send_to(target, &blob, ways.next().flatten()));
        // The first failure drops the others: the release fails anyway, and soon is better than late.
        let sending = try_join_all(sendings);
        let sent = tokio::select! {
            () = self.cancel.cancelled() => Err(cancelled(&name)),
            sent = sending => sent.map(|_| ()),
        };
        if let Err(fault) = &sent {
            self.record(&name, fault);
            // So that the next push of it begins anew.
            self.state().memory(&name).sendings.remove(&blob.digest);
        }
        sent
    }

    async fn send_to(
        &self,
        target: &Arc<dyn Target>,
        blob: &LocalBlob,
        way: Option<Way>,
    ) -> Result<(), Fault> {
        let repository = target.repository();
        let place = repository.to_string();
        self.events.send(Event::Expect {
            place: place.clone(),
            digest: blob.digest,
            size: blob.size,
        });
        let (turn, permits) = {
            let mut state = self.state();
            (
                state.turn(&repository.place, blob.digest),
                state.permits(repository),
            )
        };
        // First the turn, then the permit: who waits for a turn must not hold a permit that its holder needs.
        let _turn = turn.lock().await;
        let sending = |since| {
            Event::Fact(Fact::Sending {
                place: repository.to_string(),
                digest: blob.digest,
                size: blob.size,
                since,
            })
        };
        let mount_from = self.state().mount_from(blob.digest, repository);
        // What can be mounted is not uploaded, however much of it went ahead.
        let begun = way.filter(|_| mount_from.is_empty());
        let sent = match begun.and_then(Way::begun) {
            Some((way, since)) => {
                self.events.send(sending(since));
                way.finish(target, blob).await
            }
            None => None,
        };
        let sent = if let Some(sent) = sent {
            sent
        } else {
            // The semaphore is never closed, and without a permit sending is still right.
            let _permit = permits.acquire().await.ok();
            self.events.send(sending(0));
            target.put_blob(blob, &mount_from).await?
        };
        self.state().add_holder(blob.digest, repository);
        self.events.send(Event::Blob {
            place,
            digest: blob.digest,
            size: blob.size,
            sent,
        });
        Ok(())
    }

    /// Sends a manifest by digest to every target, once all that it names is there.
    pub(super) async fn send_manifest(
        self: &Arc<Self>,
        name: &RepositoryName,
        targets: &Targets,
        manifest: &RawManifest,
    ) -> Result<(), NotSent> {
        self.confirm_all(name, targets, manifest).await?;
        let by_digest = Reference::Digest(manifest.digest());
        let puts = targets
            .iter()
            .map(|target| target.put_manifest(&by_digest, manifest));
        let put = try_join_all(puts).await;
        self.noted(name, put)?;
        for target in targets {
            self.events.send(Event::Manifest {
                place: target.repository().to_string(),
                digest: manifest.digest(),
            });
        }
        Ok(())
    }

    /// Waits until all that a manifest names is on every target. Boxed, because the compiler does not see that a stream
    /// of borrowing futures is Send.
    fn confirm_all<'a>(
        self: &'a Arc<Self>,
        name: &'a RepositoryName,
        targets: &'a Targets,
        manifest: &'a RawManifest,
    ) -> BoxFuture<'a, Result<(), NotSent>> {
        let mut seen = BTreeSet::new();
        let blobs = manifest.blobs().into_iter();
        let blobs = blobs
            .filter(|blob| seen.insert(blob.digest))
            .map(|blob| self.confirm_blob(name, targets, blob).boxed());
        let children = manifest.children().iter();
        let children =
            children.map(|child| self.confirm_child(name, targets, child.digest).boxed());
        let questions: Vec<_> = blobs.chain(children).collect();
        stream::iter(questions)
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .boxed()
    }

    /// Waits until a blob is on every target.
    async fn confirm_blob(
        self: &Arc<Self>,
        name: &RepositoryName,
        targets: &Targets,
        blob: &Descriptor,
    ) -> Result<(), NotSent> {
        let digest = blob.digest;
        let spooled = self.state().blob(digest);
        let size = if let Some(local) = spooled {
            let outcome = self.send(name, targets, &local, Ahead::default()).await;
            self.noted(name, outcome)?;
            local.size
        } else {
            let known = self.state().memory(name).confirmed.get(&digest).copied();
            if let Some(confirmed) = known {
                confirmed.size
            } else {
                let size = self.size_on_all(name, targets, digest).await;
                let size = size
                    .map_err(NotSent::Fault)?
                    .ok_or(NotSent::Missing(digest))?;
                // Not reusable: whether podman may be told of it was not asked here.
                self.confirm(
                    name,
                    targets,
                    digest,
                    Confirmed {
                        size,
                        reusable: false,
                    },
                    Sent::Present,
                );
                size
            }
        };
        if size == blob.size {
            Ok(())
        } else {
            Err(NotSent::Size(digest, size))
        }
    }

    /// Makes sure that a child of an index is on every target.
    async fn confirm_child(
        &self,
        name: &RepositoryName,
        targets: &Targets,
        digest: Digest,
    ) -> Result<(), NotSent> {
        let reference = Reference::Digest(digest);
        if self.state().manifest(name, &reference).is_some() {
            return Ok(());
        }
        let questions = targets.iter().map(|target| target.resolve(&reference));
        let answers = self.noted(name, try_join_all(questions).await)?;
        // Without targets only what was pushed here counts.
        if !answers.is_empty() && answers.iter().all(|found| *found == Some(digest)) {
            Ok(())
        } else {
            Err(NotSent::Missing(digest))
        }
    }

    /// The size of a blob that every target has; None where one has it not, where they disagree, or without targets.
    async fn size_on_all(
        &self,
        name: &RepositoryName,
        targets: &Targets,
        digest: Digest,
    ) -> Result<Option<u64>, Fault> {
        let questions = targets.iter().map(|target| target.blob_size(digest));
        let answers = try_join_all(questions).await;
        let sizes = answers.inspect_err(|fault| self.record(name, fault))?;
        let first = sizes.first().copied().flatten();
        Ok(first.filter(|_| sizes.iter().all(|size| *size == first)))
    }

    /// Whether a blob begins as gzip or zstd does.
    async fn is_compressed(
        &self,
        name: &RepositoryName,
        targets: &Targets,
        digest: Digest,
    ) -> Result<bool, Fault> {
        let Some(target) = targets.first() else {
            return Ok(false);
        };
        let start = target.peek_blob(digest, 4).await;
        let start = start.inspect_err(|fault| self.record(name, fault))?;
        let magics: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];
        Ok(start.is_some_and(|start| magics.iter().any(|magic| start.starts_with(magic))))
    }

    pub(super) fn confirm(
        &self,
        name: &RepositoryName,
        targets: &Targets,
        digest: Digest,
        confirmed: Confirmed,
        sent: Sent,
    ) {
        let mut state = self.state();
        let before = state.memory(name).confirmed.insert(digest, confirmed);
        for target in targets {
            state.add_holder(digest, target.repository());
        }
        drop(state);
        if before.is_some() {
            return;
        }
        for target in targets {
            self.events.send(Event::Blob {
                place: target.repository().to_string(),
                digest,
                size: confirmed.size,
                sent,
            });
        }
    }

    fn noted<T>(&self, name: &RepositoryName, result: Result<T, Fault>) -> Result<T, NotSent> {
        result.map_err(|fault| {
            self.record(name, &fault);
            NotSent::Fault(fault)
        })
    }
}

fn cancelled(name: &RepositoryName) -> Fault {
    Fault::new(Class::Cancelled, "", format!("push of {name}"), "")
}
