//! Decides how a blob gets to a registry: found there, taken over from a neighbour, or uploaded in one piece.
//! Must never send a blob in chunks with ranges (GHCR refuses more than 4 MiB), nor believe a 2xx that says something else.

use super::Remote;
use super::answer::Answer;
use super::scope::{Access, Scope};
use super::transport::{Payload, Progress};
use crate::events::Sent;
use crate::model::digest::Digest;
use crate::model::fault::{Class, Fault};
use crate::model::reference::RepositoryName;
use crate::target::LocalBlob;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Method, Url};
use std::sync::Arc;

/// What came of asking for a mount.
enum Mount {
    Done,
    /// An upload session in its place.
    Session(Url),
    Nothing,
}

impl Remote {
    /// HEAD of a blob: its size.
    pub(super) async fn head_blob(
        &self,
        digest: Digest,
        access: Access,
    ) -> Result<Option<u64>, Fault> {
        let call = self.call(Method::HEAD, &format!("blobs/{digest}"))?;
        let answer = self.send(access, call).await?;
        match answer.status {
            404 => Ok(None),
            200 if answer.is_html() => Err(answer.content("a web page, not a blob")),
            200 if answer.digest().is_some_and(|told| told != digest) => {
                Err(answer.content("it answered for another digest"))
            }
            200 => match answer.length() {
                Some(size) => Ok(Some(size)),
                None => Err(answer.content("it does not say how long the blob is")),
            },
            _ => Err(answer.into_fault().await),
        }
    }

    /// The first `count` bytes; a registry that does not know ranges sends all, and we hang up.
    pub(super) async fn peek_once(
        &self,
        digest: Digest,
        count: usize,
    ) -> Result<Option<Bytes>, Fault> {
        if count == 0 {
            let there = self.head_blob(digest, Access::Pull).await?;
            return Ok(there.map(|_| Bytes::new()));
        }
        let mut call = self.call(Method::GET, &format!("blobs/{digest}"))?;
        let range = format!("bytes=0-{}", count - 1);
        // Digits and a hyphen always make a header.
        if let Ok(range) = HeaderValue::from_str(&range) {
            call.headers.insert(RANGE, range);
        }
        let mut answer = self.send(Access::Pull, call).await?;
        match answer.status {
            200 | 206 if answer.is_html() => Err(answer.content("a web page, not a blob")),
            200 | 206 => Ok(Some(answer.head_of_body(count).await?.into())),
            404 if !answer.is_html() => Ok(None),
            // Only a blob without a single byte has no first byte.
            416 => Ok(Some(Bytes::new())),
            _ => Err(answer.into_fault().await),
        }
    }

    /// Brings a blob there, with retries; tells how.
    pub(super) async fn put_blob_tried(
        &self,
        blob: &LocalBlob,
        mount_from: &[RepositoryName],
    ) -> Result<Sent, Fault> {
        let place = self.repository.to_string();
        let events = &self.registry.0.events;
        let progress = &Progress::new(events.clone(), place, blob.digest);
        self.tried(|_| self.put_blob_once(blob, mount_from, progress))
            .await
    }

    /// One try, from the beginning: an earlier one may have got through, and its session may be lost.
    async fn put_blob_once(
        &self,
        blob: &LocalBlob,
        mount_from: &[RepositoryName],
        progress: &Arc<Progress>,
    ) -> Result<Sent, Fault> {
        match self.head_blob(blob.digest, Access::Push).await? {
            Some(size) if size != blob.size => {
                let detail = format!("it has {size} bytes there, and {} here", blob.size);
                let request = format!("HEAD {}", self.repository.at(&blob.digest.into()));
                return Err(self.registry.fault(Class::Content, &request, &detail));
            }
            // All of it went in an earlier try, whose answer did not come through.
            Some(size) if size > 0 && progress.told() == size => return Ok(Sent::Uploaded),
            Some(_) => return Ok(Sent::Present),
            None => {}
        }
        let session = match self.mount(blob.digest, mount_from).await? {
            Mount::Done => return Ok(Sent::Mounted),
            Mount::Session(url) => url,
            Mount::Nothing => self.begin_upload().await?,
        };
        self.upload(session, blob, progress).await?;
        Ok(Sent::Uploaded)
    }

    async fn mount(&self, digest: Digest, candidates: &[RepositoryName]) -> Result<Mount, Fault> {
        let mut session = None;
        for candidate in candidates {
            let from = self.registry.api_name(candidate);
            if from == self.api_name {
                continue;
            }
            let mut call = self.call(Method::POST, "blobs/uploads/")?;
            call.url
                .query_pairs_mut()
                .append_pair("mount", &digest.to_string())
                .append_pair("from", from.as_str());
            let scope = Scope {
                from: Some(from),
                ..self.scope(Access::Push)
            };
            let answer = match self.registry.send(&scope, call).await {
                Ok(answer) => answer,
                // No token for that neighbour: nothing is lost but the shortcut.
                Err(fault) if matches!(fault.class, Class::Auth | Class::Permission) => continue,
                Err(fault) => return Err(fault),
            };
            match answer.status {
                201 => {
                    self.check_digest(&answer, digest)?;
                    return Ok(Mount::Done);
                }
                202 => {
                    let url = self.registry.allowed(&answer, answer.location()?)?;
                    if let Some(unused) = session.replace(url) {
                        self.abandon(unused).await;
                    }
                }
                // Not that neighbour: we may not read it, it is not there, or mounting is not known.
                400..=405 => {}
                _ => return Err(answer.into_fault().await),
            }
        }
        Ok(session.map_or(Mount::Nothing, Mount::Session))
    }

    /// A mount and nothing else.
    pub(super) async fn mount_once(
        &self,
        digest: Digest,
        from: &RepositoryName,
    ) -> Result<bool, Fault> {
        match self.mount(digest, std::slice::from_ref(from)).await? {
            Mount::Done => Ok(true),
            Mount::Session(unused) => {
                self.abandon(unused).await;
                Ok(false)
            }
            Mount::Nothing => Ok(false),
        }
    }

    /// Gives a session back that will not be used; the registry would drop it some day anyway.
    pub(super) async fn abandon(&self, session: Url) {
        let call = super::Call::new(Method::DELETE, session);
        let _ = self.send(Access::Push, call).await;
    }

    /// Begins an upload and gives it back: nothing else tells whether a token may push.
    pub(super) async fn may_push_once(&self) -> Result<(), Fault> {
        let session = self.begin_upload().await?;
        self.abandon(session).await;
        Ok(())
    }

    pub(super) async fn begin_upload(&self) -> Result<Url, Fault> {
        let call = self.call(Method::POST, "blobs/uploads/")?;
        let answer = self.send(Access::Push, call).await?;
        if answer.status != 202 {
            return Err(answer.into_fault().await);
        }
        self.registry.allowed(&answer, answer.location()?)
    }

    async fn upload(
        &self,
        mut session: Url,
        blob: &LocalBlob,
        progress: &Arc<Progress>,
    ) -> Result<(), Fault> {
        // The rest of Location stays as it was given: its query is the registry's own state.
        session
            .query_pairs_mut()
            .append_pair("digest", &blob.digest.to_string());
        let mut call = super::Call::new(Method::PUT, session);
        call.of_upload = true;
        let kind = HeaderValue::from_static("application/octet-stream");
        call.headers.insert(CONTENT_TYPE, kind);
        call.payload = Payload::File {
            path: blob.path.clone(),
            size: blob.size,
            progress: Arc::clone(progress),
        };
        let answer = self.send(Access::Push, call).await?;
        if !matches!(answer.status, 201 | 204) {
            return Err(answer.into_fault().await);
        }
        self.check_digest(&answer, blob.digest)
    }

    /// A Docker-Content-Digest that is given must be the one we mean.
    pub(super) fn check_digest(&self, answer: &Answer, digest: Digest) -> Result<(), Fault> {
        match answer.named("docker-content-digest") {
            Some(told) if told != digest.to_string() => {
                let detail = format!(
                    "{} says it stored {told}, not {digest}",
                    self.registry.0.host
                );
                Err(answer.content(detail))
            }
            _ => Ok(()),
        }
    }
}
