//! Decides how a blob is read: as a stream that goes on where a connection broke off.
//! Must never hold more than one piece in memory, nor give more or fewer bytes than the registry announced.

use super::Remote;
use super::answer::Answer;
use super::scope::Access;
use crate::model::digest::Digest;
use crate::model::fault::{Class, Fault};
use crate::target::ByteStream;
use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use reqwest::Method;
use reqwest::header::{HeaderValue, RANGE};

/// A blob on its way.
struct Download {
    remote: Remote,
    digest: Digest,
    size: u64,
    got: u64,
    /// The open answer; `None` after a break.
    answer: Option<Answer>,
    /// Bytes that come again, because the registry does not know ranges.
    skip: u64,
    /// Breaks that may still follow each other without a byte between them.
    breaks_left: u32,
}

/// Opens a blob, if it is there.
pub(super) async fn open(
    remote: Remote,
    digest: Digest,
) -> Result<Option<(u64, ByteStream)>, Fault> {
    let opened = remote.tried(|_| request(&remote, digest, 0)).await?;
    let Some(answer) = opened else {
        return Ok(None);
    };
    let Some(size) = answer.length() else {
        return Err(answer.content("it does not say how long the blob is"));
    };
    let breaks_left = remote.registry.0.retry.policy().tries;
    let download = Download {
        remote,
        digest,
        size,
        got: 0,
        answer: Some(answer),
        skip: 0,
        breaks_left,
    };
    let stream = futures::stream::try_unfold(download, |mut download| async move {
        Ok(download.next().await?.map(|bytes| (bytes, download)))
    });
    Ok(Some((size, stream.boxed())))
}

async fn request(remote: &Remote, digest: Digest, from: u64) -> Result<Option<Answer>, Fault> {
    let mut call = remote.call(Method::GET, &format!("blobs/{digest}"))?;
    // Digits and a hyphen always make a header.
    if from > 0
        && let Ok(range) = HeaderValue::from_str(&format!("bytes={from}-"))
    {
        call.headers.insert(RANGE, range);
    }
    let answer = remote.send(Access::Pull, call).await?;
    match answer.status {
        200 | 206 if answer.is_html() => Err(answer.content("a web page, not a blob")),
        200 => Ok(Some(answer)),
        206 if from > 0 => Ok(Some(answer)),
        404 if !answer.is_html() => Ok(None),
        _ => Err(answer.into_fault().await),
    }
}

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            if self.got == self.size {
                return Ok(None);
            }
            let remote = self.remote.clone();
            let mut answer = match self.answer.take() {
                Some(answer) => answer,
                None => self.reopen(&remote).await?,
            };
            let piece = remote
                .registry
                .0
                .retry
                .unless_cancelled(answer.chunk())
                .await?;
            let mut bytes = match piece {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    let detail =
                        format!("unexpected end after {} of {} bytes", self.got, self.size);
                    self.broke(answer.as_fault(Class::Transport, detail))?;
                    continue;
                }
                Err(fault) => {
                    self.broke(fault)?;
                    continue;
                }
            };
            let again = usize::try_from(self.skip)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            bytes.advance(again);
            self.skip -= again as u64;
            if self.got + bytes.len() as u64 > self.size {
                return Err(answer.content("the blob is longer than announced"));
            }
            self.answer = Some(answer);
            if !bytes.is_empty() {
                self.got += bytes.len() as u64;
                self.breaks_left = remote.registry.0.retry.policy().tries;
                return Ok(Some(bytes));
            }
        }
    }

    fn broke(&mut self, fault: Fault) -> Result<(), Fault> {
        self.breaks_left = self.breaks_left.saturating_sub(1);
        if self.breaks_left == 0 {
            return Err(fault);
        }
        tracing::debug!(fault = %fault, got = self.got, "a download broke off; going on");
        Ok(())
    }

    async fn reopen(&mut self, remote: &Remote) -> Result<Answer, Fault> {
        let (digest, got) = (self.digest, self.got);
        let opened = remote.tried(|_| request(remote, digest, got)).await?;
        let Some(answer) = opened else {
            let detail = "the blob went away while it was read";
            let request = remote.repository.at(&digest.into());
            return Err(remote.registry.fault(Class::NotFound, &request, detail));
        };
        self.skip = if answer.status == 200 { got } else { 0 };
        Ok(answer)
    }
}
