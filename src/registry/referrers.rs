//! Decides how a registry is asked what is about a manifest.
//! Must never take half a list for a whole one, nor a registry without such a list for one with an empty list.

use super::Remote;
use crate::model::digest::Digest;
use crate::model::fault::Fault;
use crate::model::manifest::Descriptor;

impl Remote {
    pub(super) async fn all_referrers(
        &self,
        _digest: Digest,
    ) -> Result<Option<Vec<Descriptor>>, Fault> {
        Ok(None)
    }
}
