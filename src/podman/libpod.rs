//! Decides how a libpod call is made where podman-api cannot make it: the path, the limits on what comes back.
//! Must never read an answer without a bound, or let a header's secret into an error.

use super::engine_error;
use super::peer::Peer;
use crate::error::{Error, Result};
use crate::model::fault::{causes, one_line};
use bytes::{Buf, BytesMut};
use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// Servers of 4.x and 5.x convert their newer models for it, and nothing we need was removed.
const API: &str = "v4.0.0";
/// No error document is larger.
const DOCUMENT_LIMIT: usize = 64 * 1024;
/// No line of a stream is longer; what is beyond is dropped.
const LINE_LIMIT: usize = 1024 * 1024;

/// HTTP over podman's socket.
#[derive(Debug, Clone)]
pub(super) struct Libpod {
    http: reqwest::Client,
    /// What all URLs begin with; nobody looks at its host.
    root: reqwest::Url,
    peer: Peer,
}

/// podman's own words for a failure.
#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(default)]
    cause: String,
    #[serde(default)]
    message: String,
}

impl Libpod {
    /// A client; nothing is sent yet.
    pub(super) fn new(peer: &Peer) -> Result<Self> {
        // reqwest wants a TLS provider even where no TLS is spoken; whoever was first has installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .unix_socket(peer.address())
            .http1_only()
            // Each call has its own connection: dropping the call then ends what podman does for it.
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let no_client = |why: String| {
            engine_error(
                format!("no HTTP client could be made: {why}"),
                peer.path().display().to_string(),
                "report this: it is a mistake in rpub",
            )
        };
        let http = http.map_err(|error| no_client(reason(&error)))?;
        let root = reqwest::Url::parse("http://podman/");
        let root = root.map_err(|error| no_client(error.to_string()))?;
        Ok(Libpod {
            http,
            root,
            peer: peer.clone(),
        })
    }

    pub(super) fn socket(&self) -> &Path {
        self.peer.path()
    }

    /// A request to `/v4.0.0/libpod/…`; a `/` within a part stays one, as podman's routes want names.
    pub(super) fn request(&self, method: Method, parts: &[&str]) -> RequestBuilder {
        let mut url = self.root.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(API).push("libpod");
            for part in parts {
                path.extend(part.split('/'));
            }
        }
        self.http.request(method, url)
    }

    /// Sends, and turns a refusal into `(status, podman's words)`.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| Failure {
            causes: causes(std::error::Error::source(&error)),
            status: None,
            words: reason(&error),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let document = read_bounded(response, DOCUMENT_LIMIT).await;
        let (words, causes) = refusal(&document, status);
        Err(Failure {
            causes,
            status: Some(status),
            words,
        })
    }

    /// Whether podman answers there: its libpod API version, of a bounded answer within `patience`.
    pub(super) async fn ping(&self, patience: Duration) -> Result<String, NotPodman> {
        let answer = async {
            let request = self.request(Method::GET, &["_ping"]).send().await;
            let response = request.map_err(|error| NotPodman::Garbled(reason(&error)))?;
            let status = response.status();
            let version = response
                .headers()
                .get("libpod-api-version")
                .and_then(|value| value.to_str().ok())
                .map(one_line);
            let body = read_bounded(response, 64).await;
            match version {
                Some(version) if status.is_success() && body.starts_with(b"OK") => Ok(version),
                _ => Err(NotPodman::Other(status.as_u16())),
            }
        };
        tokio::time::timeout(patience, answer)
            .await
            .unwrap_or(Err(NotPodman::Silent))
    }
}

/// Why a socket is not podman's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotPodman {
    /// Nothing came in time.
    Silent,
    /// What came is not HTTP, or the connection was closed.
    Garbled(String),
    /// HTTP, with this status, but not podman's.
    Other(u16),
}

impl NotPodman {
    /// What is told of it, at `place`.
    pub(super) fn into_error(self, place: String) -> Error {
        const HINT: &str = "name podman's socket with --url, or leave --url and CONTAINER_HOST out";
        match self {
            NotPodman::Silent => engine_error(
                "what listens there does not answer",
                place,
                "restart the engine: `systemctl --user restart podman.socket`; or leave --url and CONTAINER_HOST out",
            ),
            NotPodman::Garbled(reason) => engine_error(
                format!("what listens there does not speak podman's protocol: {reason}"),
                place,
                HINT,
            ),
            NotPodman::Other(status) => engine_error(
                format!("what listens there is not podman (HTTP {status})"),
                place,
                HINT,
            ),
        }
    }
}

/// A call that failed, in podman's words or the connection's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The HTTP status; none where no answer came.
    pub(super) status: Option<u16>,
    /// One line.
    pub(super) words: String,
    /// What caused it, where podman or the connection says more.
    pub(super) causes: Vec<String>,
}

impl Failure {
    /// The failure of a call that has no more to say about it.
    pub(super) fn into_error(self, what: &str, place: &str, hint: &str) -> Error {
        let hint = if self.status.is_none() {
            "podman stopped answering: see its log (journalctl --user -u podman), then run it again"
        } else {
            hint
        };
        let mut error = engine_error(format!("{what}: {}", self.words), place, hint);
        error.causes = self.causes;
        error
    }
}

/// podman's words in an error document, and what it calls their cause; 4.3 may send two documents in a row, of which the
/// first counts.
fn refusal(document: &[u8], status: u16) -> (String, Vec<String>) {
    let first = serde_json::Deserializer::from_slice(document)
        .into_iter::<Refusal>()
        .next();
    let (words, cause) = match first {
        Some(Ok(refusal)) if !refusal.message.is_empty() => (refusal.message, refusal.cause),
        Some(Ok(refusal)) if !refusal.cause.is_empty() => (refusal.cause, String::new()),
        _ => (
            String::from_utf8_lossy(document).into_owned(),
            String::new(),
        ),
    };
    let words = match one_line(&words) {
        words if words.is_empty() => format!("HTTP {status}"),
        words => words,
    };
    let cause = Some(one_line(&cause)).filter(|cause| !cause.is_empty());
    (words, cause.into_iter().collect())
}

/// At most `limit` bytes of a body; what comes after an error in the middle is not missed.
pub(super) async fn read_bounded(mut response: Response, limit: usize) -> Vec<u8> {
    let mut document = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = limit.saturating_sub(document.len());
        document.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if document.len() >= limit {
            break;
        }
    }
    document
}

/// The innermost cause of an HTTP client's error, which is the one that says something; never a URL.
pub(super) fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    one_line(&cause.to_string())
}

/// One line of podman's progress streams: builds and pushes alike.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Progress {
    /// Text, in whatever pieces it was written.
    #[serde(default)]
    pub(super) stream: String,
    /// A failure; the status was 200 long before.
    #[serde(default)]
    pub(super) error: String,
}

/// A response's body, as JSON lines.
pub(super) struct Lines {
    response: Response,
    buffer: BytesMut,
    /// Within a line that is too long, whose rest is dropped.
    dropping: bool,
}

impl Lines {
    pub(super) fn of(response: Response) -> Self {
        Lines {
            response,
            buffer: BytesMut::new(),
            dropping: false,
        }
    }

    /// The next line that is JSON; none at the end. An error where the connection broke.
    pub(super) async fn next(&mut self) -> Result<Option<Progress>, Failure> {
        loop {
            let Some(line) = self.next_bytes().await? else {
                return Ok(None);
            };
            // Newer podmans may send what we do not know: it is passed over, not refused.
            if let Ok(progress) = serde_json::from_slice(&line) {
                return Ok(Some(progress));
            }
        }
    }

    async fn next_bytes(&mut self) -> Result<Option<BytesMut>, Failure> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                if std::mem::take(&mut self.dropping) {
                    continue;
                }
                return Ok(Some(line));
            }
            if self.buffer.len() > LINE_LIMIT {
                self.buffer.clear();
                self.dropping = true;
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) if self.buffer.is_empty() || self.dropping => return Ok(None),
                Ok(None) => return Ok(Some(self.buffer.split())),
                Err(error) => {
                    return Err(Failure {
                        causes: Vec::new(),
                        status: None,
                        words: reason(&error),
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_keep_their_slashes_and_nothing_else_escapes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let peer = Peer::at(&path, Duration::from_secs(20)).await.unwrap();
        let libpod = Libpod::new(&peer).unwrap();
        let request = libpod
            .request(
                Method::POST,
                &["images", "127.0.0.1:5000/a/b:c?d#e", "push"],
            )
            .build()
            .unwrap();
        assert_eq!(
            request.url().as_str(),
            "http://podman/v4.0.0/libpod/images/127.0.0.1:5000/a/b:c%3Fd%23e/push"
        );
    }

    #[test]
    fn a_refusal_is_podmans_own_words() {
        for (document, expected) in [
            (r#"{"cause":"c","message":"m","response":400}"#, "m"),
            (r#"{"cause":"c","response":400}"#, "c"),
            (
                r#"{"cause":"c","message":"m"}{"cause":"d","message":"n"}"#,
                "m",
            ),
            ("<html>\n", "<html>"),
            ("\u{1b}[31mred", "[31mred"),
            ("", "HTTP 400"),
        ] {
            let (words, causes) = refusal(document.as_bytes(), 400);
            assert_eq!(words, expected);
            let both = words == "m";
            assert_eq!(causes.first().map(String::as_str), both.then_some("c"));
        }
    }
}
