//! Decides how GHCR's registry differs from the real one behind it: it deletes nothing, and takes no large chunks.
//! Must never answer for an image: all but those answers come from the real registry.

use super::super::front::{Front, Rules, Said};
use super::super::registries::RegistryProcess;
use super::super::wire::Head;
use async_trait::async_trait;
use std::sync::Arc;

/// The largest chunk that a PATCH with Content-Range may bring.
const CHUNK: u64 = 4 * 1024 * 1024;

/// The registry as its users see it; it ends when this is dropped.
pub(super) type Face = Front<Shared>;

pub(super) struct Shared(Arc<RegistryProcess>);

pub(super) async fn before(registry: Arc<RegistryProcess>) -> Face {
    Front::of(Shared(registry)).await
}

#[async_trait]
impl Rules for Shared {
    fn registry(&self) -> &RegistryProcess {
        &self.0
    }

    async fn own_answer(&self, head: &Head) -> Option<Said> {
        let path = head.word(1);
        let length = head
            .get("content-length")
            .and_then(|text| text.parse().ok());
        let length: u64 = length.unwrap_or_default();
        match head.word(0) {
            "DELETE" if path.contains("/manifests/") => Some(Said::new(
                405,
                "UNSUPPORTED",
                "The operation is unsupported.",
            )),
            "PATCH" if head.get("content-range").is_some() && length > CHUNK => {
                Some(Said::new(416, "BLOB_UPLOAD_INVALID", "chunk too large"))
            }
            "GET" if path.contains("/referrers/") => {
                let mut said = Said::new(303, "", "");
                // Its web site; nothing on loopback answers so.
                said.headers
                    .push(("Location", "https://github.com/not-a-list"));
                Some(said)
            }
            _ if path.chars().any(|c| c.is_ascii_uppercase()) && path.starts_with("/v2/") => {
                let name = path.split("/blobs/").next()?.split("/manifests/").next()?;
                let upper = name.chars().any(|c| c.is_ascii_uppercase());
                upper.then(|| Said::new(404, "NAME_UNKNOWN", "repository name not known"))
            }
            _ => None,
        }
    }
}
