//! Decides what a registry's answer to a deletion means.
//! Must never delete anything that `model::retention` did not decide to delete.

use super::Remote;
use super::scope::Access;
use crate::model::fault::Fault;
use crate::model::retention::{Deleted, Deletion};
use reqwest::Method;

impl Remote {
    /// Deletes a manifest by digest, and with it every tag that names it: Docker Hub and plain registries.
    pub(super) async fn delete_manifest(&self, deletion: &Deletion) -> Result<Deleted, Fault> {
        self.tried(|number| self.delete_once(deletion, number > 0))
            .await
    }

    /// `again`: an earlier try may have got through, so that "not found" is what we want.
    async fn delete_once(&self, deletion: &Deletion, again: bool) -> Result<Deleted, Fault> {
        let call = self.call(Method::DELETE, &format!("manifests/{}", deletion.digest()))?;
        let answer = self.send(Access::Delete, call).await?;
        match answer.status {
            200 | 202 | 204 if !answer.is_html() => Ok(Deleted::Now),
            404 if again => Ok(Deleted::Now),
            404 if !answer.is_html() => Ok(Deleted::Before),
            _ => Err(answer.into_fault().await),
        }
    }
}
