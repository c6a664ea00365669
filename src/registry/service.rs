//! Decides whose own API stands beside a registry, if anybody's.
//! Must never ask it anything: `docker_hub` and `ghcr` do.

use super::Options;
use super::docker_hub::{self, Hub};
use super::ghcr::{self, Ghcr};
use crate::error::Error;
use crate::model::spec::Service;

/// The API of the service that runs a registry.
pub(super) enum Api {
    /// GitHub Packages.
    Ghcr(Ghcr),
    /// Docker Hub's.
    Hub(Hub),
    /// None.
    Plain,
}

impl Api {
    pub(super) fn new(options: &Options) -> Result<Api, Error> {
        let at = |usual| match &options.api {
            Some(api) => Ok(api.as_str()),
            // Its usual place is the service's own registry's: no other registry's login may go there.
            None if options.service == Service::of(&options.host) => Ok(usual),
            None => Err(Error::usage(
                "nothing says where this service has its API",
                options.host.as_str(),
                format!("name it: --registry-api {}=URL", options.host),
            )),
        };
        Ok(match options.service {
            Service::Ghcr => Api::Ghcr(Ghcr::new(at(ghcr::API)?, options)?),
            Service::DockerHub => Api::Hub(Hub::new(at(docker_hub::API)?, options)?),
            Service::Plain => Api::Plain,
        })
    }
}
