//! Decides how the relay answers: the OCI distribution-spec's error codes with their statuses, bodies and headers.
//! Must never put a secret, or more than one line of somebody else's text, into a body.

use crate::model::fault::{Fault, one_line};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// The digest of what was asked for or stored.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The upload that a request belongs to.
pub(super) const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// Says that this is a registry of version 2; old clients look for it.
pub(super) const API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");

/// The specification's error codes, as far as the relay has a use for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestTooLarge,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    NotFound,
    PageInvalid,
    RangeInvalid,
    SizeInvalid,
    TagInvalid,
    Unauthorized,
    Unsupported,
}

impl Code {
    /// The word in the body, and the status.
    fn wire(self) -> (&'static str, StatusCode) {
        use StatusCode as S;
        match self {
            Code::BlobUnknown => ("BLOB_UNKNOWN", S::NOT_FOUND),
            Code::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", S::BAD_REQUEST),
            Code::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", S::NOT_FOUND),
            Code::Denied => ("DENIED", S::FORBIDDEN),
            Code::DigestInvalid => ("DIGEST_INVALID", S::BAD_REQUEST),
            Code::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", S::BAD_REQUEST),
            Code::ManifestInvalid => ("MANIFEST_INVALID", S::BAD_REQUEST),
            Code::ManifestTooLarge => ("MANIFEST_INVALID", S::PAYLOAD_TOO_LARGE),
            Code::ManifestUnknown => ("MANIFEST_UNKNOWN", S::NOT_FOUND),
            Code::NameInvalid => ("NAME_INVALID", S::BAD_REQUEST),
            Code::NameUnknown => ("NAME_UNKNOWN", S::NOT_FOUND),
            Code::NotFound => ("UNSUPPORTED", S::NOT_FOUND),
            Code::PageInvalid => ("PAGINATION_NUMBER_INVALID", S::BAD_REQUEST),
            Code::RangeInvalid => ("BLOB_UPLOAD_INVALID", S::RANGE_NOT_SATISFIABLE),
            Code::SizeInvalid => ("SIZE_INVALID", S::BAD_REQUEST),
            Code::TagInvalid => ("TAG_INVALID", S::BAD_REQUEST),
            Code::Unauthorized => ("UNAUTHORIZED", S::UNAUTHORIZED),
            Code::Unsupported => ("UNSUPPORTED", S::METHOD_NOT_ALLOWED),
        }
    }
}

/// Why a request was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    code: Code,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What every handler ends with.
pub(super) type Answer = Result<Response, Refusal>;

impl Refusal {
    /// A refusal with one line about it.
    pub(super) fn new(code: Code, message: impl AsRef<str>) -> Self {
        Refusal {
            code,
            message: one_line(message.as_ref()),
            headers: Vec::new(),
        }
    }

    /// What podman is told when a target failed; the [`Fault`] itself waits in `Relay::take_fault`.
    ///
    /// 403 DENIED, whatever the target answered: podman tries 429 and 5xx again by itself, and retries belong to
    /// the targets, which have finished theirs.
    pub(super) fn of_fault(fault: &Fault) -> Self {
        Refusal::new(Code::Denied, fault.to_string())
    }

    /// The same refusal with one more header.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(header_value(value).map(|v| (name, v)));
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (word, status) = self.code.wire();
        let body = serde_json::json!({ "errors": [{ "code": word, "message": self.message }] });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.extend(self.headers);
        response
    }
}

/// An answer that is not a refusal.
pub(super) fn answer<const N: usize>(
    status: StatusCode,
    headers: [(HeaderName, String); N],
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    for (name, value) in headers {
        // What goes into headers here are digests, numbers and checked names: all visible ASCII.
        if let Some(value) = header_value(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}
