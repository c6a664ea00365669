//! Decides that a large blob is on its way to the registries before it is whole, and that nothing is lost where that fails.
//! Must never look at a clock: a client that waits for the registry's request shows what came first.

use crate::support::{
    faults::{Fault, Rule},
    loopback::{Loopback, name},
    proxy::Proxy,
    registries::{Auth, RegistryProcess},
};
use bytes::Bytes;
use reqwest::{Body, Response};
use rpub::{
    events::{Event, Events, Sent},
    model::{digest::Digest, fault::Policy, reference::RepositoryName},
    registry::{CredentialSource, Options, Registry},
    relay::{Access, Routes},
    target::{LocalBlob, Target},
};
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver};
use tokio_util::sync::CancellationToken;

/// More than the relay waits for, in pieces of 1 MiB.
const PIECES: usize = 24;
const FIRST: usize = 12;

fn piece(number: usize) -> Bytes {
    vec![u8::try_from(number).unwrap(); 1024 * 1024].into()
}

static BLOB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let pieces: Vec<Bytes> = (0..PIECES).map(piece).collect();
    pieces.concat()
});

fn digest() -> Digest {
    Digest::of(&BLOB)
}

/// `a/b` at a relay before two real registries, with a proxy before each.
struct World {
    relay: Loopback,
    targets: [Arc<dyn Target>; 2],
    proxies: [Proxy; 2],
    told: UnboundedReceiver<Event>,
    _registries: [RegistryProcess; 2],
}

struct Ahead([Arc<dyn Target>; 2], bool);

impl Routes for Ahead {
    fn targets(&self, _: &RepositoryName) -> Option<Vec<Arc<dyn Target>>> {
        Some(self.0.to_vec())
    }

    fn sends_ahead(&self, _: &RepositoryName) -> bool {
        self.1
    }
}

impl World {
    async fn new(ahead: bool) -> Self {
        let registries = [(); 2].map(|()| RegistryProcess::start(&Auth::None));
        let proxies = [
            Proxy::before(registries[0].host()).start().await,
            Proxy::before(registries[1].host()).start().await,
        ];
        let (events, told) = Events::channel();
        let targets = [0, 1].map(|i: usize| {
            let options = Options {
                insecure: true,
                policy: Policy {
                    tries: 3,
                    first_delay: Duration::from_millis(20),
                    cap: Duration::from_millis(100),
                    ..Policy::default()
                },
                ..Options::new(proxies[i].host())
            };
            let cancel = CancellationToken::new();
            let anonymous = CredentialSource::anonymous();
            let registry = Registry::new(options, anonymous, events.clone(), cancel).unwrap();
            Arc::new(registry.repository(name("a/b"))) as Arc<dyn Target>
        });
        let folder = tempfile::tempdir().unwrap();
        let access = Access::with_random_password(folder.path().join("spools")).unwrap();
        let routes = Arc::new(Ahead(targets.clone(), ahead));
        World {
            relay: Loopback::with(access, folder, routes).await,
            targets,
            proxies,
            told,
            _registries: registries,
        }
    }

    /// Uploads the blob as podman does, and waits half-way until `there`.
    async fn push(&self, there: impl AsyncFn()) -> Response {
        let session = self.relay.begin("a/b").await;
        let (sender, body) = pieces();
        let patched = self.relay.patch(&session, body);
        let send = async {
            for number in 0..PIECES {
                if number == FIRST {
                    there().await;
                }
                sender.send(Ok(piece(number))).await.unwrap();
            }
            drop(sender);
        };
        let (patched, ()) = tokio::join!(patched, send);
        assert_eq!(patched.status(), 202);
        self.relay.finish(&session, digest()).await
    }

    /// Waits until both registries were asked `method` about an upload.
    async fn asked(&self, method: &str) {
        for proxy in &self.proxies {
            until(|| proxy.count(method, "/blobs/uploads/") > 0).await;
        }
    }

    /// How each target got the blob; all of it is there.
    async fn arrived(&mut self) -> Vec<Sent> {
        let mut arrived = [None; 2];
        while arrived.contains(&None) {
            let event = self.relay.events.recv().await.expect("the relay runs");
            if let Event::Blob { place, sent, .. } = event {
                let is_it = |target: &Arc<dyn Target>| target.repository().to_string() == place;
                arrived[self.targets.iter().position(is_it).unwrap()] = Some(sent);
            }
        }
        for target in &self.targets {
            let size = target.blob_size(digest()).await.unwrap();
            assert_eq!(size, Some(BLOB.len() as u64));
        }
        arrived.into_iter().flatten().collect()
    }

    fn count(&self, registry: usize, method: &str) -> usize {
        self.proxies[registry].count(method, "/blobs/uploads/")
    }

    /// What went ahead and whose it was, for each word about it.
    fn settled(&mut self) -> Vec<(Option<Digest>, bool)> {
        let mut all = Vec::new();
        while let Ok(event) = self.told.try_recv() {
            if let Event::Settled { digest, bytes, .. } = event {
                all.push((digest, bytes > 0));
            }
        }
        all
    }
}

type Piece = std::io::Result<Bytes>;

/// A body that comes as it is given.
fn pieces() -> (Sender<Piece>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let next = |mut receiver: Receiver<Piece>| async move {
        let piece = receiver.recv().await;
        piece.map(|piece| (piece, receiver))
    };
    let stream = futures::stream::unfold(receiver, next);
    (sender, Body::wrap_stream(stream))
}

async fn until(done: impl Fn() -> bool) {
    for _ in 0..3000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not happen");
}

#[tokio::test]
async fn relay_ahead_goes_on_before_it_is_whole() {
    let mut world = World::new(true).await;
    let pushed = world.push(async || world.asked("PATCH").await).await;
    assert_eq!(pushed.status(), 201);
    assert_eq!(world.arrived().await, [Sent::Uploaded; 2]);
    for registry in [0, 1] {
        for (method, times) in [("POST", 1), ("PATCH", 1), ("PUT", 1), ("DELETE", 0)] {
            assert_eq!(world.count(registry, method), times, "{method}");
        }
    }
    let all = (Some(digest()), true);
    assert_eq!(world.settled(), [all, all]);
}

#[tokio::test]
async fn relay_ahead_gives_up_where_the_blob_turns_out_to_be() {
    let mut world = World::new(true).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blob");
    std::fs::write(&path, &*BLOB).unwrap();
    let local = LocalBlob {
        digest: digest(),
        size: BLOB.len() as u64,
        path,
    };
    world.targets[0].put_blob(&local, &[]).await.unwrap();
    let pushed = world.push(async || world.asked("PATCH").await).await;
    assert_eq!(pushed.status(), 201);
    assert_eq!(world.arrived().await, [Sent::Present, Sent::Uploaded]);
    // What was begun is given back.
    until(|| world.count(0, "DELETE") == 1).await;
    assert_eq!((world.count(0, "PUT"), world.count(1, "DELETE")), (1, 0));
    let settled = world.settled();
    assert!(
        settled.contains(&(None, true)) && settled.len() == 2,
        "{settled:?}"
    );
}

#[tokio::test]
async fn relay_ahead_that_fails_is_sent_when_it_is_whole() {
    let broken: [(&str, Fault); 7] = [
        ("POST", Fault::status(500)),
        ("PATCH", Fault::status(500)),
        ("PATCH", Fault::status(404)),
        ("PATCH", Fault::CloseAfterBody),
        ("PATCH", Fault::LoseAnswer),
        ("PATCH", Fault::Without("location")),
        ("PUT", Fault::status(503)),
    ];
    for (method, fault) in broken {
        let mut world = World::new(true).await;
        let told = format!("{method} {fault:?}");
        world.proxies[0].break_also(Rule::on(method, "/blobs/uploads/", fault));
        let pushed = world.push(async || world.asked("POST").await).await;
        assert_eq!(pushed.status(), 201, "{told}");
        assert_eq!(world.arrived().await, [Sent::Uploaded; 2], "{told}");
        // Once more for the first, and not for the second.
        assert_eq!(world.count(0, "POST"), 2, "{told}");
        assert_eq!(world.count(1, "POST"), 1, "{told}");
        assert!(world.relay.relay.take_fault(&name("a/b")).is_none());
    }
}

#[tokio::test]
async fn relay_ahead_leaves_nothing_of_what_broke_off_or_was_another() {
    for breaks_off in [true, false] {
        let world = World::new(true).await;
        let session = world.relay.begin("a/b").await;
        let (sender, body) = pieces();
        let request = world.relay.request(reqwest::Method::PATCH, &session);
        let request = tokio::spawn(request.body(body).send());
        for number in 0..FIRST {
            sender.send(Ok(piece(number))).await.unwrap();
        }
        world.asked("PATCH").await;
        if breaks_off {
            request.abort();
        } else {
            drop(sender);
            assert_eq!(request.await.unwrap().unwrap().status(), 202);
            let finished = world.relay.finish(&session, Digest::of(b"another")).await;
            assert_eq!(finished.status(), 400);
        }
        world.asked("DELETE").await;
        for registry in [0, 1] {
            assert_eq!(world.count(registry, "PUT"), 0);
        }
    }
}

#[tokio::test]
async fn relay_ahead_is_for_what_is_large_and_new() {
    let mut world = World::new(false).await;
    let pushed = world.push(async || ()).await;
    assert_eq!(pushed.status(), 201);
    assert_eq!(world.arrived().await, [Sent::Uploaded; 2]);
    assert_eq!((world.count(0, "PATCH"), world.count(1, "PATCH")), (0, 0));
    let world = World::new(true).await;
    let pushed = world.relay.push_blob("a/b", &piece(1)).await;
    assert_eq!(pushed.status(), 201);
    until(|| world.count(0, "PUT") == 1 && world.count(1, "PUT") == 1).await;
    assert_eq!((world.count(0, "PATCH"), world.count(1, "PATCH")), (0, 0));
}
