//! Decides what the loopback registry is to the rest of rpub: podman pushes to it once, every target gets the same bytes.
//! Must never listen beyond loopback, write a tag to what is released to, or keep anything after the run.

mod ahead;
mod answer;
mod blobs;
mod cache;
mod fanout;
mod listen;
mod manifests;
mod origin;
mod owner;
mod path;
mod range;
mod read_only;
mod server;
mod session;
mod spool;
mod stream;
mod upload;

use crate::error::{Error, Kind, Result};
use crate::events::Events;
use crate::model::{
    digest::Digest,
    fault::Fault,
    manifest::RawManifest,
    reference::{Reference, RepositoryName},
};
use crate::target::Target;
pub use cache::{Cache, Use};
pub use origin::BlobOrigin;
use owner::Kernel;
use secrecy::SecretString;
use server::{App, Gate, Mode};
use session::Session;
use spool::Spool;
pub use spool::sweep_spools;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Connections that are slow to end are cut after this long; everything that they did is void by then.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Who may do what.
#[derive(Debug, Clone)]
pub enum Access {
    /// podman pushes, with this password; blobs wait in a folder `spool-<random>` under `spool`.
    ReadWrite {
        /// What `Authorization: Basic` must carry, for the user [`Relay::user`].
        password: SecretString,
        /// The folder under which the spool is made; made too where it is missing.
        spool: PathBuf,
    },
    /// Everybody on this machine may read what the first target holds; nobody may write.
    ReadOnly,
}

impl Access {
    /// Read and write with a random password of 256 bits.
    pub fn with_random_password(spool: PathBuf) -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| {
            Error::io(
                "read random bytes",
                std::path::Path::new("/dev/urandom"),
                &io::Error::other(error),
            )
        })?;
        Ok(Access::ReadWrite {
            password: SecretString::from(Digest::of(&bytes).hex()),
            spool,
        })
    }
}

/// How a relay is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who may do what.
    pub access: Access,
    /// Taken if it is free, else any: with the same port podman knows the relay again, and remembers which compressed
    /// blob a layer became.
    pub preferred_port: Option<u16>,
}

/// Which targets a repository has.
pub trait Routes: Send + Sync + 'static {
    /// The targets of a repository; None where it is not part of this run. With no targets at all the relay alone holds
    /// what is pushed.
    fn targets(&self, name: &RepositoryName) -> Option<Vec<Arc<dyn Target>>>;

    /// Where a blob can be read that no target has: the layer of an image that ours begin with.
    fn origin(&self, _digest: Digest) -> Option<BlobOrigin> {
        None
    }

    /// Whether what podman sends to a repository is hardly ever there already, so that it may go on to the targets before
    /// its digest is known.
    fn sends_ahead(&self, _name: &RepositoryName) -> bool {
        true
    }

    /// The layer cache that a repository stands for, where it has no targets.
    fn cache(&self, _name: &RepositoryName) -> Option<Cache> {
        None
    }
}

/// What podman really sent as uploads; what it found here already is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes, in all.
    pub bytes: u64,
}

/// A running relay; dropping it stops it and removes its spool.
pub struct Relay {
    address: SocketAddr,
    password: SecretString,
    session: Option<Arc<Session>>,
    cancel: CancellationToken,
    server: JoinHandle<()>,
}

impl Relay {
    /// Binds 127.0.0.1, makes the spool, and serves until `cancel` or the end of the value.
    ///
    /// Fails where no port can be bound or the spool cannot be made.
    pub async fn start(
        options: Options,
        routes: Arc<dyn Routes>,
        events: Events,
        cancel: CancellationToken,
    ) -> Result<Relay> {
        let cancel = cancel.child_token();
        let listener = bind(options.preferred_port).await?;
        let address = listener.local_addr().map_err(|error| no_port(&error))?;
        let (mode, gate, password, session) = match options.access {
            Access::ReadOnly => (Mode::ReadOnly(routes), None, SecretString::default(), None),
            Access::ReadWrite { password, spool } => {
                let created = tokio::task::spawn_blocking(move || Spool::create(&spool)).await;
                let spool = created.map_err(|error| no_port(&io::Error::other(error)))??;
                let session = Session::new(routes, events, cancel.clone(), spool);
                let session = Arc::new(session);
                let gate = Gate::new(&password);
                let mode = Mode::ReadWrite(Arc::clone(&session));
                (mode, Some(gate), password, Some(session))
            }
        };
        let service = server::router(App {
            mode,
            gate,
            cancel: cancel.clone(),
        });
        // What is read-only is for everybody on this machine.
        let kernel = session.is_some().then(Kernel::new);
        let serving = listen::serve(listener, service, kernel, cancel.clone());
        let server = tokio::spawn(serving);
        Ok(Relay {
            address,
            password,
            session,
            cancel,
            server,
        })
    }

    /// Where it listens; always on 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The user to log in as.
    #[allow(
        clippy::unused_self,
        reason = "one place to ask for both halves of the login"
    )]
    pub fn user(&self) -> &str {
        server::USER
    }

    /// The password to log in with; empty where none is needed.
    pub fn password(&self) -> &SecretString {
        &self.password
    }

    /// Tells which config podman will push (an image's id in podman is its config's digest), so that podman may be told
    /// that the targets have it already: it is not compressed, and nothing else shows that it is no layer.
    pub fn expect_config(&self, name: &RepositoryName, digest: Digest) {
        if let Some(session) = &self.session {
            let mut state = session.state();
            let memory = state.memory(name);
            memory.steps.remove(&digest);
            memory.expected_configs.insert(digest);
        }
    }

    /// Tells which config podman will push with a step of a build: its layers go to the targets, the config and the
    /// manifest that names it do not.
    pub fn expect_step(&self, name: &RepositoryName, digest: Digest) {
        if let Some(session) = &self.session {
            session.state().memory(name).steps.insert(digest);
        }
    }

    /// The manifest or list that was pushed in this run; every target has confirmed it.
    pub fn pushed(&self, name: &RepositoryName, reference: &Reference) -> Option<RawManifest> {
        self.session.as_ref()?.state().manifest(name, reference)
    }

    /// The first fault since the last call behind an error that podman was answered for this repository. Until it is
    /// taken, pushes there are refused.
    pub fn take_fault(&self, name: &RepositoryName) -> Option<Fault> {
        self.session.as_ref()?.state().take_fault(name)
    }

    /// What podman really sent.
    pub fn received(&self) -> Received {
        let session = self.session.as_ref();
        session.map_or_else(Received::default, |session| session.state().received())
    }

    /// Bytes that we could still write to the spool's disk; an error for a relay that is read-only.
    pub fn spool_free(&self) -> io::Result<u64> {
        let session = self.session.as_ref();
        session
            .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?
            .spool
            .free()
    }

    /// Stops serving and sending, and removes the spool.
    pub async fn shutdown(mut self) {
        self.cancel.cancel();
        if let Err(error) = (&mut self.server).await {
            tracing::debug!(%error, "the relay ended");
        }
        if let Some(session) = self.session.clone() {
            session.tasks.close();
            session.tasks.wait().await;
            // Unlinking gigabytes takes a moment. It cannot fail but by a panic, and then Drop tries again.
            tokio::task::spawn_blocking(move || session.spool.remove())
                .await
                .ok();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(session) = &self.session {
            session.spool.remove();
        }
    }
}

async fn bind(preferred: Option<u16>) -> Result<TcpListener> {
    if let Some(port) = preferred
        && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
    {
        return Ok(listener);
    }
    let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    any.map_err(|error| no_port(&error))
}

fn no_port(error: &io::Error) -> Error {
    Error::new(
        Kind::Failed,
        format!("cannot open the relay: {error}"),
        "127.0.0.1",
        "check that programs may listen on loopback here",
    )
}
