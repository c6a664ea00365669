//! Decides what Docker Hub's own API answers (facts from its published reference): a token, a repository's settings, its tags.
//! Must never answer for a registry: images live in a real one, and the tags that are listed are what it really has.

use super::super::loopback::client;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use rpub::model::{manifest::media_type, reference::Host};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::{net::TcpListener, task::JoinHandle};

/// What its tokens begin with.
pub(crate) const TOKEN: &str = "hub-jwt-topsecret";

#[derive(Default)]
struct Known {
    rules: Vec<String>,
    asked: Vec<String>,
    /// The tokens that serve.
    tokens: BTreeSet<String>,
    logins: u32,
    /// So many questions more are one too many.
    busy: u32,
}

struct Shared {
    url: String,
    login: (String, String),
    private: bool,
    registry: Option<Host>,
    known: Mutex<Known>,
}

/// Docker Hub's API on loopback; it ends when this is dropped.
pub(crate) struct HubApi {
    pub(crate) url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl HubApi {
    /// One whose repositories are all there and have no tags; private ones are shown to this login only.
    pub(crate) async fn start(user: &str, password: &str, private: bool) -> Self {
        Self::serve(None, user, password, private).await
    }

    /// One that has the repositories of a registry, all of them private.
    pub(crate) async fn before(registry: Host, user: &str, password: &str) -> Self {
        Self::serve(Some(registry), user, password, true).await
    }

    async fn serve(registry: Option<Host>, user: &str, password: &str, private: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            url: url.clone(),
            login: (user.to_owned(), password.to_owned()),
            private,
            registry,
            known: Mutex::default(),
        });
        let router = Router::new()
            .route("/v2/auth/token", post(token))
            .route("/v2/namespaces/{ns}/repositories/{name}", get(repository))
            .route("/v2/namespaces/{ns}/repositories/{name}/tags", get(tags))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        HubApi {
            url,
            shared,
            server,
        }
    }

    /// From now on tags that fit one of these do not move.
    pub(crate) fn immutable(&self, rules: &[&str]) {
        let rules = rules.iter().map(ToString::to_string).collect();
        self.shared.known.lock().unwrap().rules = rules;
    }

    /// The repositories whose settings it was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.known.lock().unwrap().asked.clone()
    }

    /// None of the tokens serves any more, as after 10 minutes.
    pub(crate) fn expire(&self) {
        self.shared.known.lock().unwrap().tokens.clear();
    }

    /// How many tokens it has given out.
    pub(crate) fn logins(&self) -> u32 {
        self.shared.known.lock().unwrap().logins
    }

    /// The next so many questions are one too many.
    pub(crate) fn busy(&self, questions: u32) {
        self.shared.known.lock().unwrap().busy = questions;
    }
}

impl Drop for HubApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn token(
    State(shared): State<Arc<Shared>>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let (user, password) = &shared.login;
    if body["identifier"] == **user && body["secret"] == **password {
        let mut known = shared.known.lock().unwrap();
        known.logins += 1;
        let token = format!("{TOKEN}-{}", known.logins);
        known.tokens.insert(token.clone());
        return (StatusCode::OK, Json(json!({ "access_token": token })));
    }
    let wrong = json!({"detail": "Incorrect authentication credentials"});
    (StatusCode::UNAUTHORIZED, Json(wrong))
}

impl Shared {
    /// Why a question is not answered, if it is not.
    fn refuse(&self, headers: &HeaderMap) -> Result<(), Response> {
        let mut known = self.known.lock().unwrap();
        if known.busy > 0 {
            known.busy -= 1;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let wait = [("X-Retry-After", (now.as_secs() + 1).to_string())];
            let body = json!({"detail": "Rate limit exceeded", "message": "", "errinfo": {}});
            return Err((StatusCode::TOO_MANY_REQUESTS, wait, Json(body)).into_response());
        }
        match headers.get("authorization") {
            None if self.private => Err(not_found()),
            None => Ok(()),
            Some(header) => {
                let token = header.to_str().unwrap().strip_prefix("Bearer ");
                if token.is_some_and(|token| known.tokens.contains(token)) {
                    return Ok(());
                }
                // It says of which: nobody may print that.
                let detail = format!("{} has expired", token.unwrap_or_default());
                let body = json!({"detail": detail, "message": "unauthorized", "errinfo": {}});
                Err((StatusCode::UNAUTHORIZED, Json(body)).into_response())
            }
        }
    }
}

/// As it says of what is not there, or private.
fn not_found() -> Response {
    let body = json!({"message": "object not found", "errinfo": {}});
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

async fn repository(
    State(shared): State<Arc<Shared>>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = shared.refuse(&headers) {
        return refusal;
    }
    let mut known = shared.known.lock().unwrap();
    known.asked.push(format!("{namespace}/{name}"));
    let settings = json!({"enabled": !known.rules.is_empty(), "rules": known.rules});
    let body = json!({
        "namespace": namespace, "name": name, "is_private": shared.private,
        "immutable_tags_settings": settings,
    });
    Json(body).into_response()
}

async fn tags(
    State(shared): State<Arc<Shared>>,
    Path((namespace, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = shared.refuse(&headers) {
        return refusal;
    }
    let path = format!("{namespace}/{name}");
    let Some(tags) = shared.really(&path).await else {
        return not_found();
    };
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query: BTreeMap<_, _> = query.into_owned().collect();
    let number = |name: &str, usual: usize| {
        let given = query.get(name).map(|value| value.parse().unwrap());
        given.unwrap_or(usual)
    };
    let (size, page) = (number("page_size", 10).min(100), number("page", 1));
    if page > 1 && (page - 1) * size >= tags.len() {
        return not_found();
    }
    let results: Vec<Value> = tags
        .iter()
        .skip((page - 1) * size)
        .take(size)
        .map(|(tag, digest)| match digest {
            Some(digest) => json!({"name": tag, "digest": digest, "images": []}),
            None => json!({"name": tag, "images": []}),
        })
        .collect();
    let next = (page * size < tags.len()).then(|| {
        let (url, path, page) = (&shared.url, uri.path(), page + 1);
        format!("{url}{path}?page={page}&page_size={size}")
    });
    let body = json!({"count": tags.len(), "next": next, "previous": null, "results": results});
    Json(body).into_response()
}

impl Shared {
    /// The tags that the registry behind really has, each with its digest; none where there is no such repository.
    async fn really(&self, name: &str) -> Option<Vec<(String, Option<String>)>> {
        let Some(registry) = &self.registry else {
            return Some(Vec::new());
        };
        let (client, base) = (client(), format!("http://{registry}/v2/{name}"));
        let list = client.get(format!("{base}/tags/list")).send();
        let list: Value = list.await.unwrap().json().await.unwrap();
        if list["errors"][0]["code"] == "NAME_UNKNOWN" {
            return None;
        }
        let mut tags = Vec::new();
        for tag in list["tags"].as_array().into_iter().flatten() {
            let tag = tag.as_str().unwrap();
            let request = client.head(format!("{base}/manifests/{tag}"));
            let request = request.header("accept", media_type::ALL.join(", "));
            let answer = request.send().await.unwrap();
            let digest = answer.headers().get("docker-content-digest");
            let digest = digest.map(|digest| digest.to_str().unwrap().to_owned());
            tags.push((tag.to_owned(), digest));
        }
        Some(tags)
    }
}
