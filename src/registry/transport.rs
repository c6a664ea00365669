//! Decides how bytes travel: TLS, time-outs by inactivity, the shared gate, streamed bodies; one request, one answer.
//! Must never try again, follow a redirect or add a credential: those who call decide that.

use super::ahead;
use super::answer::{Answer, redacted};
use super::source::Source;
use super::{Options, Timeouts};
use crate::error::Error;
use crate::events::{Event, Events};
use crate::model::digest::Digest;
use crate::model::fault::{Class, Fault};
use crate::retry::HostGate;
use crate::target::Growing;
use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue};
use reqwest::{Body, Method, Url};
use std::error::Error as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::time::Instant;

/// One request; it can be sent again, because its body is a recipe and not a stream.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    /// Whether it is about an upload session.
    pub(super) of_upload: bool,
}

/// What a request carries.
#[derive(Clone)]
pub(super) enum Payload {
    None,
    Bytes(Bytes),
    File {
        path: PathBuf,
        size: u64,
        progress: Arc<Progress>,
    },
    /// A file that is still being written, in chunks without a length.
    Growing {
        growing: Growing,
        progress: Arc<Progress>,
    },
}

impl Call {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Call {
            method,
            url,
            headers: HeaderMap::new(),
            payload: Payload::None,
            of_upload: false,
        }
    }
}

/// Tells how much of a blob has gone; bytes that are sent once more after a failure are not told again.
pub(super) struct Progress {
    events: Events,
    place: String,
    /// Whose they are; None as long as that is not known.
    digest: OnceLock<Option<Digest>>,
    told: AtomicU64,
}

impl Progress {
    pub(super) fn new(events: Events, place: String, digest: Digest) -> Arc<Self> {
        Arc::new(Progress {
            events,
            place,
            digest: OnceLock::from(Some(digest)),
            told: AtomicU64::new(0),
        })
    }

    /// Of a blob whose digest is not known yet.
    pub(super) fn ahead(events: Events, place: String) -> Arc<Self> {
        Arc::new(Progress {
            events,
            place,
            digest: OnceLock::new(),
            told: AtomicU64::new(0),
        })
    }

    /// Now it is known whose the bytes are: the first word holds. None where they went for nothing.
    pub(super) fn settle(&self, digest: Option<Digest>) {
        if self.digest.set(digest).is_ok() {
            self.events.send(Event::Settled {
                place: self.place.clone(),
                digest,
                bytes: self.told(),
            });
        }
    }

    /// The most that any try has sent, in bytes.
    pub(super) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    pub(super) fn reached(&self, sent: u64) {
        let before = self.told.fetch_max(sent, Ordering::Relaxed);
        if sent > before {
            self.events.send(Event::Progress {
                place: self.place.clone(),
                digest: self.digest.get().copied().flatten(),
                bytes: sent - before,
            });
        }
    }
}

/// When a request last moved, and whether all of it is sent.
pub(super) struct Activity {
    state: Mutex<(Instant, bool)>,
    disk: Mutex<Option<String>>,
}

impl Activity {
    fn new(sent: bool) -> Arc<Self> {
        Arc::new(Activity {
            state: Mutex::new((Instant::now(), sent)),
            disk: Mutex::new(None),
        })
    }

    pub(super) fn moved(&self, all_sent: bool) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), all_sent);
    }

    pub(super) fn disk_failed(&self, error: &std::io::Error) {
        *self.disk.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    fn disk_fault(&self) -> Option<String> {
        self.disk
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Ends when the request has stood still for too long, with the words for it.
    async fn stalled(&self, timeouts: Timeouts, has_body: bool) -> String {
        loop {
            let (last, sent) = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let (limit, what) = match (sent, has_body) {
                (true, true) => (timeouts.answer, "no answer after all was sent"),
                (true, false) => (timeouts.idle, "no answer"),
                (false, _) => (timeouts.idle, "nothing could be sent"),
            };
            if last.elapsed() >= limit {
                return format!("time-out: {what} for {} s", limit.as_secs());
            }
            tokio::time::sleep_until(last + limit).await;
        }
    }
}

/// The HTTP client of one registry.
pub(super) struct Transport {
    client: reqwest::Client,
    host: String,
    timeouts: Timeouts,
    gate: HostGate,
}

impl Transport {
    pub(super) fn new(options: &Options, gate: HostGate) -> Result<Self, Error> {
        // Err means that it is installed already, which is all we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("rpub/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.timeouts.connect)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        // A proxy cannot reach this machine's loopback, whatever the environment says.
        if options.host.is_loopback() {
            builder = builder.no_proxy();
        }
        if let Some(path) = &options.ca_file {
            let place = path.display().to_string();
            let pem = crate::files::read(path)
                .map_err(|error| Error::io("read the CA file", path, &error))?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|roots| !roots.is_empty())
                .ok_or_else(|| {
                    let hint = "give a file with certificates in PEM form";
                    Error::usage("the CA file holds no certificate", &place, hint)
                })?;
            builder = builder.tls_certs_merge(roots);
        }
        let client = builder.build().map_err(|error| {
            let what = format!("cannot set up TLS: {}", describe(&error));
            let hint = "install this machine's root certificates (the ca-certificates package)";
            Error::usage(what, options.host.as_str(), hint).caused_by(error.source())
        })?;
        Ok(Transport {
            client,
            host: options.host.to_string(),
            timeouts: options.timeouts,
            gate,
        })
    }

    /// Sends one request when the gate is open, and gives the answer as soon as its headers are there.
    pub(super) async fn send(
        &self,
        call: &Call,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, Fault> {
        let pass = self.gate.pass().await?;
        let request = format!("{} {}", call.method, redacted(&call.url));
        let fault = |class, detail: String| Fault::new(class, &self.host, &request, detail);
        let has_body = !matches!(call.payload, Payload::None);
        let activity = Activity::new(matches!(call.payload, Payload::None | Payload::Bytes(_)));
        let body = self.body(call, &activity).await.map_err(|error| {
            let detail = format!("cannot read the blob: {error}");
            fault(Class::Storage, detail).caused_by(Some(&error))
        })?;
        let mut builder = self
            .client
            .request(call.method.clone(), call.url.clone())
            .headers(call.headers.clone())
            .body(body);
        if let Some(authorization) = authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        if let Some(length) = length(call) {
            builder = builder.header(CONTENT_LENGTH, length);
        }
        let response = tokio::select! {
            response = builder.send() => response.map_err(|error| match activity.disk_fault() {
                Some(detail) => fault(Class::Storage, format!("cannot read the blob: {detail}")),
                None => {
                    fault(Class::Transport, describe(&error)).caused_by(error.source())
                }
            })?,
            stalled = activity.stalled(self.timeouts, has_body) => {
                return Err(fault(Class::Transport, stalled));
            }
        };
        let answer = Answer {
            method: call.method.clone(),
            url: call.url.clone(),
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            host: self.host.clone(),
            of_upload: call.of_upload,
            timeouts: self.timeouts,
            response,
        };
        tracing::debug!(request, status = answer.status, "answered");
        if answer.status < 400 {
            pass.succeeded();
        } else {
            pass.failed(&answer.as_fault(answer.class(None), ""));
        }
        Ok(answer)
    }

    async fn body(&self, call: &Call, activity: &Arc<Activity>) -> std::io::Result<Body> {
        let (path, size, progress) = match &call.payload {
            Payload::None => return Ok(Body::default()),
            Payload::Bytes(bytes) => return Ok(Body::from(bytes.clone())),
            Payload::File {
                path,
                size,
                progress,
            } => (path, *size, Arc::clone(progress)),
            Payload::Growing { growing, progress } => {
                let pieces = ahead::pieces(growing, Arc::clone(progress), Arc::clone(activity));
                return Ok(Body::wrap_stream(pieces));
            }
        };
        let file = tokio::fs::File::open(path).await?;
        let found = file.metadata().await?.len();
        if found != size {
            let what = format!("{} has {found} bytes, not {size}", path.display());
            return Err(std::io::Error::other(what));
        }
        if size == 0 {
            activity.moved(true);
        }
        let activity = Arc::clone(activity);
        let mut sent = 0;
        let pieces = Source::new(Arc::new(file.into_std().await)).pieces(size);
        let pieces = pieces.inspect(move |piece| match piece {
            Ok(piece) => {
                sent += piece.len() as u64;
                activity.moved(sent >= size);
                progress.reached(sent);
            }
            Err(error) => activity.disk_failed(error),
        });
        Ok(Body::wrap_stream(pieces))
    }
}

/// The Content-Length to send: always for what must have one. Only what grows has no length yet: a PATCH as podman's.
fn length(call: &Call) -> Option<u64> {
    match &call.payload {
        Payload::File { size, .. } => Some(*size),
        Payload::Bytes(bytes) => Some(bytes.len() as u64),
        Payload::None if matches!(call.method, Method::POST | Method::PUT) => Some(0),
        Payload::None | Payload::Growing { .. } => None,
    }
}

/// What broke, in words that say which part it was; never the URL, which can hold secrets.
pub(crate) fn describe(error: &reqwest::Error) -> String {
    let mut last: &(dyn std::error::Error + 'static) = error;
    let mut next = error.source();
    while let Some(source) = next {
        let io = source.downcast_ref::<std::io::Error>();
        if let Some(tls) = tls_inside(source) {
            return format!("TLS: {tls}");
        }
        if let Some(known) = io.and_then(known_io) {
            return known.to_owned();
        }
        last = source;
        next = source.source();
    }
    let text = last.to_string();
    if error.is_dns() {
        format!("DNS: {text}")
    } else if error.is_timeout() {
        "time-out: no connection".to_owned()
    } else if ENDED_EARLY.iter().any(|words| text.contains(words)) {
        "unexpected end: the connection closed before the answer was whole".to_owned()
    } else if std::ptr::addr_eq(last, error) {
        // reqwest's own text can hold the URL.
        "the request could not be made".to_owned()
    } else {
        text
    }
}

/// hyper's words for it; its own type for them is private to it.
const ENDED_EARLY: [&str; 3] = [
    "before message completed",
    "before message length reached",
    "unexpected EOF",
];

/// TLS errors travel inside I/O errors, sometimes two deep, which hide them from `source`.
fn tls_inside<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let io = error.downcast_ref::<std::io::Error>();
    match io.and_then(std::io::Error::get_ref) {
        Some(inner) => tls_inside(inner),
        None => error.downcast_ref(),
    }
}

fn known_io(error: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind as E;
    match error.kind() {
        E::ConnectionRefused => Some("connection refused"),
        E::ConnectionReset | E::ConnectionAborted => Some("connection reset"),
        E::BrokenPipe | E::NotConnected => Some("the connection closed while we were sending"),
        E::UnexpectedEof => Some("unexpected end of the connection"),
        E::TimedOut => Some("time-out"),
        E::HostUnreachable | E::NetworkUnreachable => Some("the host cannot be reached"),
        _ => None,
    }
}
