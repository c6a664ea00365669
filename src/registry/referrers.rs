//! Decides how a registry is asked what is about a manifest (OCI distribution-spec 1.1, "Listing Referrers").
//! Must never take half a list for a whole one, nor a registry without such a list for one with an empty list.

use super::Remote;
use super::answer::Answer;
use super::limits::{Kind, REFERRERS};
use super::pages::{self, List, Next, Way};
use super::scope::Access;
use super::service::Api;
use super::transport::Call;
use crate::model::digest::Digest;
use crate::model::fault::{Class, Fault};
use crate::model::manifest::{Body, Descriptor, RawManifest, media_type};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};

/// What one question came to.
enum Page {
    /// These, and more at that address.
    Some(pages::Page<Digest, Descriptor>),
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
        let mut list = List::new(REFERRERS);
        let mut url = self.url(&format!("referrers/{digest}"))?;
        loop {
            let first = list.way == Way::First;
            let page = match self.tried(|_| self.referrer_page(&url, first)).await? {
                Page::Unknown => {
                    let _ = known.set(false);
                    return Ok(None);
                }
                Page::Nothing => return Ok(None),
                Page::Some(page) => page,
            };
            let _ = known.set(true);
            url = match list.take(page, &self.asked(&url))? {
                Next::Named(url) => url,
                // The specification has no way to ask for what comes after an entry.
                Next::After(_) | Next::End => {
                    return Ok(Some(list.entries.into_values().collect()));
                }
            };
        }
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
        let body = answer.body(Kind::Manifest).await?;
        let bytes = body.len();
        let kind = answer.header(CONTENT_TYPE).unwrap_or_default();
        let list =
            RawManifest::parse(body, kind).map_err(|error| answer.content(error.to_string()))?;
        let (Body::Index(listed), media_type::OCI_INDEX) = (list.body(), list.media_type()) else {
            return Err(answer.content("this is no OCI index, as a list of referrers is"));
        };
        let entries = listed.iter().map(|one| (one.digest, one.clone()));
        Ok(Page::Some(pages::Page {
            entries: entries.collect(),
            next: pages::next(&answer, |url| self.registry.is_own(url))?,
            bytes,
        }))
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
