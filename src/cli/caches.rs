//! Decides the flags of the layer cache, which every command that builds has.
//! Must never open one.

use crate::model::spec::{BadDestination, CachePlaces, RegistrySpec};
use std::str::FromStr;

/// Where steps that were built before are taken from, and new ones left.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Layer cache")]
pub(super) struct Caches {
    /// Take steps that did not change from this layer cache: HOST/NAMESPACE
    #[arg(long, value_name = "WHERE", env = "RPUB_CACHE_FROM")]
    cache_from: Option<Where>,
    /// Leave every step that is built in this layer cache: HOST/NAMESPACE
    #[arg(long, value_name = "WHERE", env = "RPUB_CACHE_TO")]
    cache_to: Option<Where>,
}

/// A place, or nothing where the text is empty.
#[derive(Debug, Clone)]
struct Where(Option<RegistrySpec>);

impl FromStr for Where {
    type Err = BadDestination;

    fn from_str(text: &str) -> Result<Self, BadDestination> {
        if text.is_empty() {
            return Ok(Where(None));
        }
        RegistrySpec::of_cache(text).map(|place| Where(Some(place)))
    }
}

impl From<Caches> for CachePlaces {
    fn from(flags: Caches) -> CachePlaces {
        CachePlaces {
            from: flags.cache_from.and_then(|place| place.0),
            to: flags.cache_to.and_then(|place| place.0),
        }
    }
}
