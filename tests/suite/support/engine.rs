//! Decides how tests reach a real rootless podman, make build contexts, and look into what was built.
//! Must never leave an image, a container or a process behind, nor pass where podman is missing.
#![allow(unreachable_pub)]

use rpub::model::platform::Platform;
use rpub::podman::{BuildRequest, Connect, Engine};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How to connect without asking systemd, so that every test has a service of its own.
pub fn own() -> Connect {
    Connect {
        container_host: None,
        systemctl: None,
        ..Connect::from_env(None)
    }
}

/// An engine of its own.
pub async fn engine() -> Engine {
    Engine::connect(own(), CancellationToken::new())
        .await
        .expect("rootless podman works here (scripts/rootless)")
}

/// A folder with files: `(path, text)`; a path that ends in `/` is a folder.
pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        if name.ends_with('/') {
            std::fs::create_dir_all(path).unwrap();
            continue;
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// The same, with a shell, for RUN steps: `COPY busybox /bin/sh` runs them.
pub fn folder_with_shell(containerfile: &str) -> tempfile::TempDir {
    let folder = folder(&[("Containerfile", containerfile)]);
    std::fs::copy("/bin/busybox", folder.path().join("busybox"))
        .expect("busybox-static is installed");
    folder
}

/// This machine's platform, as podman calls it.
pub fn native() -> Platform {
    match std::env::consts::ARCH {
        "aarch64" => "linux/arm64".parse().unwrap(),
        _ => "linux/amd64".parse().unwrap(),
    }
}

/// A build of `folder` under a name that no other test has.
pub fn request(folder: &Path, names: &Names) -> BuildRequest {
    BuildRequest {
        context: folder.to_owned(),
        containerfile: PathBuf::from("Containerfile"),
        platform: native(),
        tag: names.tag("latest"),
        labels: BTreeMap::from([("rpub-test".to_owned(), names.repository().to_owned())]),
        args: BTreeMap::new(),
        target: None,
        no_cache: false,
        network: rpub::model::spec::Network::Private,
        cache: None,
        timestamp: None,
    }
}

/// A repository name of this test alone. All images made under it, or labelled with it, go when it is dropped.
///
/// One user has only one at a time: removing an image while another build looks through podman's layer cache makes that
/// build fail ("layer not known"). Each user has a storage of its own, and so a lock of its own.
pub struct Names {
    repository: String,
    _alone: nix::fcntl::Flock<std::fs::File>,
    layers: std::sync::Mutex<Vec<String>>,
}

impl Names {
    pub fn new(test: &str) -> Self {
        let name = format!("rpub-test-podman-{}.lock", nix::unistd::geteuid());
        let lock = std::fs::File::create(std::env::temp_dir().join(name));
        let alone = nix::fcntl::Flock::lock(lock.unwrap(), nix::fcntl::FlockArg::LockExclusive);
        Names {
            _alone: alone.unwrap(),
            repository: format!("localhost/rpub-test-{test}-{}", std::process::id()),
            layers: std::sync::Mutex::default(),
        }
    }

    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self, tag: &str) -> String {
        format!("{}:{tag}", self.repository)
    }

    /// `KEY=VALUE` for `--label`; [`request`] sets it too.
    pub fn label(&self) -> String {
        format!("rpub-test={}", self.repository)
    }

    /// Looks for the id of a cached step in a line of a build that will fail: nothing else leads to it.
    pub fn remember(&self, line: &str) {
        if let Some(id) = line.strip_prefix("--> ") {
            self.layers.lock().unwrap().push(id.to_owned());
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let mut ids = BTreeSet::new();
        for filter in [
            format!("reference={}", self.repository),
            format!("label={}", self.label()),
        ] {
            let found = Command::new("podman")
                .args(["images", "-a", "-q", "--no-trunc", "--filter", &filter])
                .output();
            let found = found.map(|output| output.stdout).unwrap_or_default();
            for id in String::from_utf8_lossy(&found).lines() {
                ids.insert(id.trim_start_matches("sha256:").to_owned());
            }
        }
        // The last made first: the earlier ones may be its parents, and go with it.
        ids.extend(self.layers.lock().unwrap().drain(..).rev());
        for id in ids {
            let _ = Command::new("podman").args(["rmi", "-f", &id]).output();
        }
    }
}

/// The containers that builds work in at this moment, whoever's.
pub fn working_containers() -> BTreeSet<String> {
    let ids = podman(&["ps", "-a", "-q", "--external", "--no-trunc"]);
    ids.lines().map(str::to_owned).collect()
}

/// podman's command line, for looking only; what it printed.
pub fn podman(args: &[&str]) -> String {
    let output = Command::new("podman").args(args).output().expect("podman");
    assert!(
        output.status.success(),
        "podman {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// One entry of an image's file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: tar::EntryType,
    pub mode: u32,
    pub size: u64,
    pub mtime: u64,
    pub link: Option<PathBuf>,
}

/// All that is in an image, by path.
pub fn files_of(image: &str) -> BTreeMap<String, Entry> {
    let container = podman(&["create", image, "/nothing"]);
    let mut export = Command::new("podman")
        .args(["export", &container])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut archive = tar::Archive::new(export.stdout.take().unwrap());
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let header = entry.header();
        found.insert(
            path.trim_end_matches('/').to_owned(),
            Entry {
                kind: header.entry_type(),
                mode: header.mode().unwrap(),
                size: header.size().unwrap(),
                mtime: header.mtime().unwrap(),
                link: entry.link_name().unwrap().map(std::borrow::Cow::into_owned),
            },
        );
    }
    assert!(export.wait().unwrap().success());
    podman(&["rm", &container]);
    found
}

/// The processes whose command line holds `text`, other than this one.
pub fn processes_with(text: &str) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(text) && pid != i32::try_from(std::process::id()).unwrap() {
            found.push((pid, line));
        }
    }
    found
}

/// Waits, with a bound, until something holds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < give_up, "{what}: still not after a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Debian's docker-registry on a loopback port, without TLS or login.
pub struct PlainRegistry {
    child: Child,
    address: String,
    _storage: tempfile::TempDir,
}

impl PlainRegistry {
    pub fn start() -> Self {
        let storage = tempfile::tempdir().unwrap();
        let config = storage.path().join("config.yml");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
            storage.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Debian's docker-registry is installed");
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest.find(['"', ' ', ',', '\n']).unwrap_or(rest.len());
                break rest[..end].to_owned();
            }
        };
        // Read on, so that it never blocks on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        PlainRegistry {
            child,
            address,
            _storage: storage,
        }
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A manifest's bytes and media type.
    pub async fn manifest(&self, name: &str, reference: &str) -> (Vec<u8>, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("http://{}/v2/{name}/manifests/{reference}", self.address);
        let accept = rpub::model::manifest::media_type::ALL.join(", ");
        let response = reqwest::Client::new()
            .get(url)
            .header("Accept", accept)
            .send()
            .await
            .unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        (response.bytes().await.unwrap().to_vec(), kind)
    }
}

impl Drop for PlainRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server on a unix socket that is not podman: each connection gets these bytes, or none and no end.
pub struct NotPodman {
    pub socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl NotPodman {
    /// `answer` sees what was asked; `None` keeps the connection open and silent.
    pub fn start(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let answer = std::sync::Arc::new(answer);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let answer = std::sync::Arc::clone(&answer);
                std::thread::spawn(move || {
                    let mut asked = [0; 4096];
                    let count = stream.read(&mut asked).unwrap_or(0);
                    let asked = String::from_utf8_lossy(&asked[..count]);
                    match answer(&asked) {
                        Some(bytes) => drop(stream.write_all(&bytes)),
                        None => std::thread::sleep(Duration::from_mins(10)),
                    }
                });
            }
        });
        NotPodman {
            socket,
            _folder: folder,
        }
    }

    /// A real podman whose answers say `to` wherever they said `from`.
    pub fn nearly(engine: &Engine, from: &'static str, to: &'static str) -> Self {
        let real = engine.socket().to_owned();
        NotPodman::start(move |asked| {
            use std::io::Write as _;
            let mut stream = std::os::unix::net::UnixStream::connect(&real).unwrap();
            let first = asked
                .lines()
                .next()
                .unwrap()
                .replace("HTTP/1.1", "HTTP/1.0");
            write!(stream, "{first}\r\nHost: d\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let version = head
                .lines()
                .find(|l| l.to_lowercase().starts_with("libpod-api-version"));
            let body = body.replace(from, to);
            let head = format!(
                "HTTP/1.1 200 OK\r\n{}\r\nContent-Length: {}\r\n\r\n",
                version.unwrap(),
                body.len()
            );
            Some((head + &body).into_bytes())
        })
    }
}
