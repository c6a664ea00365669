//! Decides how the bytes of a blob's file are read for the wire: in large pieces, each by one call off the runtime.
//! Must never move the file's own position: several readers share one file.

use bytes::Bytes;
use futures::stream::{Stream, try_unfold};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// Of a file so much is in memory at once, per upload.
const PIECE: u64 = 512 * 1024;

/// One reader of a file, from its beginning.
pub(super) struct Source {
    file: Arc<File>,
    at: u64,
}

impl Source {
    pub(super) fn new(file: Arc<File>) -> Self {
        Source { file, at: 0 }
    }

    /// How many bytes have been read.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// All before `end`.
    pub(super) fn pieces(self, end: u64) -> impl Stream<Item = io::Result<Bytes>> {
        try_unfold(self, move |mut source| async move {
            if source.at >= end {
                return Ok(None);
            }
            let piece = source.next(end).await?;
            Ok(Some((piece, source)))
        })
    }

    /// The next bytes, of those before `end`, which is beyond [`Source::at`]. An error where there are none.
    pub(super) async fn next(&mut self, end: u64) -> io::Result<Bytes> {
        let (file, at) = (Arc::clone(&self.file), self.at);
        let most = end.saturating_sub(at).min(PIECE);
        let read = move || {
            // It is far below what memory can address.
            let mut piece = vec![0; usize::try_from(most).unwrap_or_default()];
            let count = loop {
                match file.read_at(&mut piece, at) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
            piece.truncate(count);
            Ok(piece)
        };
        let piece: io::Result<Vec<u8>> = tokio::task::spawn_blocking(read).await?;
        let piece = piece?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += piece.len() as u64;
        Ok(piece.into())
    }
}
