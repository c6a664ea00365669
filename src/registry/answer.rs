//! Decides what an HTTP answer means: how much of it is read, and which fault it is where it is none we wanted.
//! Must never read a body without a limit, nor keep a query string.

use super::Timeouts;
use super::limits::Kind;
use crate::model::fault::{Class, Fault, one_line};
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, LOCATION};
use reqwest::{Method, StatusCode, Url};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An answer whose headers have come.
pub(super) struct Answer {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) host: String,
    /// Whether the request was about an upload session, so that a 404 means that it is lost.
    pub(super) of_upload: bool,
    /// How long there may be silence between two pieces of the body, and how long all of it may take.
    pub(super) timeouts: Timeouts,
    pub(super) response: reqwest::Response,
}

/// Scheme, host, port and path: neither query nor user, which can hold secrets.
pub(super) fn redacted(url: &Url) -> String {
    let origin = url.origin().ascii_serialization();
    format!("{origin}{}", url.path())
}

impl Answer {
    /// Method and redacted URL.
    pub(super) fn request(&self) -> String {
        format!("{} {}", self.method, redacted(&self.url))
    }

    /// A header as text.
    pub(super) fn header(&self, name: impl Into<HeaderName>) -> Option<&str> {
        text(&self.headers, &name.into())
    }

    /// A header of the registry protocol that has no constant.
    pub(super) fn named(&self, name: &'static str) -> Option<&str> {
        self.header(HeaderName::from_static(name))
    }

    /// The `Docker-Content-Digest`, where it is one.
    pub(super) fn digest(&self) -> Option<crate::model::digest::Digest> {
        self.named("docker-content-digest")?.parse().ok()
    }

    /// Content-Length; reqwest's own accessor knows nothing about the answer to a HEAD.
    pub(super) fn length(&self) -> Option<u64> {
        self.header(reqwest::header::CONTENT_LENGTH)?.parse().ok()
    }

    /// When it was answered, by the clock of who answered.
    pub(super) fn date(&self) -> Option<jiff::Timestamp> {
        let date = jiff::fmt::rfc2822::parse(self.header(reqwest::header::DATE)?).ok()?;
        Some(date.timestamp())
    }

    /// Whether a page for people came where a registry should answer: a proxy, or no registry at all.
    pub(super) fn is_html(&self) -> bool {
        self.header(reqwest::header::CONTENT_TYPE)
            .is_some_and(|kind| {
                kind.trim_start()
                    .to_ascii_lowercase()
                    .starts_with("text/html")
            })
    }

    /// `Location`, resolved against the request's URL.
    pub(super) fn location(&self) -> Result<Url, Fault> {
        self.header(LOCATION)
            .and_then(|location| self.url.join(location).ok())
            .ok_or_else(|| self.content("no usable Location came with it"))
    }

    /// A fault of [`Class::Content`] about this answer.
    pub(super) fn content(&self, detail: impl Into<String>) -> Fault {
        self.as_fault(Class::Content, detail)
    }

    /// A fault about this answer, without reading its body.
    pub(super) fn as_fault(&self, class: Class, detail: impl Into<String>) -> Fault {
        let mut fault = Fault::new(class, &self.host, self.request(), detail);
        fault.status = Some(self.status);
        fault.retry_after = retry_after(self.status, &self.headers, SystemTime::now());
        fault
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let idle = self.timeouts.idle;
        match tokio::time::timeout(idle, self.response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => {
                let source = std::error::Error::source(&error);
                Err(self
                    .broken(super::transport::describe(&error))
                    .caused_by(source))
            }
            Err(_) => Err(self.broken(format!(
                "time-out: the answer stood still for {} s",
                idle.as_secs()
            ))),
        }
    }

    fn broken(&self, detail: String) -> Fault {
        Fault::new(Class::Transport, &self.host, self.request(), detail)
    }

    /// The whole body, if it is no longer than such an answer may be.
    pub(super) async fn body(&mut self, kind: Kind) -> Result<Vec<u8>, Fault> {
        let most = kind.most();
        // One byte more than that tells that it is too long.
        let body = self.head_of_body(most + 1).await?;
        if body.len() > most {
            return Err(self.content(format!("the answer is longer than {most} bytes")));
        }
        Ok(body)
    }

    /// The first `limit` bytes of the body, or all of it where it has no more; never for longer than such an answer may take.
    pub(super) async fn head_of_body(&mut self, limit: usize) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        let whole = self.timeouts.whole;
        let reading = async {
            while out.len() < limit {
                let Some(chunk) = self.chunk().await? else {
                    break;
                };
                out.extend_from_slice(&chunk);
            }
            Ok(())
        };
        let read = tokio::time::timeout(whole, reading).await;
        let seconds = whole.as_secs();
        read.map_err(|_| {
            self.broken(format!("time-out: the answer had no end after {seconds} s"))
        })??;
        out.truncate(limit);
        Ok(out)
    }

    /// What went wrong, read from status, headers and body.
    pub(super) async fn into_fault(mut self) -> Fault {
        // A body that breaks off is still worth its beginning: the status alone already says what to do.
        let body = self
            .head_of_body(Kind::Error.most())
            .await
            .unwrap_or_default();
        let (code, message) = told(&body);
        let detail = match message {
            Some(message) => message,
            None if (200..300).contains(&self.status) => {
                "this is not the answer to such a request".to_owned()
            }
            None if (300..400).contains(&self.status) => {
                "it points elsewhere, and nowhere we may go".to_owned()
            }
            None if self.is_html() => "a web page, not a registry's answer".to_owned(),
            None => StatusCode::from_u16(self.status)
                .ok()
                .and_then(|status| status.canonical_reason())
                .unwrap_or_default()
                .to_owned(),
        };
        let class = self.class(code.as_deref());
        let mut fault = self.as_fault(class, detail);
        fault.code = code;
        fault
    }

    /// What kind of failure it is, where the body said `code`.
    pub(super) fn class(&self, code: Option<&str>) -> Class {
        let put = self.method == Method::PUT;
        match code {
            Some("BLOB_UPLOAD_UNKNOWN") => Class::UploadLost,
            // All blobs were confirmed before the manifest: the registry has not caught up with itself.
            Some("MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN") if put => Class::UploadLost,
            // What arrived is not what was sent.
            Some("DIGEST_INVALID" | "SIZE_INVALID") if put => Class::Content,
            Some("TOOMANYREQUESTS") => Class::RateLimit,
            // GitHub says 403 to who has used his requests up.
            _ if self.status == 403 && nothing_left(&self.headers) => Class::RateLimit,
            _ if self.status == 404 && self.of_upload => Class::UploadLost,
            _ if self.status < 300 => Class::Content,
            // Where a registry says 404 it says so in JSON: a page says that this is none.
            _ if self.status == 404 && self.is_html() && self.method != Method::HEAD => {
                Class::Content
            }
            _ => Class::of_status(self.status),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Code and message of an error body: the first of OCI's `errors[]`, or Docker Hub's `{detail, message}`.
fn told(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else {
        return (None, None);
    };
    let first = &value["errors"][0];
    let text =
        |value: &serde_json::Value| value.as_str().map(one_line).filter(|text| !text.is_empty());
    let code = text(&first["code"]).map(|code| code.chars().take(60).collect());
    let message = text(&first["message"])
        .or_else(|| text(&value["detail"]))
        .or_else(|| text(&value["message"]));
    (code, message)
}

/// Whether the answer says that no more requests are allowed for now: `X-RateLimit-Remaining: 0`, or the newer
/// `RateLimit-Remaining`, to which Docker Hub adds its window (`0;w=21600`).
fn nothing_left(headers: &HeaderMap) -> bool {
    ["x-ratelimit-remaining", "ratelimit-remaining"]
        .into_iter()
        .filter_map(|name| text(headers, &HeaderName::from_static(name)))
        .any(|value| value.split(';').next().is_some_and(|n| n.trim() == "0"))
}

/// A reset below this counts seconds from now, one above it since 1970: both are in use.
const A_MOMENT: u64 = 1_000_000_000;

/// How long the registry asks us to wait: `Retry-After` in seconds or as a date, Docker Hub's `X-Retry-After` as a Unix
/// time, and where requests are used up `X-RateLimit-Reset` or `RateLimit-Reset`. A time that is past is no wish.
fn retry_after(status: u16, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if status < 400 {
        return None;
    }
    let get = |name: &'static str| text(headers, &HeaderName::from_static(name)).map(str::trim);
    let since_epoch = now.duration_since(UNIX_EPOCH).ok()?;
    let until = |unix: u64| Duration::from_secs(unix).checked_sub(since_epoch);
    let standard = get("retry-after").and_then(|value| {
        let seconds = value.parse().ok().map(Duration::from_secs);
        seconds.or_else(|| {
            let date = jiff::fmt::rfc2822::parse(value).ok()?;
            until(u64::try_from(date.timestamp().as_second()).ok()?)
        })
    });
    let either = |name| match get(name)?.split(';').next()?.trim().parse().ok()? {
        seconds if seconds < A_MOMENT => Some(Duration::from_secs(seconds)),
        unix => until(unix),
    };
    let used_up = status == 429 || nothing_left(headers);
    let reset = || either("x-ratelimit-reset").or_else(|| either("ratelimit-reset"));
    standard
        .or_else(|| either("x-retry-after"))
        .or_else(|| used_up.then(reset).flatten())
        .filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;

    #[test]
    fn retry_after_comes_in_many_forms() {
        let now = UNIX_EPOCH + Duration::from_secs(1_445_412_400);
        for (status, name, value, expected) in [
            (429, "retry-after", "7", Some(7)),
            (503, "retry-after", " 7 ", Some(7)),
            (429, "retry-after", "0", None),
            (
                429,
                "retry-after",
                "Wed, 21 Oct 2015 07:28:00 GMT",
                Some(80),
            ),
            (429, "retry-after", "Wed, 21 Oct 2015 07:20:00 GMT", None),
            (429, "retry-after", "soon", None),
            (429, "x-retry-after", "1445412405", Some(5)),
            (429, "x-ratelimit-reset", "1445412403", Some(3)),
            (429, "x-ratelimit-reset", "12", Some(12)),
            (429, "ratelimit-reset", "9;w=60", Some(9)),
            (503, "ratelimit-reset", "9", None),
            (403, "x-ratelimit-reset", "1445412403", None),
            (200, "retry-after", "7", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            let wait = retry_after(status, &headers, now).map(|wait| wait.as_secs());
            assert_eq!(wait, expected, "{status} {name}: {value}");
        }
    }

    #[test]
    fn who_has_used_his_requests_up_waits_for_the_reset() {
        let now = UNIX_EPOCH + Duration::from_secs(1_445_412_400);
        for (remaining, expected) in [("0", Some(3)), ("0;w=21600", Some(3)), ("1", None)] {
            let mut headers = HeaderMap::new();
            headers.insert("x-ratelimit-remaining", remaining.parse().unwrap());
            headers.insert("x-ratelimit-reset", "1445412403".parse().unwrap());
            let wait = retry_after(403, &headers, now).map(|wait| wait.as_secs());
            assert_eq!(wait, expected, "{remaining}");
            assert_eq!(nothing_left(&headers), expected.is_some(), "{remaining}");
        }
    }

    #[test]
    fn error_bodies_of_all_registries_are_read() {
        for (body, code, message) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"no\nmore"},{"code":"X"}]}"#,
                Some("DENIED"),
                Some("no"),
            ),
            (r#"{"detail":"d","message":"m"}"#, None, Some("d")),
            (r#"{"message":"m"}"#, None, Some("m")),
            (r#"{"errors":"x"}"#, None, None),
            ("<html>", None, None),
            ("", None, None),
        ] {
            let told = told(body.as_bytes());
            assert_eq!(
                (told.0.as_deref(), told.1.as_deref()),
                (code, message),
                "{body}"
            );
        }
    }

    /// An answer with this body.
    fn answer(body: reqwest::Body) -> Answer {
        Answer {
            method: Method::GET,
            url: Url::parse("https://ghcr.io/v2/").unwrap(),
            status: 503,
            headers: HeaderMap::new(),
            host: "ghcr.io".to_owned(),
            of_upload: false,
            timeouts: Timeouts::default(),
            response: axum::http::Response::new(body).into(),
        }
    }

    /// A body without end: `piece`, and after `pause` again.
    fn endless(piece: &'static [u8], pause: Duration) -> reqwest::Body {
        let pieces = futures::stream::repeat(piece).then(move |piece| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, std::io::Error>(Bytes::from_static(piece))
        });
        reqwest::Body::wrap_stream(pieces)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_drips_for_ever_ends_and_a_blob_does_not() {
        let drips = || answer(endless(b"x", Duration::from_secs(59)));
        let fault = drips().body(Kind::Tags).await.unwrap_err();
        assert_eq!(fault.class, Class::Transport);
        assert!(fault.detail.contains("no end after 300 s"), "{fault}");
        // Of what went wrong the status is known by then.
        assert_eq!(drips().into_fault().await.class, Class::Server);
        let mut blob = drips();
        for _ in 0..1000 {
            assert!(blob.chunk().await.unwrap().is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_kind_of_answer_is_read_without_end() {
        for kind in [
            Kind::Token,
            Kind::Api,
            Kind::ApiPage,
            Kind::Manifest,
            Kind::Tags,
        ] {
            let mut answer = answer(endless(&[b' '; 8 * 1024], Duration::ZERO));
            let fault = answer.body(kind).await.unwrap_err();
            assert_eq!(fault.class, Class::Content);
            let words = format!("longer than {} bytes", kind.most());
            assert!(fault.detail.contains(&words), "{fault}");
        }
        let failed = answer(endless(&[b' '; 1024], Duration::ZERO));
        assert_eq!(failed.into_fault().await.class, Class::Server);
    }

    #[test]
    fn a_printed_url_has_neither_user_nor_query() {
        let url = Url::parse("https://user:secret@ghcr.io/v2/o/n?_state=secret#x").unwrap();
        assert_eq!(redacted(&url), "https://ghcr.io/v2/o/n");
    }
}
