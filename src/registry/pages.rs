//! Decides where the next page of a list is.
//! Must never lead away from who was asked, nor end a list where the next page cannot be asked for.

use super::answer::Answer;
use crate::model::fault::Fault;
use reqwest::Url;
use reqwest::header::LINK;

/// The page that an answer's Link header names next, which must be where `own` says.
pub(super) fn next(answer: &Answer, own: impl Fn(&Url) -> bool) -> Result<Option<Url>, Fault> {
    let link = linked(answer.header(LINK).unwrap_or_default());
    link.map(|link| at(answer, link, own)).transpose()
}

/// The page at an address that an answer gives, which must be where `own` says.
pub(super) fn at(answer: &Answer, link: &str, own: impl Fn(&Url) -> bool) -> Result<Url, Fault> {
    let url = answer.url.join(link).ok().filter(|url| own(url));
    url.ok_or_else(|| answer.content("its next page is somewhere else"))
}

/// The target of `rel="next"` in a Link header (RFC 8288).
fn linked(header: &str) -> Option<&str> {
    // A URL can hold commas, so that links are divided at their `<`.
    header.split('<').skip(1).find_map(|link| {
        let (target, params) = link.split_once('>')?;
        let is_next = params.split([';', ',']).any(|param| {
            let (key, value) = param.split_once('=').unwrap_or_default();
            let value = value.trim().trim_matches('"');
            key.trim().eq_ignore_ascii_case("rel")
                && value.split_whitespace().any(|rel| rel == "next")
        });
        is_next.then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_a_link_header() {
        for (header, expected) in [
            (
                r#"</v2/a/tags/list?last=b&n=2>; rel="next""#,
                Some("/v2/a/tags/list?last=b&n=2"),
            ),
            ("</x?a,b>;rel=next", Some("/x?a,b")),
            (
                r#"</p>; rel="prev", </n>; title=x; rel="last next""#,
                Some("/n"),
            ),
            (r#"</p>; rel="prev""#, None),
            ("</p", None),
            ("", None),
        ] {
            assert_eq!(linked(header), expected, "{header}");
        }
    }
}
