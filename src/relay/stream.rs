//! Decides how a blob's bytes go out: whole or in part, from the spool or from a target.
//! Must never let a client believe that bytes of another digest are the blob: the connection breaks instead.

use super::{
    answer::{Answer, CONTENT_DIGEST, Code, Refusal, answer},
    range::{Wanted, wanted},
};
use crate::model::{digest::Digest, fault::Fault};
use crate::target::{ByteStream, LocalBlob};
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use sha2::{Digest as _, Sha256};
use std::{io, ops::Range};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::{io::ReaderStream, sync::CancellationToken};

const CHUNK: usize = 256 * 1024;

/// What HEAD answers for a blob that is there.
pub(super) fn head(digest: Digest, size: u64) -> Response {
    answer(
        StatusCode::OK,
        [
            (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
            (header::CONTENT_LENGTH, size.to_string()),
            (header::ACCEPT_RANGES, "bytes".to_owned()),
            (CONTENT_DIGEST, digest.to_string()),
        ],
        Body::empty(),
    )
}

/// What GET answers from the spool, whose blobs are checked already.
pub(super) async fn from_spool(
    blob: &LocalBlob,
    headers: &HeaderMap,
    cancel: &CancellationToken,
) -> Result<Answer, io::Error> {
    let part = match part(headers, blob.size) {
        Ok(part) => part,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut file = tokio::fs::File::open(&blob.path).await?;
    file.seek(io::SeekFrom::Start(part.start)).await?;
    let bytes = ReaderStream::with_capacity(file.take(part.end - part.start), CHUNK);
    Ok(Ok(body(blob.digest, blob.size, &part, bytes, cancel)))
}

/// What GET answers from a target, whose bytes are checked while they pass.
pub(super) fn from_target(
    digest: Digest,
    (size, bytes): (u64, ByteStream),
    headers: &HeaderMap,
    cancel: &CancellationToken,
) -> Answer {
    let part = part(headers, size)?;
    let bytes = checked(bytes, digest, size, part.clone());
    Ok(body(digest, size, &part, bytes, cancel))
}

fn part(headers: &HeaderMap, size: u64) -> Result<Range<u64>, Refusal> {
    let asked = headers.get(header::RANGE).and_then(|v| v.to_str().ok());
    match wanted(asked, size) {
        Wanted::Whole => Ok(0..size),
        Wanted::Part(first, last) => Ok(first..last + 1),
        Wanted::Unsatisfiable => Err(Refusal::new(
            Code::RangeInvalid,
            format!("the blob has {size} bytes"),
        )
        .with(header::CONTENT_RANGE, &format!("bytes */{size}"))),
    }
}

fn body<E>(
    digest: Digest,
    size: u64,
    part: &Range<u64>,
    bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    cancel: &CancellationToken,
) -> Response
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, (part.end - part.start).to_string()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (CONTENT_DIGEST, digest.to_string()),
    ];
    // Ending early is an error to the client, because the length was told.
    let bytes = bytes.take_until(cancel.clone().cancelled_owned());
    let body = Body::from_stream(bytes);
    if *part == (0..size) {
        return answer(StatusCode::OK, headers, body);
    }
    let mut partial = answer(StatusCode::PARTIAL_CONTENT, headers, body);
    let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
    if let Ok(range) = range.parse() {
        partial.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    partial
}

/// The bytes of `part`; everything is hashed, and the last of them is held back until the digest is known to be right.
fn checked(
    bytes: ByteStream,
    digest: Digest,
    size: u64,
    part: Range<u64>,
) -> impl Stream<Item = Result<Bytes, BrokenBlob>> + Send + 'static {
    struct Check {
        bytes: Option<ByteStream>,
        hasher: Sha256,
        position: u64,
        held: Option<Bytes>,
    }
    let check = Check {
        bytes: Some(bytes),
        hasher: Sha256::new(),
        position: 0,
        held: None,
    };
    stream::try_unfold(check, move |mut check| {
        let part = part.clone();
        async move {
            let Some(mut bytes) = check.bytes.take() else {
                return Ok(None);
            };
            while let Some(chunk) = bytes.next().await {
                let chunk = chunk.map_err(BrokenBlob::Fault)?;
                check.hasher.update(&chunk);
                let from = check.position;
                check.position += chunk.len() as u64;
                if check.position > size {
                    return Err(BrokenBlob::Other(digest));
                }
                let wanted = window(from, &part, chunk.len());
                if !wanted.is_empty()
                    && let Some(ready) = check.held.replace(chunk.slice(wanted))
                {
                    check.bytes = Some(bytes);
                    return Ok(Some((ready, check)));
                }
            }
            let right = Digest::from_hasher(check.hasher.clone()) == digest;
            if !right || check.position != size {
                return Err(BrokenBlob::Other(digest));
            }
            Ok(check.held.take().map(|last| (last, check)))
        }
    })
}

/// The part of a chunk, which begins at `from` in the blob, that lies within `part`.
fn window(from: u64, part: &Range<u64>, length: usize) -> Range<usize> {
    let inside = |position: u64| {
        // Beyond usize means beyond the chunk.
        usize::try_from(position.saturating_sub(from)).map_or(length, |p| p.min(length))
    };
    inside(part.start)..inside(part.end)
}

/// Why a blob's bytes end early.
#[derive(Debug, thiserror::Error)]
enum BrokenBlob {
    #[error("{0}")]
    Fault(Fault),
    #[error("the bytes are not those of {0}")]
    Other(Digest),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(parts: &[&'static [u8]]) -> ByteStream {
        let parts: Vec<_> = parts.iter().map(|p| Ok(Bytes::from_static(p))).collect();
        stream::iter(parts).boxed()
    }

    async fn collected(parts: &[&'static [u8]], whole: &[u8], part: Range<u64>) -> (Vec<u8>, bool) {
        let size = whole.len() as u64;
        let stream = checked(bytes(parts), Digest::of(whole), size, part);
        let mut stream = std::pin::pin!(stream);
        let mut out = Vec::new();
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => out.extend_from_slice(&chunk),
                Err(_) => return (out, false),
            }
        }
        (out, true)
    }

    #[tokio::test]
    async fn relay_streams_what_is_right() {
        let parts: [&[u8]; 4] = [b"ab", b"cde", b"", b"f"];
        for (part, expected) in [
            (0..6, "abcdef"),
            (0..1, "a"),
            (1..4, "bcd"),
            (5..6, "f"),
            (2..6, "cdef"),
        ] {
            let (out, whole) = collected(&parts, b"abcdef", part.clone()).await;
            assert_eq!(
                (out.as_slice(), whole),
                (expected.as_bytes(), true),
                "{part:?}"
            );
        }
        assert_eq!(collected(&[], b"", 0..0).await, (Vec::new(), true));
    }

    #[tokio::test]
    async fn relay_streams_never_finish_what_is_wrong() {
        for parts in [
            [b"ab".as_slice(), b"cX", b"ef"],
            [b"ab", b"cd", b"e"],
            [b"ab", b"cd", b"efg"],
        ] {
            let (out, whole) = collected(&parts, b"abcdef", 0..6).await;
            assert!(!whole);
            assert!(out.len() < 6);
        }
    }
}
