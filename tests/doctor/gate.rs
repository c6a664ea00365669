//! Decides who may write: a gate before a real registry, which knows a reader and a writer.
//! Must never let the reader begin an upload.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::Engine as _;
use rpub::model::reference::Host;
use std::sync::Arc;

pub(crate) const PASSWORD: &str = "s3cret-of-both";

struct Gate {
    upstream: Host,
    client: reqwest::Client,
}

/// Starts one; its address.
pub(crate) async fn start(upstream: Host) -> Host {
    // Another test of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let gate = Arc::new(Gate { upstream, client });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let service = Router::new().fallback(pass).with_state(gate);
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    address.parse().unwrap()
}

fn user(headers: &HeaderMap) -> Option<&'static str> {
    let sent = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    ["reader", "writer"].into_iter().find(|user| {
        let pair = format!("{user}:{PASSWORD}");
        sent == format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        )
    })
}

async fn pass(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let Some(user) = user(&parts.headers) else {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"gate\"")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    };
    if user == "reader" && !matches!(parts.method, Method::GET | Method::HEAD) {
        let body = r#"{"errors":[{"code":"DENIED","message":"a reader may not write"}]}"#;
        return (StatusCode::FORBIDDEN, body).into_response();
    }
    let url = format!("http://{}{}", gate.upstream, parts.uri);
    // With its host, so that what the registry points to leads here again.
    let host = parts.headers[header::HOST].clone();
    let sent = gate
        .client
        .request(parts.method, url)
        .header(header::HOST, host)
        .send();
    let answer = sent.await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != header::TRANSFER_ENCODING {
            response = response.header(name, value);
        }
    }
    response
        .body(Body::from(answer.bytes().await.unwrap()))
        .unwrap()
}
