//! Decides how a service stands before the real registry that it uses: it answers some requests by itself, all others pass.
//! Must never answer for an image: those come from the real registry.

use super::registries::RegistryProcess;
use super::wire::Head;
use rpub::model::reference::Host;
use std::io::Result;
use std::sync::Arc;
use tokio::io::{AsyncWriteExt as _, BufStream, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a service says by itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: &'static str,
    pub(super) headers: Vec<(&'static str, &'static str)>,
}

impl Said {
    pub(super) fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        Said {
            status,
            code,
            message,
            headers: Vec::new(),
        }
    }
}

/// The rules of a service.
#[async_trait::async_trait]
pub(super) trait Rules: Send + Sync + 'static {
    /// The registry behind it.
    fn registry(&self) -> &RegistryProcess;

    /// What it says by itself, if it does.
    async fn own_answer(&self, head: &Head) -> Option<Said>;
}

/// The registry as its users see it; it ends when this is dropped.
pub(super) struct Front<R> {
    host: Host,
    pub(super) rules: Arc<R>,
    acceptor: JoinHandle<()>,
}

impl<R: Rules> Front<R> {
    pub(super) async fn of(rules: R) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let rules = Arc::new(rules);
        Front {
            host: host.parse().unwrap(),
            acceptor: tokio::spawn(accept(listener, Arc::clone(&rules))),
            rules,
        }
    }

    pub(super) fn host(&self) -> Host {
        self.host.clone()
    }
}

impl<R> Drop for Front<R> {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept<R: Rules>(listener: TcpListener, rules: Arc<R>) {
    // Connections end with this task, because the set that holds them does.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let rules = Arc::clone(&rules);
        connections.spawn(async move {
            // A client that hangs up is part of the game.
            let _ = serve(BufStream::new(stream), &*rules).await;
        });
    }
}

/// One request per connection.
async fn serve<R: Rules>(mut user: BufStream<TcpStream>, rules: &R) -> Result<()> {
    let Some(mut head) = Head::read(&mut user).await? else {
        return Ok(());
    };
    if let Some(said) = rules.own_answer(&head).await {
        head.copy_body(&mut user, &mut sink()).await?;
        return say(user, &head, said).await;
    }
    let mut registry = BufStream::new(TcpStream::connect(rules.registry().host().as_str()).await?);
    let original = head.clone();
    head.set("Connection", "close");
    registry.write_all(&head.bytes()).await?;
    original.copy_body(&mut user, &mut registry).await?;
    registry.flush().await?;
    copy(&mut registry, &mut user).await?;
    user.shutdown().await
}

async fn say(mut user: BufStream<TcpStream>, request: &Head, said: Said) -> Result<()> {
    let (code, message) = (said.code, said.message);
    let error = serde_json::json!({"code": code, "message": message, "detail": null});
    let body = if said.status < 300 {
        String::new()
    } else {
        serde_json::json!({ "errors": [error] }).to_string()
    };
    let mut head = Head {
        start: format!("HTTP/1.1 {} Said", said.status),
        headers: vec![("Connection".to_owned(), "close".to_owned())],
    };
    head.set("Content-Type", "application/json");
    head.set("Content-Length", body.len().to_string());
    for (name, value) in said.headers {
        head.set(name, value);
    }
    user.write_all(&head.bytes()).await?;
    if request.word(0) != "HEAD" {
        user.write_all(body.as_bytes()).await?;
    }
    user.shutdown().await
}
