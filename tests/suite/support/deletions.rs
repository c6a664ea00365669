//! Decides how a test gets a deletion to try a place with: from the rules, like everybody.
//! Must never make one by itself.

use rpub::model::digest::Digest;
use rpub::model::retention::{Deletion, Holdings, Links, Look, Wish, decide};
use std::collections::BTreeMap;

/// The deletion of a manifest that was `latest` and that nothing needs.
pub(crate) fn deletion_of(digest: Digest) -> Deletion {
    let holdings = Holdings {
        manifests: BTreeMap::from([(digest, Look::There(Links::default()))]),
        ..Holdings::default()
    };
    let wish = Wish {
        superseded: vec![digest],
        ..Wish::default()
    };
    let mut decision = decide(&holdings, &wish).unwrap();
    assert_eq!(decision.deletions.len(), 1);
    decision.deletions.remove(0)
}
