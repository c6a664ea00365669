//! Decides what a relay answers that only shows what the first target of a repository holds.
//! Must never change anything.

use super::server::Query;
use super::{
    Routes,
    answer::{Answer, Code, Refusal},
    blobs::unknown_blob,
    manifests, stream,
};
use crate::model::{
    digest::Digest,
    fault::{Class, Fault},
    reference::{Reference, RepositoryName},
};
use crate::target::Target;
use axum::http::HeaderMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A request to read from one repository.
pub(super) struct Reading {
    name: RepositoryName,
    target: Arc<dyn Target>,
}

impl Reading {
    /// The repository's first target.
    pub(super) fn new(routes: &dyn Routes, name: RepositoryName) -> Result<Self, Refusal> {
        let target = routes.targets(&name).and_then(|t| t.into_iter().next());
        let unknown = || Refusal::new(Code::NameUnknown, format!("{name} is not here"));
        let target = target.ok_or_else(unknown)?;
        Ok(Reading { name, target })
    }

    pub(super) async fn head_blob(&self, digest: Digest) -> Answer {
        let size = self.target.blob_size(digest).await.map_err(|f| told(&f))?;
        let size = size.ok_or_else(|| unknown_blob(digest))?;
        Ok(stream::head(digest, size))
    }

    pub(super) async fn get_blob(
        &self,
        digest: Digest,
        headers: &HeaderMap,
        cancel: &CancellationToken,
    ) -> Answer {
        let found = self.target.read_blob(digest).await.map_err(|f| told(&f))?;
        let found = found.ok_or_else(|| unknown_blob(digest))?;
        stream::from_target(digest, found, headers, cancel)
    }

    pub(super) async fn get_manifest(&self, reference: &Reference) -> Answer {
        let found = self.target.read_manifest(reference).await;
        manifests::manifest(found.map_err(|f| told(&f))?, reference)
    }

    pub(super) async fn list_tags(&self, query: &Query) -> Answer {
        let tags = self.target.tags().await.map_err(|f| told(&f))?;
        manifests::tags_page(&self.name, &tags, query)
    }
}

/// Nobody takes faults here, so they are told to the log too.
fn told(fault: &Fault) -> Refusal {
    if fault.class != Class::Cancelled {
        tracing::warn!(%fault, "cannot serve");
    }
    Refusal::of_fault(fault)
}
