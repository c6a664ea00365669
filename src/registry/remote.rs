//! Decides how one repository on a remote registry is a target: every request with retries, secrets taken out of faults.
//! Must never know which service it is beyond asking its API.

use super::answer::Answer;
use super::scope::{Access, Scope};
use super::service::Api;
use super::transport::Call;
use super::{Registry, download};
use crate::events::Sent;
use crate::model::digest::Digest;
use crate::model::fault::{Class, Fault};
use crate::model::manifest::{Descriptor, RawManifest};
use crate::model::reference::{Reference, Repository, RepositoryName, Tag};
use crate::model::retention::{Deleted, Deletion};
use crate::target::{ByteStream, Growing, LocalBlob, TagList, Target, Version};
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Method, Url};

/// One repository on a remote registry.
#[derive(Debug, Clone)]
pub struct Remote {
    pub(super) registry: Registry,
    pub(super) repository: Repository,
    pub(super) api_name: RepositoryName,
}

impl Remote {
    pub(super) fn scope(&self, access: Access) -> Scope {
        Scope {
            name: self.api_name.clone(),
            access,
            from: None,
        }
    }

    /// A URL below this repository; `rest` is built of checked names only.
    pub(super) fn url(&self, rest: &str) -> Result<Url, Fault> {
        let path = format!("/v2/{}/{rest}", self.api_name);
        // Names are checked, so that this cannot fail; but a fault costs less than a proof.
        self.registry.0.base.join(&path).map_err(|_| {
            let detail = "its path does not make a URL";
            self.registry.fault(Class::Refused, &path, detail)
        })
    }

    pub(super) fn call(&self, method: Method, rest: &str) -> Result<Call, Fault> {
        Ok(Call::new(method, self.url(rest)?))
    }

    pub(super) async fn send(&self, access: Access, call: Call) -> Result<Answer, Fault> {
        self.registry.send(&self.scope(access), call).await
    }

    /// Runs `attempt` with retries, and takes secrets out of what comes back.
    pub(super) async fn tried<T, F, Fut>(&self, mut attempt: F) -> Result<T, Fault>
    where
        F: FnMut(u32) -> Fut + Send,
        Fut: Future<Output = Result<T, Fault>> + Send,
        T: Send,
    {
        let shared = &self.registry.0;
        shared
            .retry
            .run(|number| {
                let done = attempt(number);
                async move { done.await.map_err(|fault| shared.auth.scrub(fault)) }
            })
            .await
    }
}

#[async_trait]
impl Target for Remote {
    fn repository(&self) -> &Repository {
        &self.repository
    }

    async fn may_push(&self) -> Result<(), Fault> {
        self.tried(|_| self.may_push_once()).await
    }

    async fn blob_size(&self, digest: Digest) -> Result<Option<u64>, Fault> {
        self.tried(|_| self.head_blob(digest, Access::Pull)).await
    }

    async fn read_blob(&self, digest: Digest) -> Result<Option<(u64, ByteStream)>, Fault> {
        download::open(self.clone(), digest).await
    }

    async fn peek_blob(&self, digest: Digest, count: usize) -> Result<Option<Bytes>, Fault> {
        self.tried(|_| self.peek_once(digest, count)).await
    }

    async fn put_blob(
        &self,
        blob: &LocalBlob,
        mount_from: &[RepositoryName],
    ) -> Result<Sent, Fault> {
        self.put_blob_tried(blob, mount_from).await
    }

    async fn mount_blob(&self, digest: Digest, from: &RepositoryName) -> Result<bool, Fault> {
        self.tried(|_| self.mount_once(digest, from)).await
    }

    async fn put_growing(&self, growing: Growing) -> Result<bool, Fault> {
        let sent = self.put_growing_once(growing).await;
        sent.map(|()| true)
            .map_err(|fault| self.registry.0.auth.scrub(fault))
    }

    async fn resolve(&self, reference: &Reference) -> Result<Option<Digest>, Fault> {
        self.tried(|_| self.resolve_once(reference)).await
    }

    async fn read_manifest(&self, reference: &Reference) -> Result<Option<RawManifest>, Fault> {
        self.tried(|_| self.read_manifest_once(reference)).await
    }

    async fn put_manifest(
        &self,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), Fault> {
        self.tried(|_| self.put_manifest_once(reference, manifest))
            .await
    }

    async fn tags(&self) -> Result<Vec<Tag>, Fault> {
        self.all_tags().await.map(|list| list.tags)
    }

    async fn tag_list(&self) -> Result<TagList, Fault> {
        self.all_tags().await
    }

    async fn more_tags(&self) -> Result<Vec<Tag>, Fault> {
        match &self.registry.0.api {
            Api::Hub(hub) => self.tags_on(hub).await,
            Api::Ghcr(_) | Api::Plain => Ok(Vec::new()),
        }
    }

    async fn immutable(&self, tags: &[Tag]) -> Result<Vec<Tag>, Fault> {
        match &self.registry.0.api {
            Api::Hub(hub) => self.tried(|_| self.immutable_on(hub, tags)).await,
            Api::Ghcr(_) | Api::Plain => Ok(Vec::new()),
        }
    }

    async fn remove_tag(&self, tag: &Tag) -> Result<bool, Fault> {
        let removed = self.tried(|_| self.untag_once(tag)).await;
        match removed {
            Ok(()) => Ok(true),
            // 405, or 400 UNSUPPORTED: most registries delete by digest only, and that takes all tags of it along.
            Err(fault) if fault.class == Class::Refused => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    async fn versions(&self) -> Result<Option<Vec<Version>>, Fault> {
        match &self.registry.0.api {
            Api::Ghcr(ghcr) => self.packaged_versions(ghcr).await.map(Some),
            Api::Hub(_) | Api::Plain => Ok(None),
        }
    }

    async fn referrers(&self, digest: Digest) -> Result<Option<Vec<Descriptor>>, Fault> {
        self.all_referrers(digest).await
    }

    async fn delete(&self, deletion: &Deletion) -> Result<Deleted, Fault> {
        match &self.registry.0.api {
            Api::Ghcr(ghcr) => self.delete_packaged(ghcr, deletion).await,
            Api::Hub(_) | Api::Plain => self.delete_manifest(deletion).await,
        }
    }

    async fn restore(&self, digest: Digest) -> Result<bool, Fault> {
        match &self.registry.0.api {
            Api::Ghcr(ghcr) => self.restore_packaged(ghcr, digest).await,
            Api::Hub(_) | Api::Plain => Ok(false),
        }
    }
}
