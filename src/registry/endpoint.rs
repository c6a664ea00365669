//! Decides how the API that a service has beside its registry is reached: its own address, its own connections and gate.
//! Must never be asked with a registry's token, nor reached by plain HTTP off this machine.

use super::answer::Answer;
use super::transport::{Call, Transport};
use super::{Options, may_go};
use crate::error::Error;
use crate::model::fault::{Class, Fault};
use crate::model::spec::Service;
use crate::retry::HostGate;
use reqwest::Url;
use reqwest::header::HeaderValue;

/// An API's address and connections.
pub(super) struct Endpoint {
    base: Url,
    transport: Transport,
}

impl Endpoint {
    /// At `api`; time-outs, certificates and policy are the registry's.
    pub(super) fn new(api: &str, options: &Options) -> Result<Endpoint, Error> {
        let wrong = || {
            Error::usage(
                "this is no https address",
                format!("api = {api:?}"),
                "leave it out: where the usual ones are is known",
            )
        };
        let base = Url::parse(api).map_err(|_| wrong())?;
        if !may_go(&base, options.insecure) {
            return Err(wrong());
        }
        let own = Options {
            host: base.authority().parse().map_err(|_| wrong())?,
            service: Service::Plain,
            api: None,
            ..options.clone()
        };
        let gate = HostGate::new(own.host.as_str(), own.policy);
        Ok(Endpoint {
            transport: Transport::new(&own, gate)?,
            base,
        })
    }

    /// A URL of it. GitHub Enterprise's API has a path of its own, which stays.
    pub(super) fn url(&self, path: &str) -> Result<Url, Fault> {
        let whole = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        Url::parse(&whole).map_err(|_| {
            let detail = "its path makes no URL";
            Fault::new(Class::Refused, self.base.as_str(), path, detail)
        })
    }

    /// Whether a URL is on it, so that what belongs to it may go there.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    pub(super) async fn send(
        &self,
        call: &Call,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, Fault> {
        self.transport.send(call, authorization).await
    }
}
