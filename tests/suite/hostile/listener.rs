//! Decides what somebody hears who waits on a port of this machine for what rpub sends there.
//! Must never be kind: it answers everything with 404.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// It listens until it is dropped.
pub(super) struct Listener {
    pub(super) host: String,
    heard: Arc<Mutex<String>>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    pub(super) async fn start() -> Listener {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let heard = Arc::new(Mutex::new(String::new()));
        let (host, ears) = (listener.local_addr().unwrap(), Arc::clone(&heard));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&ears)));
            }
        });
        Listener {
            host: host.to_string(),
            heard,
            task,
        }
    }

    /// All that was sent to it.
    pub(super) fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request in a connection; its body is heard as far as it came with the head.
async fn answer(mut stream: TcpStream, heard: Arc<Mutex<String>>) {
    let mut request = Vec::new();
    let mut piece = [0; 16 * 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(count) => request.extend_from_slice(&piece[..count]),
        }
    }
    heard
        .lock()
        .unwrap()
        .push_str(&String::from_utf8_lossy(&request));
    let nothing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let _ = stream.write_all(nothing).await;
}
