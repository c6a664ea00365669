//! Decides which bytes a request means: `Content-Range` of a chunk that comes, `Range` of a blob that goes.
//! Must never touch the bytes themselves.

/// What a `Range` header asks of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// No range, or one of a kind that may be ignored (RFC 9110, 14.2).
    Whole,
    /// From the first to the last byte, both included.
    Part(u64, u64),
    /// Nothing of it is there.
    Unsatisfiable,
}

/// Reads a `Range` header against a blob of `size` bytes.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some((from, to)) = header
        .and_then(|text| text.trim().strip_prefix("bytes="))
        .and_then(|text| text.split_once('-'))
    else {
        return Wanted::Whole;
    };
    let last = size.saturating_sub(1);
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from > to => Wanted::Whole,
        (Some(from), to) if to.is_some() || to_is_open(header) => {
            if from >= size {
                Wanted::Unsatisfiable
            } else {
                Wanted::Part(from, to.unwrap_or(last).min(last))
            }
        }
        (None, Some(count)) if from.trim().is_empty() => {
            if count == 0 || size == 0 {
                Wanted::Unsatisfiable
            } else {
                Wanted::Part(size.saturating_sub(count), last)
            }
        }
        _ => Wanted::Whole,
    }
}

fn to_is_open(header: Option<&str>) -> bool {
    header.is_some_and(|text| text.trim_end().ends_with('-'))
}

/// Reads a chunk's `Content-Range`, which the specification writes `<first>-<last>`; `bytes <first>-<last>/<size>`, as
/// RFC 9110 has it, is taken too. None where it is neither.
pub(super) fn content_range(text: &str) -> Option<(u64, u64)> {
    let text = text.trim();
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let text = text.split('/').next().unwrap_or_default();
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relay_ranges_of_a_blob() {
        for (header, expected) in [
            (None, Wanted::Whole),
            (Some("bytes=0-4"), Wanted::Part(0, 4)),
            (Some("bytes=3-"), Wanted::Part(3, 9)),
            (Some("bytes=-4"), Wanted::Part(6, 9)),
            (Some("bytes=-40"), Wanted::Part(0, 9)),
            (Some("bytes=9-100"), Wanted::Part(9, 9)),
            (Some("bytes=10-"), Wanted::Unsatisfiable),
            (Some("bytes=-0"), Wanted::Unsatisfiable),
            (Some("bytes=5-2"), Wanted::Whole),
            (Some("bytes=0-1,3-4"), Wanted::Whole),
            (Some("bytes=+0-1"), Wanted::Whole),
            (Some("bytes=-"), Wanted::Whole),
            (Some("lines=0-1"), Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn relay_ranges_of_a_chunk() {
        for (text, expected) in [
            ("0-9", Some((0, 9))),
            ("bytes 10-19/20", Some((10, 19))),
            ("bytes 10-19/*", Some((10, 19))),
            ("9-0", None),
            ("-9", None),
            ("+1-9", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(content_range(text), expected, "{text}");
        }
    }
}
