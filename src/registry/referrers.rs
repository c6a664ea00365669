//! Decides how a registry is asked what is about a manifest (OCI distribution-spec 1.1, "Listing Referrers").
//! Must never take half a list for a whole one, nor a registry without such a list for one with an empty list.

use super::answer::Answer;
use super::scope::Access;
use super::service::Api;
use super::transport::Call;
use super::{Remote, pages};
use crate::model::digest::Digest;
use crate::model::fault::{Class, Fault};
use crate::model::manifest::{Body, Descriptor, MANIFEST_LIMIT, RawManifest, media_type};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};

/// No list has more pages.
const PAGES: usize = 100;
/// Nothing has more about it.
const MOST: usize = 10_000;

/// What one question came to.
enum Page {
    /// These, and more at that address.
    Some(Vec<Descriptor>, Option<Url>),
    /// The registry has no such list.
    Unknown,
    /// There is no such repository or manifest; that says nothing about the registry.
    Nothing,
}

impl Remote {
    /// All that is about a manifest; none where the registry has no such list, which is asked for once only.
    pub(super) async fn all_referrers(
        &self,
        digest: Digest,
    ) -> Result<Option<Vec<Descriptor>>, Fault> {
        let known = &self.registry.0.lists_referrers;
        if known.get() == Some(&false) {
            return Ok(None);
        }
        let first = self.url(&format!("referrers/{digest}"))?;
        let mut all = Vec::new();
        let mut next = Some(first.clone());
        for number in 0..PAGES {
            let Some(url) = next else {
                return Ok(Some(all));
            };
            match self
                .tried(|_| self.referrer_page(&url, number == 0))
                .await?
            {
                Page::Unknown => {
                    let _ = known.set(false);
                    return Ok(None);
                }
                Page::Nothing => return Ok(None),
                Page::Some(page, after) => {
                    let _ = known.set(true);
                    all.extend(page);
                    next = after;
                }
            }
            if all.len() > MOST {
                break;
            }
        }
        let detail = format!("more than {MOST} manifests, or {PAGES} pages of them, are about it");
        let request = format!("GET {first}");
        Err(self.registry.fault(Class::Refused, &request, &detail))
    }

    async fn referrer_page(&self, url: &Url, first: bool) -> Result<Page, Fault> {
        let mut call = Call::new(Method::GET, url.clone());
        let index = HeaderValue::from_static(media_type::OCI_INDEX);
        call.headers.insert(ACCEPT, index);
        let mut answer = match &self.registry.0.api {
            // GHCR sends who asks to a page of its web site (artifacthub/hub#4785): it has no such list.
            Api::Ghcr(_) => {
                let scope = self.scope(Access::Pull);
                let answer = Box::pin(self.registry.authorized(&scope, &call)).await?;
                if first && answer.status == 303 {
                    return Ok(Page::Unknown);
                }
                answer
            }
            Api::Hub(_) | Api::Plain => self.send(Access::Pull, call).await?,
        };
        match answer.status {
            200 => {}
            404 if first && !answer.is_html() => return self.without(answer).await,
            _ => return Err(answer.into_fault().await),
        }
        let body = answer.body(MANIFEST_LIMIT).await?;
        let kind = answer.header(CONTENT_TYPE).unwrap_or_default();
        let list =
            RawManifest::parse(body, kind).map_err(|error| answer.content(error.to_string()))?;
        let (Body::Index(listed), media_type::OCI_INDEX) = (list.body(), list.media_type()) else {
            return Err(answer.content("this is no OCI index, as a list of referrers is"));
        };
        let after = pages::next(&answer, |url| self.registry.is_own(url))?;
        Ok(Page::Some(listed.clone(), after))
    }

    /// What a 404 means: who has the list never says so (the specification forbids it), except of what is not there.
    async fn without(&self, answer: Answer) -> Result<Page, Fault> {
        let mut fault = answer.into_fault().await;
        match fault.code.as_deref() {
            Some("NAME_UNKNOWN" | "MANIFEST_UNKNOWN") => Ok(Page::Nothing),
            _ if self.registry.0.lists_referrers.get() == Some(&true) => {
                let detail = "it listed referrers before, and now has no such list";
                let request = std::mem::take(&mut fault.request);
                Err(self.registry.fault(Class::Content, &request, detail))
            }
            _ => Ok(Page::Unknown),
        }
    }
}
