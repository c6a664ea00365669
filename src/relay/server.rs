//! Decides who may speak to the relay, and which handler a request belongs to.
//! Must never let a request through without the password, nor one that a browser was tricked into sending.

use super::{
    Routes,
    answer::{API_VERSION, Answer, Code, Refusal, answer},
    blobs::Within,
    cache::{Cache, Use},
    listen::{SILENCE, Visitor},
    path::{NoRoute, Route, parse},
    read_only::Reading,
    session::Session,
};
use crate::model::{
    digest::Digest,
    reference::{Host, RepositoryName},
};
use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use secrecy::{ExposeSecret, SecretString};
use std::{io, sync::Arc};
use tokio_util::sync::CancellationToken;

/// The only user.
pub(super) const USER: &str = "rpub";

/// What the relay may do.
pub(super) enum Mode {
    ReadWrite(Arc<Session>),
    ReadOnly(Arc<dyn Routes>),
}

/// The whole service.
pub(super) struct App {
    pub(super) mode: Mode,
    /// What `Authorization: Basic` must carry; None where everybody may read.
    pub(super) gate: Option<Gate>,
    pub(super) cancel: CancellationToken,
}

/// The password, as the digest of the whole `user:password`.
pub(super) struct Gate(Digest);

impl Gate {
    pub(super) fn new(password: &SecretString) -> Self {
        let pair = format!("{USER}:{}", password.expose_secret());
        Gate(Digest::of(pair.as_bytes()))
    }

    /// Compares digests: how long that takes says nothing about the password.
    fn opens(&self, headers: &HeaderMap) -> bool {
        headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, pair)| STANDARD.decode(pair.trim()).ok())
            .is_some_and(|pair| Digest::of(&pair) == self.0)
    }
}

/// The query parameters that the specification knows.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) digest: Option<String>,
    pub(super) mount: Option<String>,
    pub(super) n: Option<String>,
    pub(super) last: Option<String>,
}

impl Query {
    fn parse(text: &str) -> Self {
        let mut query = Query::default();
        for (key, value) in form_urlencoded::parse(text.as_bytes()) {
            let slot = match &*key {
                "digest" => &mut query.digest,
                // `from` is not read: a blob that is here, or on all targets, needs no source.
                "mount" => &mut query.mount,
                "n" => &mut query.n,
                "last" => &mut query.last,
                _ => continue,
            };
            *slot = Some(value.into_owned());
        }
        query
    }
}

/// The service as axum runs it. Names hold slashes, so there is one handler, and `path` reads them.
pub(super) fn router(app: App) -> Router {
    Router::new().fallback(handle).with_state(Arc::new(app))
}

async fn handle(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Arc<Visitor>>,
    request: Request,
) -> Response {
    let answer = tokio::select! {
        () = app.cancel.cancelled() => Err(Refusal::new(Code::Denied, "rpub is stopping")),
        answer = guarded(&app, &visitor, request) => answer,
    };
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&response.status());
    if refused && !visitor.is_trusted() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
        .headers_mut()
        .insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

async fn guarded(app: &App, visitor: &Visitor, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    if !names_this_machine(&parts) {
        return Err(Refusal::new(Code::Denied, "this registry is local"));
    }
    if let Some(gate) = &app.gate {
        if !gate.opens(&parts.headers) {
            return Err(Refusal::new(Code::Unauthorized, "authentication required")
                .with(header::WWW_AUTHENTICATE, "Basic realm=\"rpub\""));
        }
        visitor.trust();
    }
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if !reads && matches!(app.mode, Mode::ReadOnly(_)) {
        return Err(Refusal::new(
            Code::Unsupported,
            "this registry is read-only",
        ));
    }
    let route = parse(parts.uri.path()).map_err(|why| no_route(why, reads))?;
    match (&app.mode, route) {
        (_, Route::Base) if reads => Ok(answer(
            StatusCode::OK,
            [(header::CONTENT_TYPE, "application/json".to_owned())],
            "{}",
        )),
        (_, Route::Base) => Err(unsupported(&parts.method)),
        (Mode::ReadOnly(routes), route) => read(app, routes.as_ref(), route, &parts).await,
        (Mode::ReadWrite(session), route) => {
            let body = Body::from_stream(not_silent(body));
            write(session, route, &parts, body).await
        }
    }
}

/// A body that fails where its client sends nothing more of it for too long.
fn not_silent(body: Body) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(body.into_data_stream(), |mut body| async {
        let next = tokio::time::timeout(SILENCE, body.next()).await;
        let bytes = match next {
            Ok(bytes) => bytes?.map_err(io::Error::other),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        Some((bytes, body))
    })
}

/// A page in a browser can reach loopback under a name of its own (DNS rebinding): only loopback's names are served.
fn names_this_machine(parts: &Parts) -> bool {
    let local = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.parse::<Host>().is_ok_and(|host| host.is_loopback())
    };
    let host = parts.headers.get(header::HOST);
    let host_is_local = host.and_then(|v| v.to_str().ok()).is_some_and(local);
    let authority = parts.uri.authority();
    host_is_local && authority.is_none_or(|authority| local(authority.as_str()))
}

async fn read(app: &App, routes: &dyn Routes, route: Route, parts: &Parts) -> Answer {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let head = parts.method == Method::HEAD;
    let reading = |name: RepositoryName| Reading::new(routes, name);
    match route {
        Route::Blob(name, digest) if head => reading(name)?.head_blob(digest).await,
        Route::Blob(name, digest) => {
            let reading = reading(name)?;
            reading.get_blob(digest, &parts.headers, &app.cancel).await
        }
        Route::Manifest(name, reference) => reading(name)?.get_manifest(&reference).await,
        Route::Tags(name) => reading(name)?.list_tags(&query).await,
        Route::Base | Route::Uploads(_) | Route::Upload(..) => Err(unsupported(&parts.method)),
    }
}

async fn write(session: &Arc<Session>, route: Route, parts: &Parts, body: Body) -> Answer {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let headers = &parts.headers;
    let within = |name: RepositoryName| {
        let routes = &session.routes;
        let (targets, cache) = match (routes.targets(&name), routes.cache(&name)) {
            (Some(targets), _) => (targets, None),
            (None, Some(cache)) => (cache.targets(), Some(cache)),
            (None, None) => {
                let text = format!("{name} is not part of this release");
                return Err(Refusal::new(Code::NameUnknown, text));
            }
        };
        Ok(Within {
            session: Arc::clone(session),
            name,
            targets,
            cache,
        })
    };
    if let Some(cache) = read_cache(session, &route) {
        return from_cache(&cache, route, parts, within).await;
    }
    match (parts.method.as_str(), route) {
        ("HEAD", Route::Blob(name, digest)) => within(name)?.head_blob(digest).await,
        ("GET", Route::Blob(name, digest)) => within(name)?.get_blob(digest, headers).await,
        ("POST", Route::Uploads(name)) => within(name)?.begin_upload(&query, body).await,
        ("GET" | "HEAD", Route::Upload(name, id)) => within(name)?.upload_status(id),
        ("PATCH", Route::Upload(name, id)) => {
            within(name)?.append_to_upload(id, headers, body).await
        }
        ("PUT", Route::Upload(name, id)) => {
            within(name)?.finish_upload(id, &query, headers, body).await
        }
        ("DELETE", Route::Upload(name, id)) => within(name)?.cancel_upload(id),
        ("GET" | "HEAD", Route::Manifest(name, reference)) => {
            within(name)?.get_manifest(&reference).await
        }
        ("PUT", Route::Manifest(name, reference)) => {
            within(name)?.put_manifest(&reference, headers, body).await
        }
        ("GET" | "HEAD", Route::Tags(name)) => within(name)?.list_tags(&query),
        _ => Err(unsupported(&parts.method)),
    }
}

/// The layer cache that is asked, where podman reads from one.
fn read_cache(session: &Session, route: &Route) -> Option<Cache> {
    let name = route.name()?;
    let cache = session.routes.cache(name)?;
    let released = session.routes.targets(name).is_some();
    (cache.usage() == Use::From && !released).then_some(cache)
}

async fn from_cache(
    cache: &Cache,
    route: Route,
    parts: &Parts,
    within: impl Fn(RepositoryName) -> Result<Within, Refusal>,
) -> Answer {
    match (parts.method.as_str(), route) {
        ("GET" | "HEAD", Route::Manifest(name, reference)) => {
            within(name)?.get_cached(cache, &reference).await
        }
        ("HEAD", Route::Blob(name, digest)) => within(name)?.head_cached_blob(digest),
        ("GET", Route::Blob(name, digest)) => {
            let within = within(name)?;
            within.get_cached_blob(cache, digest, &parts.headers).await
        }
        _ => Err(unsupported(&parts.method)),
    }
}

fn unsupported(method: &Method) -> Refusal {
    Refusal::new(Code::Unsupported, format!("{method} is not done here"))
}

fn no_route(why: NoRoute, reads: bool) -> Refusal {
    match why {
        NoRoute::Name(why) => Refusal::new(Code::NameInvalid, why.to_string()),
        NoRoute::Digest(why) => Refusal::new(Code::DigestInvalid, why),
        // Nothing can be stored under such a reference, so whoever reads is told that nothing is.
        NoRoute::Reference(why) if reads => Refusal::new(Code::ManifestUnknown, why.to_string()),
        NoRoute::Reference(why) => Refusal::new(Code::TagInvalid, why.to_string()),
        NoRoute::Upload => Refusal::new(Code::BlobUploadUnknown, "there is no such upload"),
        NoRoute::Unknown => Refusal::new(Code::NotFound, "no such path"),
    }
}
