//! Decides how the bytes of an upload reach the disk: hashed as they come, in bounded memory, off the runtime.
//! Must never keep a file that was not finished: it goes with the value that holds it.

use super::{ahead::Ahead, spool::Spool};
use crate::model::{digest::Digest, reference::RepositoryName};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use std::{
    fs::File,
    io::{self, IoSlice, Write},
};
use tempfile::NamedTempFile;
use tokio::sync::{mpsc, watch};

/// Batches on their way to the disk, per upload: with the one that is written 2 MiB for each layer in flight.
const QUEUE: usize = 2;
/// podman writes chunks of 32 KiB. To wake a thread for each of them costs more than to hash it.
const BATCH: usize = 512 * 1024;

/// An upload that is not finished.
pub(super) struct Upload {
    /// Whose it is: another repository must not finish it.
    pub(super) repository: RepositoryName,
    file: NamedTempFile,
    hasher: Sha256,
    size: u64,
    /// How much of it can be read from the file.
    written: watch::Sender<u64>,
    ahead: Ahead,
}

/// An upload that is finished, and not yet checked.
pub(super) struct Finished {
    /// What it really is.
    pub(super) digest: Digest,
    /// In bytes.
    pub(super) size: u64,
    pub(super) file: NamedTempFile,
    /// What is on its way to the targets already.
    pub(super) ahead: Ahead,
}

/// Why an upload ended early; its file is gone.
#[derive(Debug)]
pub(super) enum Ended {
    /// The client went away, or broke the protocol.
    Client(String),
    /// The disk failed.
    Disk(io::Error),
}

enum Message {
    Batch(Vec<Bytes>),
    End,
}

impl Upload {
    /// An empty upload.
    pub(super) fn new(repository: RepositoryName, spool: &Spool) -> io::Result<Self> {
        Ok(Upload {
            repository,
            file: spool.new_file()?,
            hasher: Sha256::new(),
            size: 0,
            written: watch::Sender::new(0),
            ahead: Ahead::default(),
        })
    }

    /// The file that it is written to, and how much of that can be read.
    pub(super) fn growth(&self) -> io::Result<(File, watch::Receiver<u64>)> {
        Ok((self.file.as_file().try_clone()?, self.written.subscribe()))
    }

    /// It goes on to the targets while it comes.
    pub(super) fn follow(&mut self, ahead: Ahead) {
        self.ahead = ahead;
    }

    /// Bytes that it holds.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The `Range` header that tells how far it is: the last byte's number, with 0 for an empty one too (as
    /// the specification's own example has no word for "nothing yet").
    pub(super) fn range(&self) -> String {
        format!("0-{}", self.size.saturating_sub(1))
    }

    /// The digest of what it holds, and the file.
    pub(super) fn finish(self) -> Finished {
        Finished {
            digest: Digest::from_hasher(self.hasher),
            size: self.size,
            file: self.file,
            ahead: self.ahead,
        }
    }

    /// Appends a request's body. If the caller is dropped in the middle, the upload and its file are gone.
    pub(super) async fn append<S, E>(self, mut body: S) -> Result<Self, Ended>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = tokio::task::spawn_blocking(move || self.write(receiver));
        let mut failed = None;
        let (mut batch, mut held) = (Vec::new(), 0);
        loop {
            let chunk = match body.next().await {
                Some(Ok(chunk)) => Some(chunk),
                Some(Err(error)) => {
                    failed = Some(error.to_string());
                    break;
                }
                None => None,
            };
            let end = chunk.is_none();
            held += chunk.as_ref().map_or(0, Bytes::len);
            batch.extend(chunk);
            if held < BATCH && !end {
                continue;
            }
            held = 0;
            let mut written = sender
                .send(Message::Batch(std::mem::take(&mut batch)))
                .await;
            if end && written.is_ok() {
                written = sender.send(Message::End).await;
            }
            if written.is_err() {
                // The disk failed. Read what still comes: a client that cannot finish writing sees a broken
                // connection, which podman tries again, instead of our answer, which it does not.
                while let Some(Ok(_)) = body.next().await {}
            }
            if end || written.is_err() {
                break;
            }
        }
        drop(sender);
        let written = writer.await.map_err(|e| Ended::Disk(io::Error::other(e)))?;
        match (written.map_err(Ended::Disk)?, failed) {
            (Some(upload), None) => Ok(upload),
            (_, failed) => Err(Ended::Client(
                failed.unwrap_or_else(|| "the upload was cut off".to_owned()),
            )),
        }
    }

    /// Writes and hashes until the end is told; None where the sender left without telling it.
    fn write(mut self, mut batches: mpsc::Receiver<Message>) -> io::Result<Option<Self>> {
        while let Some(message) = batches.blocking_recv() {
            let Message::Batch(batch) = message else {
                return Ok(Some(self));
            };
            for chunk in &batch {
                self.hasher.update(chunk);
                self.size += chunk.len() as u64;
            }
            let mut slices: Vec<IoSlice<'_>> = batch.iter().map(|c| IoSlice::new(c)).collect();
            write_all(self.file.as_file_mut(), &mut slices)?;
            self.written.send_replace(self.size);
        }
        Ok(None)
    }
}

/// All of them, in as few calls as the system takes.
fn write_all(file: &mut File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    // Empty ones would look as if nothing more could be written.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut slices, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    fn chunks(parts: &[&'static str]) -> impl Stream<Item = Result<Bytes, io::Error>> + Unpin {
        stream::iter(
            parts
                .iter()
                .map(|part| Ok(Bytes::from_static(part.as_bytes())))
                .collect::<Vec<_>>(),
        )
    }

    #[tokio::test]
    async fn relay_upload_hashes_what_it_writes() {
        let parent = tempfile::tempdir().unwrap();
        let spool = Spool::create(parent.path()).unwrap();
        let upload = Upload::new("a".parse().unwrap(), &spool).unwrap();
        let upload = upload.append(chunks(&["one", "two"])).await.unwrap();
        assert_eq!(upload.range(), "0-5");
        let upload = upload.append(chunks(&["three"])).await.unwrap();
        let finished = upload.finish();
        assert_eq!(finished.digest, Digest::of(b"onetwothree"));
        assert_eq!(finished.size, 11);
        assert_eq!(std::fs::read(finished.file.path()).unwrap(), b"onetwothree");
    }

    #[tokio::test]
    async fn relay_upload_that_breaks_off_leaves_no_file() {
        let parent = tempfile::tempdir().unwrap();
        let spool = Spool::create(parent.path()).unwrap();
        let upload = Upload::new("a".parse().unwrap(), &spool).unwrap();
        let path = upload.file.path().to_owned();
        let broken = chunks(&["one"]).chain(stream::iter([Err(io::Error::other("reset"))]));
        assert!(matches!(upload.append(broken).await, Err(Ended::Client(_))));
        assert!(!path.exists());
    }
}
