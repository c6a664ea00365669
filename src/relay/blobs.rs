//! Decides what podman's requests about blobs do: asking, reading, and the ways to upload that the specification has.
//! Must never answer that a blob is stored before its digest was checked.

use super::{
    answer::{Answer, CONTENT_DIGEST, Code, Refusal, UPLOAD_UUID, answer},
    cache::Cache,
    fanout::{Found, Targets},
    path::UploadId,
    range::content_range,
    server::Query,
    session::Session,
    stream,
    upload::{Ended, Upload},
};
use crate::model::{digest::Digest, reference::RepositoryName};
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use std::sync::Arc;

/// A request within one repository: the session, the name, and the targets that the name stands for.
pub(super) struct Within {
    pub(super) session: Arc<Session>,
    pub(super) name: RepositoryName,
    pub(super) targets: Targets,
    /// Where the name is a layer cache's, and no part of the release.
    pub(super) cache: Option<Cache>,
}

impl Within {
    /// A target of this repository failed and nobody took the fault yet: what podman would send now is wasted.
    pub(super) fn refuse_after_fault(&self) -> Result<(), Refusal> {
        let fault = self.session.state().fault(&self.name);
        let fault = fault.filter(|_| self.cache.is_none());
        fault.map_or(Ok(()), |fault| Err(Refusal::of_fault(&fault)))
    }

    async fn find(&self, digest: Digest) -> Result<Option<Found>, Refusal> {
        let found = self.session.find_blob(&self.name, &self.targets, digest);
        let found = self.forgiven(found.await);
        found.map_err(|fault| Refusal::of_fault(&fault))
    }

    fn disk_failed(&self, error: &std::io::Error) -> Refusal {
        let fault = self.session.disk_fault(error);
        self.session.record(&self.name, &fault);
        Refusal::of_fault(&fault)
    }

    fn blob_location(&self, digest: Digest) -> String {
        format!("/v2/{}/blobs/{digest}", self.name)
    }

    fn upload_location(&self, id: UploadId) -> String {
        format!("/v2/{}/blobs/uploads/{id}", self.name)
    }

    /// HEAD blob.
    pub(super) async fn head_blob(&self, digest: Digest) -> Answer {
        self.refuse_after_fault()?;
        match self.find(digest).await? {
            Some(Found::Spooled(blob)) => Ok(stream::head(digest, blob.size)),
            Some(Found::OnTargets(size)) => Ok(stream::head(digest, size)),
            None => Err(unknown_blob(digest)),
        }
    }

    /// GET blob.
    pub(super) async fn get_blob(&self, digest: Digest, headers: &HeaderMap) -> Answer {
        let cancel = &self.session.cancel;
        match self.find(digest).await? {
            Some(Found::Spooled(blob)) => stream::from_spool(&blob, headers, cancel)
                .await
                .map_err(|error| self.disk_failed(&error))?,
            // Also what podman is not to skip sending: it reads the configs of images that another machine pushed.
            Some(Found::OnTargets(_)) | None => {
                let target = self.targets.first().ok_or_else(|| unknown_blob(digest))?;
                let read = target.read_blob(digest).await;
                let found = read.map_err(|fault| {
                    self.session.record(&self.name, &fault);
                    Refusal::of_fault(&fault)
                })?;
                let found = found.ok_or_else(|| unknown_blob(digest))?;
                stream::from_target(digest, found, headers, cancel)
            }
        }
    }

    /// POST uploads: a session, a whole blob (`?digest=`), or a mount (`?mount=&from=`).
    pub(super) async fn begin_upload(&self, query: &Query, body: Body) -> Answer {
        self.refuse_after_fault()?;
        let mount = query.mount.as_deref();
        let mount: Option<Digest> = mount.and_then(|text| text.parse().ok());
        if let Some(digest) = mount
            && self.find(digest).await?.is_some()
        {
            return Ok(self.created(digest));
        }
        let digest = query.digest.as_deref().map(parse_digest).transpose()?;
        let mut upload = Upload::new(self.name.clone(), &self.session.spool)
            .map_err(|error| self.disk_failed(&error))?;
        if let Some(digest) = digest {
            let upload = self.append(upload, body).await?;
            return self.finish(upload, digest).await;
        }
        if self.session.routes.sends_ahead(&self.name) {
            upload.follow(self.session.send_ahead(&self.targets, &upload, None));
        }
        let id = UploadId::random().map_err(|error| self.disk_failed(&error))?;
        let accepted = self.accepted(id, &upload);
        self.session.state().put_upload(id, upload);
        Ok(accepted)
    }

    /// GET upload: how far it is.
    pub(super) fn upload_status(&self, id: UploadId) -> Answer {
        let range = self.session.state().upload_range(&self.name, id);
        let range = range.ok_or_else(unknown_upload)?;
        Ok(answer(
            StatusCode::NO_CONTENT,
            [
                (header::LOCATION, self.upload_location(id)),
                (header::RANGE, range),
                (UPLOAD_UUID, id.to_string()),
            ],
            Body::empty(),
        ))
    }

    /// PATCH upload: the next chunk, or all of it.
    pub(super) async fn append_to_upload(
        &self,
        id: UploadId,
        headers: &HeaderMap,
        body: Body,
    ) -> Answer {
        let upload = self.take_upload(id)?;
        let upload = self.append_chunk(id, upload, headers, body).await?;
        let accepted = self.accepted(id, &upload);
        self.session.state().put_upload(id, upload);
        Ok(accepted)
    }

    /// PUT upload: the last chunk, which may be empty, and the digest.
    pub(super) async fn finish_upload(
        &self,
        id: UploadId,
        query: &Query,
        headers: &HeaderMap,
        body: Body,
    ) -> Answer {
        let text = query.digest.as_deref().unwrap_or_default();
        let digest = parse_digest(text)?;
        let upload = self.take_upload(id)?;
        let upload = self.append_chunk(id, upload, headers, body).await?;
        self.finish(upload, digest).await
    }

    /// DELETE upload.
    pub(super) fn cancel_upload(&self, id: UploadId) -> Answer {
        self.take_upload(id)?;
        Ok(answer(StatusCode::NO_CONTENT, [], Body::empty()))
    }

    fn take_upload(&self, id: UploadId) -> Result<Upload, Refusal> {
        let upload = self.session.state().take_upload(&self.name, id);
        upload.ok_or_else(unknown_upload)
    }

    /// Appends a chunk that may say where it belongs; out of order is 416, and the upload stays as it was.
    async fn append_chunk(
        &self,
        id: UploadId,
        upload: Upload,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Upload, Refusal> {
        let Some(told) = headers.get(header::CONTENT_RANGE) else {
            return self.append(upload, body).await;
        };
        let before = upload.size();
        let Some((first, last)) = told
            .to_str()
            .ok()
            .and_then(content_range)
            .filter(|(first, _)| *first == before)
        else {
            let range = upload.range();
            self.session.state().put_upload(id, upload);
            return Err(Refusal::new(
                Code::RangeInvalid,
                format!("this upload is at byte {before}"),
            )
            .with(header::LOCATION, &self.upload_location(id))
            .with(header::RANGE, &range)
            .with(UPLOAD_UUID, &id.to_string()));
        };
        let upload = self.append(upload, body).await?;
        if upload.size() - before != last - first + 1 {
            return Err(Refusal::new(
                Code::SizeInvalid,
                "the chunk is not as long as its Content-Range says",
            ));
        }
        Ok(upload)
    }

    async fn append(&self, upload: Upload, body: Body) -> Result<Upload, Refusal> {
        let appended = upload.append(body.into_data_stream()).await;
        appended.map_err(|ended| match ended {
            Ended::Client(why) => Refusal::new(Code::BlobUploadInvalid, why),
            Ended::Disk(error) => self.disk_failed(&error),
        })
    }

    /// Checks the digest, keeps the blob, and sends it on its way.
    async fn finish(&self, upload: Upload, digest: Digest) -> Answer {
        let done = upload.finish();
        if done.digest != digest {
            let text = format!("what came has the digest {}", done.digest);
            // Unlinking gigabytes takes a moment.
            tokio::task::spawn_blocking(move || drop(done)).await.ok();
            return Err(Refusal::new(Code::DigestInvalid, text));
        }
        let session = &self.session;
        if session.state().is_of_step(&self.name, digest) {
            let kept = session.keep(digest, done.size, done.file);
            kept.map_err(|error| self.disk_failed(&error))?;
            return Ok(self.created(digest));
        }
        let blob = session.adopt(digest, done.size, done.file);
        let blob = blob.map_err(|error| self.disk_failed(&error))?;
        // It runs by itself; the manifest will wait for it.
        drop(session.send(&self.name, &self.targets, &blob, done.ahead));
        Ok(self.created(digest))
    }

    fn created(&self, digest: Digest) -> axum::response::Response {
        answer(
            StatusCode::CREATED,
            [
                (header::LOCATION, self.blob_location(digest)),
                (CONTENT_DIGEST, digest.to_string()),
            ],
            Body::empty(),
        )
    }

    fn accepted(&self, id: UploadId, upload: &Upload) -> axum::response::Response {
        answer(
            StatusCode::ACCEPTED,
            [
                (header::LOCATION, self.upload_location(id)),
                (header::RANGE, upload.range()),
                (UPLOAD_UUID, id.to_string()),
            ],
            Body::empty(),
        )
    }
}

/// The answer to a blob that is not there.
pub(super) fn unknown_blob(digest: Digest) -> Refusal {
    Refusal::new(Code::BlobUnknown, format!("{digest} is not here"))
}

fn unknown_upload() -> Refusal {
    Refusal::new(Code::BlobUploadUnknown, "there is no such upload")
}

fn parse_digest(text: &str) -> Result<Digest, Refusal> {
    text.parse()
        .map_err(|error| Refusal::new(Code::DigestInvalid, format!("{error}")))
}
