//! Decides how a directory store is handed out: the relay's own server, to read from, with the store behind it.
//! Must never write to the store, nor listen beyond loopback.

use crate::{
    error::{Error, Kind, Result},
    events::Events,
    model::{
        reference::{Reference, RepositoryName, Tag},
        report::ServingDocument,
    },
    relay::{Access, Options, Relay, Routes},
    store::Store,
    target::Target,
};
use std::{path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Tried first where no port is asked for: what people expect a registry to listen on.
const USUAL_PORT: u16 = 5000;

/// A store that is being served.
pub struct Serving {
    relay: Relay,
    references: Vec<String>,
}

struct Folder(Store);

impl Routes for Folder {
    fn targets(&self, name: &RepositoryName) -> Option<Vec<Arc<dyn Target>>> {
        let layout = self.0.existing(name)?;
        Some(vec![Arc::new(layout)])
    }
}

/// Serves the store in `folder` on loopback until [`Serving::stop`].
///
/// Fails where the folder is not there, or where `port` was asked for and is taken.
pub async fn start(folder: &Path, port: Option<u16>, events: Events) -> Result<Serving> {
    if !folder.is_dir() {
        return Err(Error::usage(
            "there is no such folder",
            folder.display().to_string(),
            "rpub release makes one, or name another",
        ));
    }
    let store = Store::new(folder);
    let names = store
        .names()
        .map_err(|e| Error::io("read the store", folder, &e))?;
    let routes = Arc::new(Folder(store.clone()));
    let options = Options {
        access: Access::ReadOnly,
        preferred_port: Some(port.unwrap_or(USUAL_PORT)),
    };
    let relay = Relay::start(options, routes, events, CancellationToken::new()).await?;
    let address = relay.address();
    if port.is_some_and(|port| port != 0 && port != address.port()) {
        relay.shutdown().await;
        return Err(Error::new(
            Kind::Failed,
            "the port is taken",
            format!("127.0.0.1:{}", port.unwrap_or_default()),
            "name another, or leave --port out",
        ));
    }
    let mut references = Vec::new();
    for name in names {
        let tags: Vec<Tag> = store.repository(&name).tags().await?;
        let at = |tag: Tag| format!("{address}/{name}:{}", Reference::Tag(tag));
        references.extend(tags.into_iter().map(at));
    }
    Ok(Serving { relay, references })
}

impl Serving {
    /// Where it listens and what it has.
    pub fn document(&self) -> ServingDocument {
        ServingDocument {
            address: self.relay.address().to_string(),
            references: self.references.clone(),
        }
    }

    /// Stops serving.
    pub async fn stop(self) {
        self.relay.shutdown().await;
    }
}
