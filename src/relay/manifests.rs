//! Decides what podman's requests about manifests and tags do. But for a layer cache's, tags live in the session alone.
//! Must never store a manifest of which a part is missing, nor one under another digest than its own.

use super::{
    answer::{Answer, CONTENT_DIGEST, Code, Refusal, answer},
    blobs::Within,
    fanout::NotSent,
    server::Query,
};
use crate::model::{
    digest::Digest,
    manifest::{MANIFEST_LIMIT, RawManifest},
    reference::{Reference, RepositoryName, Tag},
};
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use futures::StreamExt;

impl Within {
    /// GET and HEAD manifest: what this session pushed, else by digest what the first target holds.
    pub(super) async fn get_manifest(&self, reference: &Reference) -> Answer {
        let pushed = self.session.state().manifest(&self.name, reference);
        let found = match (pushed, reference, self.targets.first()) {
            (None, Reference::Digest(_), Some(target)) => {
                let read = target.read_manifest(reference).await;
                read.map_err(|fault| {
                    self.session.record(&self.name, &fault);
                    Refusal::of_fault(&fault)
                })?
            }
            (pushed, ..) => pushed,
        };
        manifest(found, reference)
    }

    /// PUT manifest: by digest to every target; its tag is remembered here only. A step's goes nowhere.
    pub(super) async fn put_manifest(
        &self,
        reference: &Reference,
        headers: &HeaderMap,
        body: Body,
    ) -> Answer {
        let bytes = read(body).await?;
        let content_type = headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|v| v.to_str().ok()).unwrap_or("");
        let manifest = RawManifest::parse(bytes, content_type)
            .map_err(|error| Refusal::new(Code::ManifestInvalid, error.to_string()))?;
        let digest = manifest.digest();
        if let Reference::Digest(asked) = reference
            && *asked != digest
        {
            return Err(Refusal::new(
                Code::DigestInvalid,
                format!("what came has the digest {digest}"),
            ));
        }
        let config = manifest.blobs().first().map(|config| config.digest);
        let step = |config| self.session.state().is_of_step(&self.name, config);
        if config.is_some_and(step) {
            // Its layers were all that was wanted, and they are here.
            return Ok(self.stored(digest));
        }
        if let Some(cache) = &self.cache {
            self.put_cached(cache, reference, &manifest).await;
        } else {
            self.refuse_after_fault()?;
            self.session
                .send_manifest(&self.name, &self.targets, &manifest)
                .await
                .map_err(|why| match why {
                    NotSent::Fault(fault) => Refusal::of_fault(&fault),
                    NotSent::Missing(digest) => {
                        Refusal::new(Code::ManifestBlobUnknown, format!("{digest} is not there"))
                    }
                    NotSent::Size(digest, size) => Refusal::new(
                        Code::ManifestInvalid,
                        format!("{digest} has {size} bytes, not what the manifest says"),
                    ),
                })?;
        }
        self.session
            .state()
            .keep_manifest(&self.name, reference, manifest);
        Ok(self.stored(digest))
    }

    fn stored(&self, digest: Digest) -> axum::response::Response {
        answer(
            StatusCode::CREATED,
            [
                (
                    header::LOCATION,
                    format!("/v2/{}/manifests/{digest}", self.name),
                ),
                (CONTENT_DIGEST, digest.to_string()),
            ],
            Body::empty(),
        )
    }

    /// GET tags/list: the session's.
    pub(super) fn list_tags(&self, query: &Query) -> Answer {
        let tags = self.session.state().tags(&self.name);
        tags_page(&self.name, &tags, query)
    }
}

/// The answer to GET and HEAD of a manifest (the server leaves the body of a HEAD out).
pub(super) fn manifest(found: Option<RawManifest>, reference: &Reference) -> Answer {
    let Some(manifest) = found else {
        return Err(Refusal::new(
            Code::ManifestUnknown,
            format!("{reference} is not here"),
        ));
    };
    let bytes = Bytes::copy_from_slice(manifest.bytes());
    Ok(answer(
        StatusCode::OK,
        [
            (header::CONTENT_TYPE, manifest.media_type().to_owned()),
            (header::CONTENT_LENGTH, bytes.len().to_string()),
            (CONTENT_DIGEST, manifest.digest().to_string()),
        ],
        bytes,
    ))
}

/// One page of `tags`, which are sorted: at most `n` after `last`, and a Link to the next where there is more.
pub(super) fn tags_page(name: &RepositoryName, tags: &[Tag], query: &Query) -> Answer {
    let limit = match query.n.as_deref() {
        None => usize::MAX,
        Some(text) => text
            .parse::<usize>()
            .map_err(|_| Refusal::new(Code::PageInvalid, format!("n={text} is not a count")))?,
    };
    let last = query.last.as_deref().unwrap_or_default();
    let after = tags.partition_point(|tag| tag.as_str() <= last);
    let rest = tags.get(after..).unwrap_or_default();
    let page = rest.get(..limit.min(rest.len())).unwrap_or_default();
    let body = serde_json::json!({ "name": name, "tags": page }).to_string();
    let mut response = answer(
        StatusCode::OK,
        [(header::CONTENT_TYPE, "application/json".to_owned())],
        body,
    );
    if let Some(end) = page.last().filter(|_| page.len() < rest.len()) {
        let link = format!("</v2/{name}/tags/list?n={limit}&last={end}>; rel=\"next\"");
        if let Ok(link) = link.parse() {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// A manifest's bytes. What is too large is read to its end, so that the client hears the answer, but not kept.
async fn read(body: Body) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|e| Refusal::new(Code::ManifestInvalid, e.to_string()))?;
        length = length.saturating_add(chunk.len());
        if length <= MANIFEST_LIMIT {
            bytes.extend_from_slice(&chunk);
        }
    }
    if length > MANIFEST_LIMIT {
        return Err(Refusal::new(Code::ManifestTooLarge, "larger than 4 MiB"));
    }
    Ok(bytes)
}
