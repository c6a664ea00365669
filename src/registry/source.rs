//! Decides how the bytes of a blob's file are read for the wire: in large pieces, each by one call off the runtime.
//! Must never move the file's own position: several readers share one file.

use bytes::{Bytes, BytesMut};
use futures::stream::{Stream, try_unfold};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// Of a file so much is in memory at once, per upload.
const PIECE: u64 = 256 * 1024;
/// So many pieces are between here and the wire; the one before them is sent.
const IN_FLIGHT: usize = 2;

/// One reader of a file, from its beginning.
pub(super) struct Source {
    file: Arc<File>,
    at: u64,
    /// Pieces that were given out: what is sent by now can be filled again.
    given: VecDeque<Bytes>,
}

impl Source {
    pub(super) fn new(file: Arc<File>) -> Self {
        Source {
            file,
            at: 0,
            given: VecDeque::new(),
        }
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
        // It is far below what memory can address.
        let most = usize::try_from(end.saturating_sub(at).min(PIECE)).unwrap_or_default();
        let mut piece = self.empty();
        let read = move || {
            piece.resize(most, 0);
            let count = loop {
                match file.read_at(&mut piece, at) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
            piece.truncate(count);
            Ok(piece)
        };
        let piece: io::Result<BytesMut> = tokio::task::spawn_blocking(read).await?;
        let piece = piece?.freeze();
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += piece.len() as u64;
        self.given.push_back(piece.clone());
        Ok(piece)
    }

    /// Memory for a piece: as it was left, where the oldest one that was given out is nobody's any more.
    fn empty(&mut self) -> BytesMut {
        if self.given.len() < IN_FLIGHT {
            return BytesMut::new();
        }
        let oldest = self.given.pop_front().map(Bytes::try_into_mut);
        oldest.and_then(Result::ok).unwrap_or_default()
    }
}
