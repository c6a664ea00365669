//! Decides which connections the relay has: whose, how many, how large their headers may be, how long they may be silent.
//! Must never let those who have not shown the password take what podman needs: memory, descriptors, time.

use super::{LAST_WORDS, owner::Kernel};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    collections::BTreeMap,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;

/// Connections that have not shown the password; in a relay that asks for none, all of them. One more, and the one that
/// was silent longest is cut.
const STRANGERS: usize = 64;
/// The headers of a request; podman's are some hundred bytes.
const HEADERS: usize = 16 * 1024;
/// What is buffered of a connection. podman writes its bodies in pieces of 32 KiB.
const BUFFER: usize = 64 * 1024;
/// How long a connection may take to send the head of a request, the first or the next. podman itself closes one that was
/// not used for 90 s: were we quicker, it could begin a request on one that is going.
const HEAD: Duration = Duration::from_mins(2);
/// How long a client may send nothing more of a body, or read nothing more of an answer.
pub(super) const SILENCE: Duration = Duration::from_mins(5);
/// Descriptors that are enough for all of this and for a release's own. Not as many as there may be: what we start inherits
/// them, and some programs look at each.
const DESCRIPTORS: u64 = 4096;

/// One connection, as the handler of its requests knows it.
#[derive(Debug)]
pub(super) struct Visitor {
    /// It has shown the password.
    trusted: AtomicBool,
    /// When bytes moved last, in milliseconds since the relay was started.
    moved: AtomicU64,
    began: Instant,
    end: CancellationToken,
}

impl Visitor {
    /// It has shown the password.
    pub(super) fn trust(&self) {
        self.trusted.store(true, Ordering::Relaxed);
    }

    /// Whether it has.
    pub(super) fn is_trusted(&self) -> bool {
        self.trusted.load(Ordering::Relaxed)
    }

    fn moves(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(now, Ordering::Relaxed);
    }
}

/// All connections, by number.
#[derive(Debug, Default)]
struct Visitors(Mutex<BTreeMap<u64, Arc<Visitor>>>);

impl Visitors {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Visitor>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts strangers until `limit` are left.
    fn make_room(&self, limit: usize) {
        let all = self.all();
        let mut strangers: Vec<_> = (all.values())
            .filter(|visitor| !visitor.is_trusted() && !visitor.end.is_cancelled())
            .collect();
        strangers.sort_by_key(|visitor| visitor.moved.load(Ordering::Relaxed));
        let surplus = strangers.len().saturating_sub(limit);
        for visitor in strangers.into_iter().take(surplus) {
            visitor.end.cancel();
        }
    }
}

/// Serves until `cancel`; when it returns, every connection has ended. With `kernel`, those of other users are cut at once.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    kernel: Option<Kernel>,
    cancel: CancellationToken,
) {
    raise_descriptors();
    let began = Instant::now();
    let visitors = Arc::new(Visitors::default());
    let mut tasks = JoinSet::new();
    for number in 0.. {
        let accepted = loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break None,
                Some(_) = tasks.join_next() => {}
                accepted = listener.accept() => break Some(accepted),
            }
        };
        let Some(accepted) = accepted else { break };
        let (stream, there) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                // No descriptors, most likely.
                visitors.make_room(0);
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let here = stream.local_addr();
        if let (Some(kernel), Ok(here)) = (&kernel, here)
            && kernel.is_of_another(here, there)
        {
            // By a reset: otherwise the port of the other end stays taken until its owner closes it, and podman needs one too.
            let _ = stream.set_zero_linger();
            continue;
        }
        // Small answers must not wait for more to come.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "nodelay");
        }
        let visitor = Arc::new(Visitor {
            trusted: AtomicBool::new(false),
            moved: AtomicU64::default(),
            began,
            end: CancellationToken::new(),
        });
        visitor.moves();
        visitors.make_room(STRANGERS - 1);
        visitors.all().insert(number, Arc::clone(&visitor));
        let (router, cancel) = (router.clone(), cancel.clone());
        let visitors = Arc::clone(&visitors);
        tasks.spawn(async move {
            attend(stream, router, &visitor, cancel).await;
            visitors.all().remove(&number);
        });
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// One connection, to its end. HTTP/1 only.
async fn attend(
    stream: TcpStream,
    router: Router,
    visitor: &Arc<Visitor>,
    cancel: CancellationToken,
) {
    let service = router.layer(Extension(Arc::clone(visitor)));
    let stream = Watched {
        stream,
        visitor: Arc::clone(visitor),
        stalled: None,
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_header_size(HEADERS)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = visitor.end.cancelled() => return,
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_WORDS, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A connection that notes when bytes move, and that fails where the client reads nothing for too long.
struct Watched {
    stream: TcpStream,
    visitor: Arc<Visitor>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    fn written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            self.visitor.moves();
            return written;
        }
        let sleep = || Box::pin(tokio::time::sleep(SILENCE));
        let stalled = self.stalled.get_or_insert_with(sleep);
        let timed_out = stalled.as_mut().poll(context);
        timed_out.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.visitor.moves();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Lets this process have more descriptors than most systems give one at first, where it may.
fn raise_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = DESCRIPTORS.min(hard);
        if soft < wanted {
            setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
        }
        Ok(())
    });
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of descriptors stays");
    }
}
