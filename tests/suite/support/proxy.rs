//! Decides how a real registry is made to fail: a loopback proxy that breaks, at the n-th request that fits, what a rule says.
//! Must never answer in the registry's place where no rule says so.

use super::faults::{Fault, Rule, matches};
use super::tokens::{Refusal, Tokens};
use super::wire::{Head, Wire};
use rpub::model::reference::Host;
use std::io::Result;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto, pki_types};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// The Authorization header.
    pub(crate) authorization: Option<String>,
    /// The status that was answered; none where nothing was.
    pub(crate) status: Option<u16>,
    /// When it came, counted over all proxies of the test.
    pub(crate) came: u64,
    /// When it was answered: the registry was done with it, and the client did not know yet.
    pub(crate) answered: Option<u64>,
}

/// One count for all proxies, so that what two registries saw can be put in order.
static CLOCK: AtomicU64 = AtomicU64::new(0);

fn tick() -> u64 {
    CLOCK.fetch_add(1, Ordering::SeqCst)
}

/// A proxy before a registry; it ends when this is dropped.
pub(crate) struct Proxy {
    host: Host,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
    certificate: Option<TempDir>,
}

struct Shared {
    upstream: String,
    base: String,
    tls: bool,
    tokens: Option<Tokens>,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
}

/// How a proxy is to be.
pub(crate) struct Builder {
    upstream: Host,
    tls: bool,
    tokens: Option<Tokens>,
    rules: Vec<Rule>,
}

impl Builder {
    /// It speaks TLS, with a certificate of its own ([`Proxy::ca_file`]).
    #[must_use]
    pub(crate) fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// It demands Bearer tokens, and gives them to this login.
    #[must_use]
    pub(crate) fn tokens(mut self, user: &str, password: &str) -> Self {
        self.tokens = Some(Tokens::new(user, password));
        self
    }

    /// One more thing that goes wrong; of several that apply, the first counts.
    #[must_use]
    pub(crate) fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Listens on a free loopback port.
    pub(crate) async fn start(self) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (acceptor, certificate) = if self.tls {
            let (acceptor, folder) = tls();
            (Some(acceptor), Some(folder))
        } else {
            (None, None)
        };
        let scheme = if self.tls { "https" } else { "http" };
        let shared = Arc::new(Shared {
            upstream: self.upstream.to_string(),
            base: format!("{scheme}://{host}"),
            tls: self.tls,
            tokens: self.tokens,
            rules: Mutex::new(self.rules),
            seen: Mutex::default(),
        });
        Proxy {
            host: host.parse().unwrap(),
            acceptor: tokio::spawn(accept(listener, acceptor, Arc::clone(&shared))),
            shared,
            certificate,
        }
    }
}

/// A certificate for 127.0.0.1, made for this proxy alone.
fn tls() -> (TlsAcceptor, TempDir) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
    let key = pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), folder)
}

impl Proxy {
    /// A proxy before the registry at `upstream`.
    pub(crate) fn before(upstream: Host) -> Builder {
        Builder {
            upstream,
            tls: false,
            tokens: None,
            rules: Vec::new(),
        }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> Host {
        self.host.clone()
    }

    /// The certificate to trust, where it speaks TLS.
    pub(crate) fn ca_file(&self) -> Option<std::path::PathBuf> {
        self.certificate
            .as_ref()
            .map(|folder| folder.path().join("ca.pem"))
    }

    /// All requests so far, in the order in which they came.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many requests of `method` there were whose path and query fit `pattern`.
    pub(crate) fn count(&self, method: &str, pattern: &str) -> usize {
        let fits = |seen: &&Seen| seen.method == method && matches(pattern, &seen.target);
        self.seen().iter().filter(fits).count()
    }

    /// One more thing that goes wrong from now on.
    pub(crate) fn break_also(&self, rule: Rule) {
        self.shared.rules.lock().unwrap().push(rule);
    }

    /// From now on nothing goes wrong.
    pub(crate) fn heal(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// Makes every token that was given out worthless.
    pub(crate) fn expire_tokens(&self) {
        self.shared.tokens.as_ref().unwrap().expire();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // Connections end with this task, because the set that holds them does.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            let wire: Box<dyn Wire> = match tls {
                None => Box::new(stream),
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => return,
                },
            };
            // A client that hangs up is part of the game.
            let _ = serve(BufStream::new(wire), &shared).await;
        });
    }
}

/// One request per connection: then every break is clean.
async fn serve(mut client: BufStream<Box<dyn Wire>>, shared: &Shared) -> Result<()> {
    let Some(head) = Head::read(&mut client).await? else {
        return Ok(());
    };
    let seen = Seen {
        method: head.word(0).to_owned(),
        target: head.word(1).to_owned(),
        authorization: head.get("authorization").map(str::to_owned),
        status: None,
        came: tick(),
        answered: None,
    };
    let index = {
        let mut all = shared.seen.lock().unwrap();
        all.push(seen);
        all.len() - 1
    };
    let fault = {
        let rules = shared.rules.lock().unwrap();
        let rule = rules
            .iter()
            .find(|rule| rule.applies(head.word(0), head.word(1)));
        rule.map(|rule| rule.fault.clone())
    };
    let silent = matches!(fault, Some(Fault::SilentAnswer));
    let answer = respond(&mut client, head, shared, fault).await;
    // A connection that is to be reset must not be ended politely.
    if let Ok(Some((status, answered))) = answer {
        {
            let seen = &mut shared.seen.lock().unwrap()[index];
            (seen.status, seen.answered) = (Some(status), Some(answered));
        }
        if silent {
            until_it_gives_up(&mut client).await?;
        }
        client.shutdown().await?;
    }
    Ok(())
}

/// Says nothing until the client hangs up.
async fn until_it_gives_up(client: &mut BufStream<Box<dyn Wire>>) -> Result<()> {
    copy(client, &mut sink()).await.map(|_| ())
}

async fn respond(
    client: &mut BufStream<Box<dyn Wire>>,
    head: Head,
    shared: &Shared,
    fault: Option<Fault>,
) -> Result<Option<(u16, u64)>> {
    if let Some(Fault::Reset) = fault {
        client.get_ref().tcp().set_zero_linger()?;
        return Ok(None);
    }
    if let Some(Fault::Answer {
        status,
        headers,
        body,
    }) = fault
    {
        let refusal = Refusal {
            status,
            headers,
            body,
        };
        return refuse(client, &head, refusal).await;
    }
    if matches!(fault, Some(Fault::CloseAfterBody | Fault::Silence)) {
        head.copy_body(client, &mut sink()).await?;
        if let Some(Fault::Silence) = fault {
            until_it_gives_up(client).await?;
        }
        return Ok(None);
    }
    if let Some(Fault::Held(hold)) = &fault {
        hold.stand_still().await;
    }
    if let Some(tokens) = &shared.tokens {
        if let Some(Fault::Expired) = fault {
            tokens.expire();
        }
        if let Some(query) = head.word(1).strip_prefix("/token?") {
            return refuse(client, &head, tokens.issue(&head, query)).await;
        }
        if let Err(refusal) = tokens.check(&head, &shared.base) {
            return refuse(client, &head, refusal).await;
        }
    }
    forward(client, head, shared, fault).await
}

async fn refuse(
    client: &mut BufStream<Box<dyn Wire>>,
    request: &Head,
    refusal: Refusal,
) -> Result<Option<(u16, u64)>> {
    request.copy_body(client, &mut sink()).await?;
    let mut head = Head {
        start: format!("HTTP/1.1 {} Said", refusal.status),
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
    };
    for (name, value) in refusal.headers {
        head.set(&name, value);
    }
    head.set("Content-Length", refusal.body.len().to_string());
    head.set("Connection", "close");
    let answered = tick();
    client.write_all(&head.bytes()).await?;
    if request.word(0) != "HEAD" {
        client.write_all(refusal.body.as_bytes()).await?;
    }
    client.flush().await?;
    Ok(Some((refusal.status, answered)))
}

async fn forward(
    client: &mut BufStream<Box<dyn Wire>>,
    mut head: Head,
    shared: &Shared,
    fault: Option<Fault>,
) -> Result<Option<(u16, u64)>> {
    let mut upstream = BufStream::new(TcpStream::connect(&shared.upstream).await?);
    let original = head.clone();
    head.set("Connection", "close");
    if shared.tls {
        head.set("X-Forwarded-Proto", "https");
    }
    if shared.tokens.is_some() {
        head.remove("Authorization");
    }
    if let Some(Fault::AlterBody) = fault {
        let length: u64 = original
            .get("content-length")
            .unwrap_or("0")
            .parse()
            .unwrap();
        head.set("Content-Length", (length + 1).to_string());
    }
    upstream.write_all(&head.bytes()).await?;
    if let Some(Fault::Slow(speed)) = fault {
        (original.copy_body_slowly(client, &mut upstream, speed)).await?;
    } else {
        original.copy_body(client, &mut upstream).await?;
    }
    if let Some(Fault::AlterBody) = fault {
        upstream.write_all(b"\n").await?;
    }
    upstream.flush().await?;
    let Some(mut answer) = Head::read(&mut upstream).await? else {
        return Ok(None);
    };
    answer.set("Connection", "close");
    match fault {
        Some(Fault::LoseAnswer) => {
            copy(&mut upstream, &mut sink()).await?;
            return Ok(None);
        }
        Some(Fault::SilentAnswer) => {
            copy(&mut upstream, &mut sink()).await?;
            return Ok(Some((answer.status(), tick())));
        }
        Some(Fault::HalfAnswer) => {
            let mut body = Vec::new();
            upstream.read_to_end(&mut body).await?;
            let mut bytes = answer.bytes();
            let keep = if body.is_empty() {
                bytes.len() / 2
            } else {
                bytes.len() + body.len() / 2
            };
            bytes.append(&mut body);
            client.write_all(&bytes[..keep]).await?;
            client.flush().await?;
            return Ok(None);
        }
        Some(Fault::Without(name)) => answer.remove(name),
        Some(Fault::WrongDigest) => {
            answer.set(
                "Docker-Content-Digest",
                format!("sha256:{}", "0".repeat(64)),
            );
        }
        _ => {}
    }
    let answered = tick();
    client.write_all(&answer.bytes()).await?;
    copy(&mut upstream, client).await?;
    client.flush().await?;
    Ok(Some((answer.status(), answered)))
}
