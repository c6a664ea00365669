//! Decides the ordinary case: what `latest` named before has another tag, so that nothing goes and nothing need be read.
//! Must never say so where a single list could go.

use super::{Decision, Kept, Root, Wish};
use crate::model::{digest::Digest, reference::Tag};
use std::collections::BTreeMap;

/// What stays, where every superseded list is still named by a tag itself; none where more must be known.
pub fn settled(tags: &BTreeMap<Tag, Digest>, wish: &Wish) -> Option<Decision> {
    if wish.sweep {
        return None;
    }
    let going = wish.superseded.iter().skip(wish.keep);
    let kept = going.map(|list| {
        let named = tags.iter().filter(|(_, named)| *named == list);
        // 1.2.3 says more than 1.2, and both more than latest.
        let (tag, _) = named.max_by_key(|(tag, _)| (!tag.is_latest(), tag.as_str().len()))?;
        Some(Kept {
            digest: *list,
            root: Root::Tag(tag.clone()),
            directly: true,
        })
    });
    Some(Decision {
        deletions: Vec::new(),
        kept: kept.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_itself_is_settled() {
        let [old, older] = [b"1", b"2"].map(|bytes| Digest::of(bytes));
        let tags = ["1.2", "1.2.3", "latest"].map(|tag| (tag.parse().unwrap(), old));
        let tags = BTreeMap::from(tags);
        let mut wish = Wish {
            superseded: vec![old],
            ..Wish::default()
        };
        let kept = settled(&tags, &wish).unwrap().kept;
        assert_eq!(kept[0].to_string(), "1.2.3 still points at it: kept");
        wish.superseded.push(older);
        assert_eq!(settled(&tags, &wish), None);
        wish.keep = 2;
        assert_eq!(settled(&tags, &wish), Some(Decision::default()));
        wish.sweep = true;
        assert_eq!(settled(&tags, &wish), None);
    }
}
