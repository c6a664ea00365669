//! Decides whose engine is spoken to: this user's, or root's, which then is told to be rootful.
//! Must never let a request go to a socket that another user listens on, whatever its path leads to meanwhile.

use nix::{fcntl::OFlag, unistd::Uid};
use std::{
    fs::File,
    io,
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::UnixStream;

/// A socket, and who listens on it. Only this very socket is connected to from then on: one that gets its name later is
/// another.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    path: PathBuf,
    pinned: Arc<File>,
}

/// Why there is no engine to speak to.
#[derive(Debug)]
pub(super) enum NoPeer {
    /// The kernel's reason.
    Unreachable(io::Error),
    /// No connection came about in time.
    Silent,
    /// Another user listens there.
    Foreign(Uid),
}

impl Peer {
    /// The socket at a path, where this user or root listens on it. Nothing is sent.
    pub(super) async fn at(path: &Path, patience: Duration) -> Result<Self, NoPeer> {
        let peer = Self::pin(path).map_err(NoPeer::Unreachable)?;
        let connecting = UnixStream::connect(peer.address());
        let stream = tokio::time::timeout(patience, connecting)
            .await
            .map_err(|_| NoPeer::Silent)?
            .map_err(NoPeer::Unreachable)?;
        // Of the process that began to listen, as the kernel noted it then; with systemd's sockets that is the user's systemd.
        let owner = stream.peer_cred().map_err(NoPeer::Unreachable)?.uid();
        let owner = Uid::from_raw(owner);
        if owner != Uid::effective() && !owner.is_root() {
            return Err(NoPeer::Foreign(owner));
        }
        Ok(peer)
    }

    fn pin(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).custom_flags(OFlag::O_PATH.bits());
        Ok(Peer {
            path: path.to_owned(),
            pinned: Arc::new(options.open(path)?),
        })
    }

    /// Where it is, for people.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where this process connects to it, for as long as this value or one of its clones lives.
    pub(super) fn address(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.pinned.as_raw_fd()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[tokio::test]
    async fn podman_is_the_same_socket_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let patience = Duration::from_secs(20);
        assert!(Peer::at(&path, patience).await.is_err());
        let first = UnixListener::bind(&path).unwrap();
        let peer = Peer::at(&path, patience).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = UnixListener::bind(&path).unwrap();
        second.set_nonblocking(true).unwrap();
        UnixStream::connect(peer.address()).await.unwrap();
        assert_eq!(
            second.accept().unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(first);
        assert!(UnixStream::connect(peer.address()).await.is_err());
    }
}
