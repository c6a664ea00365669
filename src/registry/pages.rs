//! Decides where the next page of a list is, and when a list is whole: a page without a next one is no end yet.
//! Must never lead away from who was asked, nor end a list where the next page cannot be asked for.

use super::answer::Answer;
use super::limits::Whole;
use crate::model::fault::{Class, Fault};
use reqwest::Url;
use reqwest::header::LINK;
use std::collections::BTreeMap;

/// How a page was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is the first.
    First,
    /// The page before names it.
    Named,
    /// The page before names none: it may have lost its Link on the way, so that the list is asked for what comes after.
    AskedOn,
}

/// One page of a list.
pub(super) struct Page<K, V> {
    /// What stands on it, in its order.
    pub(super) entries: Vec<(K, V)>,
    /// The page that it names next.
    pub(super) next: Option<Url>,
    /// How long it was.
    pub(super) bytes: usize,
}

impl<K, V> Page<K, V> {
    /// A page with nothing on it.
    pub(super) fn empty() -> Self {
        Page {
            entries: Vec::new(),
            next: None,
            bytes: 0,
        }
    }
}

/// Where a list goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<K> {
    /// There.
    Named(Url),
    /// Nothing names more: ask for what comes after this entry, the last of the list so far.
    After(K),
    /// It is whole.
    End,
}

/// A list that is read page by page.
pub(super) struct List<K, V> {
    most: Whole,
    /// All that was listed, each once.
    pub(super) entries: BTreeMap<K, V>,
    /// How many pages were read.
    pub(super) pages: usize,
    bytes: usize,
    last: Option<K>,
    /// Whether it was asked on since it last told something new.
    asked_on: bool,
    /// How its next page is found.
    pub(super) way: Way,
}

impl<K: Ord + Clone, V> List<K, V> {
    pub(super) fn new(most: Whole) -> Self {
        List {
            most,
            entries: BTreeMap::new(),
            pages: 0,
            bytes: 0,
            last: None,
            asked_on: false,
            way: Way::First,
        }
    }

    /// Takes in a page that `answered` to a request. The list is whole where it was asked for more and told nothing new.
    pub(super) fn take(
        &mut self,
        page: Page<K, V>,
        answered: &Asked<'_>,
    ) -> Result<Next<K>, Fault> {
        let known = self.entries.len();
        self.pages += 1;
        self.bytes = self.bytes.saturating_add(page.bytes);
        self.last = page
            .entries
            .last()
            .map(|(key, _)| key.clone())
            .or(self.last.take());
        self.entries.extend(page.entries);
        self.is_within(answered)?;
        self.asked_on &= self.entries.len() == known;
        let next = match (page.next, &self.last) {
            (Some(url), _) => Next::Named(url),
            (None, Some(last)) if !self.asked_on => Next::After(last.clone()),
            (None, _) => Next::End,
        };
        self.asked_on |= matches!(next, Next::After(_));
        self.way = match next {
            Next::Named(_) => Way::Named,
            Next::After(_) | Next::End => Way::AskedOn,
        };
        Ok(next)
    }

    fn is_within(&self, answered: &Asked<'_>) -> Result<(), Fault> {
        let Whole {
            of,
            pages,
            entries,
            bytes,
        } = self.most;
        let more = if self.entries.len() > entries {
            format!("{entries} {of}")
        } else if self.bytes > bytes {
            format!("{} MiB of {of}", bytes / (1024 * 1024))
        } else if self.pages >= pages {
            format!("{pages} pages of {of}")
        } else {
            return Ok(());
        };
        let detail = format!("it lists more than {more}, which is more than rpub reads");
        let (host, request) = (
            answered.host,
            format!("GET {}", super::answer::redacted(answered.url)),
        );
        Err(Fault::new(Class::Refused, host, request, detail))
    }
}

/// Who was asked for a page, and where.
pub(super) struct Asked<'a> {
    pub(super) host: &'a str,
    pub(super) url: &'a Url,
}

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
    use crate::registry::limits::TAGS;

    fn asked(
        list: &mut List<u32, ()>,
        entries: &[u32],
        next: Option<&str>,
    ) -> Result<Next<u32>, Fault> {
        let url = Url::parse("https://ghcr.io/v2/o/app/tags/list?n=1").unwrap();
        let page = Page {
            entries: entries.iter().map(|entry| (*entry, ())).collect(),
            next: next.map(|next| next.parse().unwrap()),
            bytes: 10,
        };
        list.take(
            page,
            &Asked {
                host: "ghcr.io",
                url: &url,
            },
        )
    }

    #[test]
    fn a_list_is_whole_when_asking_on_tells_nothing_new() {
        let named = Next::Named("https://x/".parse().unwrap());
        // Pages in any order, with and without a next one, one of them empty.
        let mut list = List::new(TAGS);
        assert_eq!(list.way, Way::First);
        assert_eq!(
            asked(&mut list, &[7, 3], Some("https://x/")).unwrap(),
            named
        );
        assert_eq!(list.way, Way::Named);
        assert_eq!(asked(&mut list, &[], None).unwrap(), Next::After(3));
        assert_eq!(list.way, Way::AskedOn);
        assert_eq!(asked(&mut list, &[3, 5], None).unwrap(), Next::After(5));
        assert_eq!(asked(&mut list, &[], None).unwrap(), Next::End);
        assert_eq!(list.entries.into_keys().collect::<Vec<_>>(), [3, 5, 7]);
        // Who does not know how to go on begins again, with all its pages.
        let mut list = List::new(TAGS);
        assert_eq!(asked(&mut list, &[1], Some("https://x/")).unwrap(), named);
        assert_eq!(asked(&mut list, &[2], None).unwrap(), Next::After(2));
        assert_eq!(asked(&mut list, &[1], Some("https://x/")).unwrap(), named);
        assert_eq!(asked(&mut list, &[2], None).unwrap(), Next::End);
        // There is nothing to ask on with.
        assert_eq!(asked(&mut List::new(TAGS), &[], None).unwrap(), Next::End);
    }

    #[test]
    fn a_list_has_a_bound_in_pages_entries_and_bytes() {
        let most = |pages, entries, bytes| Whole {
            pages,
            entries,
            bytes,
            ..TAGS
        };
        for (most, words) in [
            (most(2, 100, 100), "more than 2 pages of tags"),
            (most(100, 1, 100), "more than 1 tags"),
            (most(100, 100, 15), "more than 0 MiB of tags"),
        ] {
            let mut list = List::new(most);
            asked(&mut list, &[1], Some("https://x/")).unwrap();
            let fault = asked(&mut list, &[2], Some("https://x/")).unwrap_err();
            assert_eq!(fault.class, Class::Refused);
            assert!(fault.detail.contains(words), "{fault}");
            assert_eq!(fault.request, "GET https://ghcr.io/v2/o/app/tags/list");
        }
    }

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
