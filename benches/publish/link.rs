//! Decides how a slow link behaves: its rate is shared by all connections, and every byte arrives later than it was sent.
//! Must never hold more than such a link would: who sends too fast has to wait.

use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

const CHUNK: usize = 64 * 1024;
/// What a socket of ours may hold, beside what is on its way.
const BUFFER: u32 = 256 * 1024;

/// A link between this machine and a registry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speed {
    /// Bytes in a second, each way.
    pub(crate) rate: u32,
    /// How long a byte is on its way, each way.
    pub(crate) delay: Duration,
}

/// 200 Mbit/s, and 20 ms there and back.
pub(crate) const SLOW: Speed = Speed {
    rate: 25_000_000,
    delay: Duration::from_millis(10),
};

/// Links to registries, each with an address of its own; they end when this is dropped.
pub(crate) struct Links {
    addresses: Vec<String>,
    runtime: Option<Runtime>,
}

impl Links {
    pub(crate) fn to(registries: &[String], speed: Speed) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let open = |registry: &String| {
            let _inside = runtime.enter();
            let listener = listen();
            let address = listener.local_addr().unwrap().to_string();
            runtime.spawn(serve(listener, registry.clone(), speed));
            address
        };
        Links {
            addresses: registries.iter().map(open).collect(),
            runtime: Some(runtime),
        }
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.addresses.clone()
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Accepted connections get the listener's small buffer: a large one would take what the link has not carried yet.
fn listen() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(BUFFER).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(1024).unwrap()
}

async fn serve(listener: TcpListener, registry: String, speed: Speed) {
    let up = Arc::new(Direction::of(speed));
    let down = Arc::new(Direction::of(speed));
    while let Ok((client, _)) = listener.accept().await {
        let (up, down, registry) = (Arc::clone(&up), Arc::clone(&down), registry.clone());
        tokio::spawn(async move {
            // The handshake goes there and back before anything is said.
            sleep(speed.delay * 2).await;
            // A registry that is gone: the connection is, too.
            let Ok(server) = connect(&registry).await else {
                return;
            };
            let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::join!(
                carry(&up, from_client, to_server),
                carry(&down, from_server, to_client)
            );
        });
    }
}

async fn connect(registry: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(BUFFER)?;
    socket
        .connect(registry.parse().map_err(std::io::Error::other)?)
        .await
}

/// One direction of a link, which all connections share.
struct Direction {
    speed: Speed,
    /// When the last byte that was let in will have left; first come, first served.
    free: Mutex<Instant>,
    /// How much one connection may have on its way.
    window: usize,
}

impl Direction {
    fn of(speed: Speed) -> Self {
        let way = f64::from(speed.rate) * speed.delay.as_secs_f64();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let way = way as usize;
        Direction {
            speed,
            free: Mutex::new(Instant::now()),
            window: way + BUFFER as usize,
        }
    }

    /// Waits until the link has taken so many bytes.
    async fn take(&self, bytes: u32) {
        // What a timer overslept is made up for, and no more than that: an idle link saves nothing.
        let earliest = Instant::now() - Duration::from_millis(10);
        let mut free = self.free.lock().await;
        let time = Duration::from_secs_f64(f64::from(bytes) / f64::from(self.speed.rate));
        *free = (*free).max(earliest) + time;
        sleep_until(*free).await;
    }
}

type OnItsWay = (Instant, Bytes, OwnedSemaphorePermit);

/// Carries what one side sends to the other, until one of them ends it.
async fn carry(way: &Direction, from: OwnedReadHalf, to: OwnedWriteHalf) {
    let (into, out) = mpsc::unbounded_channel();
    tokio::join!(let_in(way, from, into), let_out(out, to));
}

async fn let_in(way: &Direction, mut from: OwnedReadHalf, into: mpsc::UnboundedSender<OnItsWay>) {
    let window = Arc::new(Semaphore::new(way.window));
    loop {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let Ok(1..) = from.read_buf(&mut chunk).await else {
            return;
        };
        let bytes = u32::try_from(chunk.len()).unwrap();
        let Ok(room) = Arc::clone(&window).acquire_many_owned(bytes).await else {
            return;
        };
        way.take(bytes).await;
        let arrives = Instant::now() + way.speed.delay;
        if into.send((arrives, chunk.freeze(), room)).is_err() {
            return;
        }
    }
}

async fn let_out(mut out: mpsc::UnboundedReceiver<OnItsWay>, mut to: OwnedWriteHalf) {
    while let Some((arrives, bytes, room)) = out.recv().await {
        sleep_until(arrives).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
        drop(room);
    }
    // The other side has it closed already where this fails.
    let _ = to.shutdown().await;
}
