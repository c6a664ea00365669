//! Decides how a real podman's requests are changed on their way: a unix socket before its own.
//! Must never answer in podman's place.

use std::io::{Read as _, Write as _, copy};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A socket before podman's, in a folder of its own.
pub(crate) struct UnixProxy {
    folder: TempDir,
}

impl UnixProxy {
    /// Every request's head goes through `change`; one request per connection, so that each has its head seen.
    pub(crate) fn before(
        podman: &Path,
        change: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let (podman, change) = (podman.to_owned(), Arc::new(change));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (podman, change) = (podman.clone(), Arc::clone(&change));
                // A side that hangs up ends its thread; that is all there is to do about it.
                std::thread::spawn(move || serve(client, &podman, &*change));
            }
        });
        UnixProxy { folder }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }
}

fn serve(
    mut client: UnixStream,
    podman: &Path,
    change: &dyn Fn(&str) -> String,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let head = change(&head).replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut server = UnixStream::connect(podman)?;
    server.write_all(head.as_bytes())?;
    let (mut asking, mut asked) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = copy(&mut asking, &mut asked);
        // The client hung up: podman must see it.
        let _ = asked.shutdown(std::net::Shutdown::Both);
    });
    copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}
