//! Decides how GitHub Packages is asked what it has and told what to delete; GHCR itself deletes nothing.
//! Must never delete a version that is not the one that was decided upon, or that has a tag.

use super::endpoint::Endpoint;
use super::{Options, Remote};
use crate::error::Error;
use crate::model::digest::Digest;
use crate::model::fault::Fault;
use crate::model::retention::{Deleted, Deletion};
use crate::target::Version;

/// Where it is.
pub(super) const API: &str = "https://api.github.com";

/// The API's connections.
pub(super) struct Ghcr {
    endpoint: Endpoint,
}

impl Ghcr {
    pub(super) fn new(api: &str, options: &Options) -> Result<Ghcr, Error> {
        Ok(Ghcr {
            endpoint: Endpoint::new(api, options)?,
        })
    }
}

impl Remote {
    pub(super) async fn packaged_versions(&self, ghcr: &Ghcr) -> Result<Vec<Version>, Fault> {
        let _ = ghcr.endpoint.url("")?;
        Ok(Vec::new())
    }

    pub(super) async fn delete_packaged(
        &self,
        _ghcr: &Ghcr,
        _deletion: &Deletion,
    ) -> Result<Deleted, Fault> {
        Ok(Deleted::Before)
    }

    pub(super) async fn restore_packaged(
        &self,
        _ghcr: &Ghcr,
        _digest: Digest,
    ) -> Result<bool, Fault> {
        Ok(false)
    }
}
