//! Decides how a package version is deleted and brought back, and what GitHub's refusals mean.
//! Must never delete a version that is not what was decided upon, or that has a tag which should stay.

use super::super::Remote;
use super::Ghcr;
use crate::model::digest::Digest;
use crate::model::fault::{Class, Fault};
use crate::model::retention::{Deleted, Deletion, Refusal};
use reqwest::Method;

impl Remote {
    /// Deletes the version of a manifest, if it is still what was decided upon.
    pub(in super::super) async fn delete_packaged(
        &self,
        ghcr: &Ghcr,
        deletion: &Deletion,
    ) -> Result<Deleted, Fault> {
        if self.registry.0.auth.login(&self.api_name).await?.is_none() {
            return Ok(Deleted::Refused(Refusal::NotLoggedIn));
        }
        let package = self.package(ghcr).await?;
        let known = ghcr.id(&package, deletion.digest()).is_some();
        let deleted = self.delete_listed(ghcr, &package, deletion).await?;
        if !(known && deleted == Deleted::Before) {
            return Ok(deleted);
        }
        // Pushed again since it was listed, it has another id.
        ghcr.forget(&package, deletion.digest());
        self.delete_listed(ghcr, &package, deletion).await
    }

    async fn delete_listed(
        &self,
        ghcr: &Ghcr,
        package: &str,
        deletion: &Deletion,
    ) -> Result<Deleted, Fault> {
        let Some(id) = self.version_of(ghcr, package, deletion.digest()).await? else {
            return Ok(Deleted::Before);
        };
        self.tried(|number| self.delete_version(ghcr, package, id, deletion, number > 0))
            .await
    }

    /// `again`: an earlier try may have got through.
    async fn delete_version(
        &self,
        ghcr: &Ghcr,
        package: &str,
        id: u64,
        deletion: &Deletion,
        again: bool,
    ) -> Result<Deleted, Fault> {
        let Some(now) = self.version(ghcr, package, id).await? else {
            return Ok(if again { Deleted::Now } else { Deleted::Before });
        };
        if now.digest != deletion.digest() {
            let why = format!("version {id} is {} now", now.digest);
            return Ok(Deleted::Refused(Refusal::Other(why)));
        }
        let others = now
            .tags
            .into_iter()
            .filter(|tag| !deletion.tags().contains(tag));
        let others: Vec<_> = others.collect();
        if !others.is_empty() {
            return Ok(Deleted::Refused(Refusal::Tagged(others)));
        }
        let url = ghcr.endpoint.url(&format!("{package}/versions/{id}"))?;
        let Some(answer) = self.ask_github(ghcr, Method::DELETE, url).await? else {
            return Ok(Deleted::Refused(Refusal::NotLoggedIn));
        };
        if answer.status == 204 {
            return Ok(Deleted::Now);
        }
        let status = answer.status;
        let fault = self.github_fault(answer).await;
        match status {
            400 | 422 if fault.detail.contains("last tagged version") => {
                Ok(Deleted::Refused(Refusal::LastTagged))
            }
            400 | 422 if fault.detail.contains("5000 downloads") => {
                Ok(Deleted::Refused(Refusal::Popular))
            }
            // "Package not found." is what GitHub says to who may see it and not delete it.
            403 | 404 if matches!(fault.class, Class::Permission | Class::NotFound) => {
                Ok(match self.version(ghcr, package, id).await? {
                    Some(_) => Deleted::Refused(Refusal::NotPermitted),
                    None => Deleted::Now,
                })
            }
            _ => Err(fault),
        }
    }

    /// Brings a version back that was deleted within 30 days; false where there is none of this digest.
    pub(in super::super) async fn restore_packaged(
        &self,
        ghcr: &Ghcr,
        digest: Digest,
    ) -> Result<bool, Fault> {
        let package = self.package(ghcr).await?;
        if let Some(id) = ghcr.id(&package, digest)
            && self
                .tried(|_| self.restore_version(ghcr, &package, id, digest))
                .await?
        {
            return Ok(true);
        }
        // Another process deleted it, or it was pushed and deleted again since: the newest is the one to bring back.
        let deleted = self.listed(ghcr, "deleted").await?;
        let of_it = deleted
            .iter()
            .filter(|(_, version)| version.digest == digest);
        let Some(id) = of_it.map(|(id, _)| *id).max() else {
            return Ok(false);
        };
        self.tried(|_| self.restore_version(ghcr, &package, id, digest))
            .await
    }

    async fn restore_version(
        &self,
        ghcr: &Ghcr,
        package: &str,
        id: u64,
        digest: Digest,
    ) -> Result<bool, Fault> {
        let url = ghcr
            .endpoint
            .url(&format!("{package}/versions/{id}/restore"))?;
        let Some(answer) = self.ask_github(ghcr, Method::POST, url).await? else {
            return Ok(false);
        };
        // 404: a try before this one did it, or 30 days are over. What is there tells.
        let odd = answer.status == 404 && answer.is_html();
        if odd || !matches!(answer.status, 204 | 404) {
            return Err(self.github_fault(answer).await);
        }
        let there = self.version(ghcr, package, id).await?;
        Ok(there.is_some_and(|version| version.digest == digest))
    }
}
