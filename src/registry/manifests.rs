//! Decides how manifests and tags are read, written and deleted, and that what a registry stored is what it was sent.
//! Must never trust a 201: what was written is asked for again.

use super::Remote;
use super::answer::Answer;
use super::limits::{Kind, TAGS};
use super::pages::{self, List, Next, Way};
use super::scope::Access;
use super::transport::{Call, Payload};
use crate::model::digest::Digest;
use crate::model::fault::{Class, Fault};
use crate::model::manifest::{RawManifest, media_type};
use crate::model::reference::{BadName, Reference, Tag};
use crate::target::TagList;
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;

#[derive(Deserialize)]
struct TagPage {
    tags: Option<Vec<String>>,
}

impl Remote {
    pub(super) fn manifest_call(
        &self,
        method: Method,
        reference: &Reference,
    ) -> Result<Call, Fault> {
        let mut call = self.call(method, &format!("manifests/{reference}"))?;
        for kind in media_type::ALL {
            call.headers.append(ACCEPT, HeaderValue::from_static(kind));
        }
        Ok(call)
    }

    /// What a reference names: by HEAD, or where that has no usable digest, by GET.
    pub(super) async fn resolve_once(
        &self,
        reference: &Reference,
    ) -> Result<Option<Digest>, Fault> {
        let call = self.manifest_call(Method::HEAD, reference)?;
        let answer = self.send(Access::Pull, call).await?;
        match answer.status {
            404 => return Ok(None),
            200 if answer.is_html() => return Err(answer.content("a web page, not a manifest")),
            200 => {}
            _ => return Err(answer.into_fault().await),
        }
        let Some(digest) = answer.digest() else {
            let manifest = self.read_manifest_once(reference).await?;
            return Ok(manifest.map(|manifest| manifest.digest()));
        };
        is_the_one_asked_for(&answer, reference, digest)?;
        Ok(Some(digest))
    }

    pub(super) async fn read_manifest_once(
        &self,
        reference: &Reference,
    ) -> Result<Option<RawManifest>, Fault> {
        let call = self.manifest_call(Method::GET, reference)?;
        let mut answer = self.send(Access::Pull, call).await?;
        match answer.status {
            404 if !answer.is_html() => return Ok(None),
            200 if answer.is_html() => return Err(answer.content("a web page, not a manifest")),
            200 => {}
            _ => return Err(answer.into_fault().await),
        }
        let body = answer.body(Kind::Manifest).await?;
        let kind = answer.header(CONTENT_TYPE).unwrap_or_default();
        let manifest =
            RawManifest::parse(body, kind).map_err(|error| answer.content(error.to_string()))?;
        is_the_one_asked_for(&answer, reference, manifest.digest())?;
        self.check_digest(&answer, manifest.digest())?;
        Ok(Some(manifest))
    }

    pub(super) async fn put_manifest_once(
        &self,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), Fault> {
        let mut call = self.call(Method::PUT, &format!("manifests/{reference}"))?;
        let request = format!("PUT {}", self.repository.at(reference));
        let refused = |detail: &str| self.registry.fault(Class::Refused, &request, detail);
        if let Reference::Digest(digest) = reference
            && *digest != manifest.digest()
        {
            return Err(refused("these bytes have another digest: nothing was sent"));
        }
        let kind = HeaderValue::from_str(manifest.media_type())
            .map_err(|_| refused("its media type is none"))?;
        call.headers.insert(CONTENT_TYPE, kind);
        call.payload = Payload::Bytes(Bytes::copy_from_slice(manifest.bytes()));
        let answer = self.send(Access::Push, call).await?;
        if answer.status != 201 {
            return Err(answer.into_fault().await);
        }
        self.check_digest(&answer, manifest.digest())?;
        match self.resolve_once(reference).await? {
            Some(stored) if stored == manifest.digest() => Ok(()),
            Some(stored) => {
                let sent = manifest.digest();
                Err(answer.content(format!("it was sent {sent} and now has {stored}")))
            }
            None => Err(answer.content("it said that it stored this, and does not have it")),
        }
    }

    /// Takes a tag away, where the registry can (OCI distribution-spec, "Deleting tags").
    pub(super) async fn untag_once(&self, tag: &Tag) -> Result<(), Fault> {
        let call = self.call(Method::DELETE, &format!("manifests/{tag}"))?;
        let answer = self.send(Access::Delete, call).await?;
        match answer.status {
            200 | 202 | 204 if !answer.is_html() => Ok(()),
            404 => Ok(()),
            _ => Err(answer.into_fault().await),
        }
    }

    /// All tags; with a doubt where the registry does not let it be known whether they are all.
    pub(super) async fn all_tags(&self) -> Result<TagList, Fault> {
        let mut list = List::new(TAGS);
        let mut url = self.url("tags/list?n=1000")?;
        loop {
            let way = list.way;
            let page = match self.tried(|_| self.tag_page(&url, way)).await {
                // Some know nothing but their own way to the next page.
                Err(fault)
                    if way == Way::AskedOn
                        && matches!(fault.class, Class::Refused | Class::NotFound) =>
                {
                    return Ok(TagList {
                        tags: list.entries.into_keys().collect(),
                        doubt: Some(fault),
                    });
                }
                page => page?,
            };
            url = match list.take(page, &self.asked(&url))? {
                Next::Named(url) => url,
                Next::After(tag) => self.url(&format!("tags/list?n=1000&last={tag}"))?,
                Next::End => {
                    return Ok(TagList::whole(list.entries.into_keys().collect()));
                }
            };
        }
    }

    /// One page of tags, and where the next one is.
    ///
    /// A repository that does not exist has no tags; a list that ends in the middle is a fault.
    async fn tag_page(&self, url: &Url, way: Way) -> Result<pages::Page<Tag, ()>, Fault> {
        let call = Call::new(Method::GET, url.clone());
        let mut answer = self.send(Access::Pull, call).await?;
        match answer.status {
            404 if way == Way::First && !answer.is_html() => return Ok(pages::Page::empty()),
            200 => {}
            _ => return Err(answer.into_fault().await),
        }
        let body = answer.body(Kind::Tags).await?;
        let page: TagPage = serde_json::from_slice(&body)
            .map_err(|_| answer.content("this is no list of tags in JSON"))?;
        // A tag that we cannot name could still hold an image alive: better no list than one with holes.
        let texts = page.tags.unwrap_or_default();
        let tags: Result<Vec<_>, _> = texts.iter().map(|tag| Ok((tag.parse()?, ()))).collect();
        Ok(pages::Page {
            entries: tags.map_err(|error: BadName| answer.content(error.to_string()))?,
            next: pages::next(&answer, |url| self.registry.is_own(url))?,
            bytes: body.len(),
        })
    }

    /// This registry, asked at `url`.
    pub(super) fn asked<'a>(&'a self, url: &'a Url) -> pages::Asked<'a> {
        pages::Asked {
            host: self.registry.0.host.as_str(),
            url,
        }
    }
}

fn is_the_one_asked_for(
    answer: &Answer,
    reference: &Reference,
    found: Digest,
) -> Result<(), Fault> {
    match reference {
        Reference::Digest(digest) if *digest != found => {
            Err(answer.content(format!("asked for {digest}, it gave {found}")))
        }
        _ => Ok(()),
    }
}
