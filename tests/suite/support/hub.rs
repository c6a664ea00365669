//! Decides what Docker Hub's own API answers (facts from its published reference): a token for a login, a repository's settings.
//! Must never answer for a registry: images live in a real one.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::{net::TcpListener, task::JoinHandle};

/// What its tokens begin with.
pub(crate) const TOKEN: &str = "hub-jwt-topsecret";

struct Shared {
    login: (String, String),
    private: bool,
    rules: Mutex<Vec<String>>,
    asked: Mutex<Vec<String>>,
}

/// Docker Hub's API on loopback; it ends when this is dropped.
pub(crate) struct HubApi {
    pub(crate) url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl HubApi {
    /// One whose repositories are all there; private ones are shown to this login only.
    pub(crate) async fn start(user: &str, password: &str, private: bool) -> Self {
        let shared = Arc::new(Shared {
            login: (user.to_owned(), password.to_owned()),
            private,
            rules: Mutex::default(),
            asked: Mutex::default(),
        });
        let router = Router::new()
            .route("/v2/auth/token", post(token))
            .route("/v2/namespaces/{ns}/repositories/{name}", get(repository))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        HubApi {
            url,
            shared,
            server,
        }
    }

    /// From now on tags that fit one of these do not move.
    pub(crate) fn immutable(&self, rules: &[&str]) {
        *self.shared.rules.lock().unwrap() = rules.iter().map(ToString::to_string).collect();
    }

    /// The repositories it was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
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
        return (StatusCode::OK, Json(json!({ "access_token": TOKEN })));
    }
    let wrong = json!({"detail": "Incorrect authentication credentials"});
    (StatusCode::UNAUTHORIZED, Json(wrong))
}

async fn repository(
    State(shared): State<Arc<Shared>>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    let known = headers
        .get("authorization")
        .is_some_and(|header| header == &format!("Bearer {TOKEN}"));
    if shared.private && !known {
        // As it says of what is not there.
        let hidden = json!({"message": "object not found", "errinfo": {}});
        return (StatusCode::NOT_FOUND, Json(hidden));
    }
    shared
        .asked
        .lock()
        .unwrap()
        .push(format!("{namespace}/{name}"));
    let rules = shared.rules.lock().unwrap().clone();
    let settings = json!({"enabled": !rules.is_empty(), "rules": rules});
    let body = json!({
        "namespace": namespace, "name": name, "is_private": shared.private,
        "immutable_tags_settings": settings,
    });
    (StatusCode::OK, Json(body))
}
