//! Decides how Docker Hub's registry differs from the real one behind it: what it deletes, and which reads it counts.
//! Must never answer for an image: all but those answers come from the real registry.

use super::super::loopback::client;
use super::super::registries::RegistryProcess;
use super::super::wire::Head;
use rpub::model::digest::Digest;
use rpub::model::reference::Host;
use std::collections::BTreeMap;
use std::io::Result;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncWriteExt as _, BufStream, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How a manifest that nothing names is deleted by digest.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deletes {
    /// 202, and it is gone.
    AtOnce,
    /// This status, and it is gone after somebody has looked for it so many times in vain.
    Later { status: u16, looks: u32 },
    /// This status, and it stays.
    Never(u16),
}

struct State {
    deletes: Deletes,
    /// What is on its way out, with how many looks it has left.
    going: BTreeMap<String, u32>,
    /// How many manifests may still be read; none: any number.
    left: Option<u32>,
    pulled: u32,
}

struct Shared {
    registry: RegistryProcess,
    state: Mutex<State>,
}

/// The registry as its users see it; it ends when this is dropped.
pub(super) struct Face {
    host: Host,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

impl Face {
    pub(super) async fn before(registry: RegistryProcess) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = State {
            deletes: Deletes::AtOnce,
            going: BTreeMap::new(),
            left: None,
            pulled: 0,
        };
        let shared = Arc::new(Shared {
            registry,
            state: Mutex::new(state),
        });
        Face {
            host: host.parse().unwrap(),
            acceptor: tokio::spawn(accept(listener, Arc::clone(&shared))),
            shared,
        }
    }

    pub(super) fn host(&self) -> Host {
        self.host.clone()
    }

    pub(super) fn registry(&self) -> &RegistryProcess {
        &self.shared.registry
    }

    pub(super) fn deletes(&self, how: Deletes) {
        self.shared.state.lock().unwrap().deletes = how;
    }

    pub(super) fn forget(&self) {
        self.shared.state.lock().unwrap().going.clear();
    }

    pub(super) fn pulls(&self, left: u32) {
        self.shared.state.lock().unwrap().left = Some(left);
    }

    pub(super) fn pulled(&self) -> u32 {
        self.shared.state.lock().unwrap().pulled
    }
}

impl Drop for Face {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with this task, because the set that holds them does.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A client that hangs up is part of the game.
            let _ = serve(BufStream::new(stream), &shared).await;
        });
    }
}

/// One request per connection.
async fn serve(mut user: BufStream<TcpStream>, shared: &Shared) -> Result<()> {
    let Some(mut head) = Head::read(&mut user).await? else {
        return Ok(());
    };
    if let Some((status, code, message)) = own_answer(&head, shared).await {
        head.copy_body(&mut user, &mut sink()).await?;
        return say(user, &head, status, code, message).await;
    }
    let mut registry = BufStream::new(TcpStream::connect(shared.registry.host().as_str()).await?);
    let original = head.clone();
    head.set("Connection", "close");
    registry.write_all(&head.bytes()).await?;
    original.copy_body(&mut user, &mut registry).await?;
    registry.flush().await?;
    copy(&mut registry, &mut user).await?;
    user.shutdown().await
}

/// Status, code and message.
type Said = (u16, &'static str, &'static str);

/// What it says by itself, if it does.
async fn own_answer(head: &Head, shared: &Shared) -> Option<Said> {
    let path = head.word(1).strip_prefix("/v2/")?;
    let (name, reference) = path.split_once("/manifests/")?;
    let digest: Option<Digest> = reference.parse().ok();
    match (head.word(0), digest) {
        ("GET", _) => read(shared),
        ("HEAD", Some(_)) => {
            looked(shared, path).await;
            None
        }
        ("DELETE", None) => Some((405, "UNSUPPORTED", "The operation is unsupported.")),
        ("DELETE", Some(digest)) => delete(shared, name, digest, path),
        _ => None,
    }
}

/// GET counts as a pull.
fn read(shared: &Shared) -> Option<Said> {
    let mut state = shared.state.lock().unwrap();
    if let Some(left) = &mut state.left {
        if *left == 0 {
            let message = "You have reached your pull rate limit.";
            return Some((429, "TOOMANYREQUESTS", message));
        }
        *left -= 1;
    }
    state.pulled += 1;
    None
}

fn delete(shared: &Shared, name: &str, digest: Digest, path: &str) -> Option<Said> {
    let there = shared.registry.manifests(name);
    // The real registry says 404.
    there.get(&digest)?;
    let text = digest.to_string();
    let names = |list: &serde_json::Value| {
        let children = list["manifests"].as_array().into_iter().flatten();
        children.into_iter().any(|child| child["digest"] == *text)
    };
    if there.values().any(names) {
        let message = "The manifest is still referenced by a manifest list.";
        return Some((403, "DENIED", message));
    }
    let mut state = shared.state.lock().unwrap();
    match state.deletes {
        Deletes::AtOnce => None,
        Deletes::Later { status, looks } => {
            state.going.entry(path.to_owned()).or_insert(looks);
            Some(said(status))
        }
        Deletes::Never(status) => Some(said(status)),
    }
}

fn said(status: u16) -> Said {
    match status {
        202 => (202, "", ""),
        403 => (403, "DENIED", "requested access to the resource is denied"),
        status => (status, "UNKNOWN", "unknown error"),
    }
}

/// Somebody looks for a manifest: what is on its way out is gone when its looks are used up.
async fn looked(shared: &Shared, path: &str) {
    {
        let mut state = shared.state.lock().unwrap();
        match state.going.get_mut(path) {
            None => return,
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                return;
            }
        }
        state.going.remove(path);
    }
    let url = format!("http://{}/v2/{path}", shared.registry.host());
    let deleted = client().delete(url).send().await.unwrap();
    assert_eq!(deleted.status(), 202);
}

async fn say(
    mut user: BufStream<TcpStream>,
    request: &Head,
    status: u16,
    code: &str,
    message: &str,
) -> Result<()> {
    let error = serde_json::json!({"code": code, "message": message, "detail": null});
    let body = if status < 300 {
        String::new()
    } else {
        serde_json::json!({ "errors": [error] }).to_string()
    };
    let mut head = Head {
        start: format!("HTTP/1.1 {status} Said"),
        headers: vec![("Connection".to_owned(), "close".to_owned())],
    };
    head.set("Content-Type", "application/json");
    head.set("Content-Length", body.len().to_string());
    if status == 429 {
        head.set("Ratelimit-Limit", "200;w=21600");
        head.set("Ratelimit-Remaining", "0;w=21600");
    }
    user.write_all(&head.bytes()).await?;
    if request.word(0) != "HEAD" {
        user.write_all(body.as_bytes()).await?;
    }
    user.shutdown().await
}
