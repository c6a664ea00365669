//! Decides how a blob is uploaded while it is still being written: one PATCH that follows the file, then PUT with the digest.
//! Must never try again, nor finish an upload whose digest was not verified: whoever has the whole blob does better.

use super::answer::Answer;
use super::scope::Access;
use super::source::Source;
use super::transport::{Activity, Payload, Progress};
use super::{Call, Remote};
use crate::model::fault::{Class, Fault};
use crate::target::Growing;
use bytes::Bytes;
use futures::stream::{Stream, try_unfold};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How often a request that waits for the file says that it is not the registry that stands still.
const BREATH: Duration = Duration::from_secs(1);

impl Remote {
    /// Uploads what grows. What fails is given back to the registry.
    pub(super) async fn put_growing_once(&self, growing: Growing) -> Result<(), Fault> {
        let events = self.registry.0.events.clone();
        let progress = Progress::ahead(events, self.repository.to_string());
        let session = self.begin_upload().await?;
        let sent = self.follow(session.clone(), growing, &progress).await;
        if sent.is_err() {
            progress.settle(None);
            self.abandon(session).await;
        }
        sent
    }

    async fn follow(
        &self,
        session: Url,
        growing: Growing,
        progress: &Arc<Progress>,
    ) -> Result<(), Fault> {
        let whole = growing.whole.clone();
        let payload = Payload::Growing {
            growing,
            progress: Arc::clone(progress),
        };
        let answer = self.upload_step(Method::PATCH, session, payload).await?;
        if answer.status != 202 {
            return Err(answer.into_fault().await);
        }
        let mut session = self.registry.allowed(&answer, answer.location()?)?;
        let known = *whole.borrow();
        let Some((digest, _)) = known else {
            let detail = "it was accepted before all of it was sent";
            return Err(answer.as_fault(Class::Refused, detail));
        };
        // The rest of Location stays as it was given: its query is the registry's own state.
        session
            .query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let answer = self
            .upload_step(Method::PUT, session, Payload::None)
            .await?;
        if !matches!(answer.status, 201 | 204) {
            return Err(answer.into_fault().await);
        }
        self.check_digest(&answer, digest)
    }

    async fn upload_step(
        &self,
        method: Method,
        session: Url,
        payload: Payload,
    ) -> Result<Answer, Fault> {
        let mut call = Call::new(method, session);
        call.of_upload = true;
        let kind = HeaderValue::from_static("application/octet-stream");
        call.headers.insert(CONTENT_TYPE, kind);
        call.payload = payload;
        self.send(Access::Push, call).await
    }
}

/// One reader of a file that grows.
struct Follower {
    source: Source,
    growing: Growing,
    /// Whether more may be written.
    grows: bool,
    progress: Arc<Progress>,
    activity: Arc<Activity>,
}

/// The file's bytes as they are written; the end comes when it is known to be whole, an error when it is given up.
pub(super) fn pieces(
    growing: &Growing,
    progress: Arc<Progress>,
    activity: Arc<Activity>,
) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    let follower = Follower {
        source: Source::new(Arc::clone(&growing.file)),
        growing: growing.clone(),
        grows: true,
        progress,
        activity,
    };
    try_unfold(follower, Follower::next)
}

impl Follower {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        loop {
            let written = *self.growing.written.borrow_and_update();
            let whole = *self.growing.whole.borrow_and_update();
            let at = self.source.at();
            if let Some((digest, size)) = whole {
                self.progress.settle(Some(digest));
                if at == size {
                    self.activity.moved(true);
                    return Ok(None);
                }
            }
            if at < written {
                let piece = self.source.next(written).await;
                let piece = piece.inspect_err(|error| self.activity.disk_failed(error))?;
                self.activity.moved(false);
                self.progress.reached(self.source.at());
                return Ok(Some((piece, self)));
            }
            self.wait().await?;
        }
    }

    /// Until more is written, or all is known.
    async fn wait(&mut self) -> io::Result<()> {
        self.activity.moved(false);
        tokio::select! {
            more = self.growing.written.changed(), if self.grows => self.grows = more.is_ok(),
            known = self.growing.whole.changed() => {
                known.map_err(|_| io::Error::other("the blob was given up"))?;
            }
            () = tokio::time::sleep(BREATH) => {}
        }
        Ok(())
    }
}
