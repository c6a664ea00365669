//! Decides which tags are there for the sake of a manifest: signatures, SBOMs, and lists of what is about it.
//! Must never take a name that people could have given for one of these.

use crate::model::{digest::Digest, reference::Tag};

/// What cosign puts behind the digest; nothing is OCI's own list of referrers (distribution-spec, "Referrers Tag Schema").
const KINDS: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// What `sha256-<64 hex digits>`, with or without `.sig`, `.att` or `.sbom`, is about; none for any other tag.
fn subject_of(tag: &Tag) -> Option<Digest> {
    let rest = tag.as_str().strip_prefix("sha256-")?;
    let (hex, kind) = rest.split_at_checked(64)?;
    KINDS
        .contains(&kind)
        .then(|| format!("sha256:{hex}").parse().ok())?
}

/// What a tag on `named` says that `named` is about.
///
/// Nothing is about itself: who names a manifest by its own digest (mirrors do) wants it kept.
pub(super) fn about(tag: &Tag, named: Digest) -> Option<Digest> {
    subject_of(tag).filter(|subject| *subject != named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_digests_with_known_endings_are_about_something() {
        let digest = Digest::of(b"x");
        let hex = digest.hex();
        for (tag, expected) in [
            (format!("sha256-{hex}"), Some(digest)),
            (format!("sha256-{hex}.sig"), Some(digest)),
            (format!("sha256-{hex}.att"), Some(digest)),
            (format!("sha256-{hex}.sbom"), Some(digest)),
            (format!("sha256-{hex}.sign"), None),
            (format!("sha256-{hex}0"), None),
            (format!("sha256-{}", &hex[1..]), None),
            (format!("sha256-{}", hex.to_uppercase()), None),
            ("sha256-".to_owned(), None),
            ("latest".to_owned(), None),
        ] {
            let tag: Tag = tag.parse().unwrap();
            assert_eq!(subject_of(&tag), expected, "{tag}");
        }
    }
}
