//! Decides what a registry's answer to a deletion means, and looks whether what was deleted is really gone.
//! Must never delete anything that `model::retention` did not decide to delete, nor believe that it is gone unseen.

use super::Remote;
use super::answer::Answer;
use super::scope::Access;
use super::service::Api;
use crate::model::digest::Digest;
use crate::model::doctor::registry::Delete;
use crate::model::fault::{Class, Fault};
use crate::model::retention::{Deleted, Deletion, Refusal};
use reqwest::Method;
use reqwest::header::WWW_AUTHENTICATE;
use std::sync::atomic::{AtomicBool, Ordering};

/// What came of one try.
enum Try {
    /// It said that it does so; whether it has is another question.
    Accepted,
    /// That is all.
    Done(Deleted),
}

/// How registries say that something still needs a manifest: they have no code for it.
const IN_USE: [&str; 5] = [
    "referenc",
    "in use",
    "being used",
    "is used by",
    "still used",
];

impl Remote {
    /// Whether the registry deletes, and lets us. A plain one is asked to delete a digest that nobody has; GitHub is asked
    /// for its list only, which already needs a login; Docker Hub is not asked.
    pub async fn may_delete(&self) -> Delete {
        if let Api::Ghcr(ghcr) = &self.registry.0.api {
            return match self.packaged_versions(ghcr).await {
                Err(fault) if matches!(fault.class, Class::Permission | Class::Auth) => {
                    Delete::NotPermitted
                }
                _ => Delete::Unknown,
            };
        }
        let mut nobody = [0; 32];
        let plain = matches!(self.registry.0.api, Api::Plain);
        if !plain || getrandom::fill(&mut nobody).is_err() {
            return Delete::Unknown;
        }
        let digest = Digest::of(&nobody);
        match self.tried(|_| self.delete_once(digest, false)).await {
            Ok(Try::Done(Deleted::Before)) => Delete::Yes,
            Ok(Try::Done(Deleted::Refused(Refusal::Never))) => Delete::Never,
            Ok(Try::Done(Deleted::Refused(Refusal::NotPermitted))) => Delete::NotPermitted,
            Err(fault) if matches!(fault.class, Class::Permission | Class::Auth) => {
                Delete::NotPermitted
            }
            _ => Delete::Unknown,
        }
    }

    /// Deletes a manifest by digest, and with it every tag that names it: Docker Hub and plain registries.
    pub(super) async fn delete_manifest(&self, deletion: &Deletion) -> Result<Deleted, Fault> {
        let digest = deletion.digest();
        let tried = self.tried(|number| self.delete_once(digest, number > 0));
        match tried.await {
            Ok(Try::Done(deleted)) => Ok(deleted),
            Ok(Try::Accepted) => {
                let gone = self.comes_to_an_end(digest).await?;
                Ok(if gone { Deleted::Now } else { background() })
            }
            Err(fault) => self.after_all(digest, fault).await,
        }
    }

    /// `again`: an earlier try may have got through, so that to find nothing is what we want.
    async fn delete_once(&self, digest: Digest, again: bool) -> Result<Try, Fault> {
        if again && !self.has_manifest(digest).await? {
            return Ok(Try::Done(Deleted::Now));
        }
        let call = self.call(Method::DELETE, &format!("manifests/{digest}"))?;
        let answer = self.send(Access::Delete, call).await?;
        match answer.status {
            200 | 202 | 204 if !answer.is_html() => Ok(Try::Accepted),
            404 if answer.is_html() => Err(answer.content("a web page, not a registry's answer")),
            404 if again => Ok(Try::Done(Deleted::Now)),
            404 => Ok(Try::Done(Deleted::Before)),
            405 => Ok(Try::Done(Deleted::Refused(Refusal::Never))),
            401 if wants_more(&answer) => Ok(Try::Done(Deleted::Refused(Refusal::NotPermitted))),
            _ => {
                let fault = answer.into_fault().await;
                if fault.status == Some(400) && fault.code.as_deref() == Some("UNSUPPORTED") {
                    return Ok(Try::Done(Deleted::Refused(Refusal::Never)));
                }
                Err(fault)
            }
        }
    }

    /// What it comes to where every try failed, the last one with `fault`.
    async fn after_all(&self, digest: Digest, fault: Fault) -> Result<Deleted, Fault> {
        let on_hub = matches!(self.registry.0.api, Api::Hub(_));
        match fault.class {
            Class::Permission | Class::Refused => {
                let refusal = match in_use(&fault) {
                    Some(words) => Refusal::InUse(words),
                    None if fault.class == Class::Permission => Refusal::NotPermitted,
                    None => return Err(fault),
                };
                // Who may not delete there may not always look either; to be refused twice is no other answer.
                match self.tried(|_| self.has_manifest(digest)).await {
                    Ok(false) => Ok(Deleted::Now),
                    Err(stopped) if stopped.class == Class::Cancelled => Err(stopped),
                    _ => Ok(Deleted::Refused(refusal)),
                }
            }
            // Docker Hub says 500 to what takes long, and goes on with it.
            Class::Server | Class::Transport | Class::Content => {
                match self.comes_to_an_end(digest).await {
                    Ok(true) => Ok(Deleted::Now),
                    Ok(false) if on_hub && fault.class == Class::Server => Ok(background()),
                    Err(stopped) if stopped.class == Class::Cancelled => Err(stopped),
                    _ => Err(fault),
                }
            }
            _ => Err(fault),
        }
    }

    /// Looks until it is gone, as often as the policy allows; false where it is there to the last.
    async fn comes_to_an_end(&self, digest: Digest) -> Result<bool, Fault> {
        let there = AtomicBool::new(false);
        let look = async || {
            there.store(false, Ordering::Relaxed);
            if !self.has_manifest(digest).await? {
                return Ok(());
            }
            there.store(true, Ordering::Relaxed);
            let request = format!("HEAD {}", self.repository.at(&digest.into()));
            let detail = "it is still there";
            Err(self.registry.fault(Class::Content, &request, detail))
        };
        match self.tried(|_| look()).await {
            Ok(()) => Ok(true),
            Err(fault) if fault.class == Class::Content && there.into_inner() => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Whether it is there: by HEAD, which Docker Hub does not count.
    async fn has_manifest(&self, digest: Digest) -> Result<bool, Fault> {
        let call = self.manifest_call(Method::HEAD, &digest.into())?;
        let answer = self.send(Access::Pull, call).await?;
        match answer.status {
            200 | 404 if answer.is_html() => {
                Err(answer.content("a web page, not a registry's answer"))
            }
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(answer.into_fault().await),
        }
    }
}

fn background() -> Deleted {
    Deleted::Refused(Refusal::Background)
}

/// Whether a fresh token does not serve: the token service gives out smaller ones to who may not delete (RFC 6750, 3.1).
fn wants_more(answer: &Answer) -> bool {
    let asked = answer.header(WWW_AUTHENTICATE).unwrap_or_default();
    asked.contains("insufficient_scope")
}

/// What a registry says of something that it keeps because something else needs it.
fn in_use(fault: &Fault) -> Option<String> {
    let said = fault.detail.to_lowercase();
    let says = IN_USE.iter().any(|words| said.contains(words));
    says.then(|| fault.detail.clone())
}
