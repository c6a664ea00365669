//! Decides how a real registry (Debian's docker-registry) is started for a test, and that it ends with it.
//! Must never pass over a missing one: a test without its registry fails.

use rpub::model::{digest::Digest, reference::Host};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROGRAM: &str = "/usr/bin/docker-registry";

/// Who may use the registry.
pub(crate) enum Auth<'a> {
    None,
    Basic { user: &'a str, password: &'a str },
}

/// A registry on a free loopback port, with its storage in a folder of its own.
pub(crate) struct RegistryProcess {
    child: Child,
    folder: TempDir,
    host: Host,
}

impl RegistryProcess {
    /// Starts one and waits until it listens. Panics with its log where it does not.
    pub(crate) fn start(auth: &Auth<'_>) -> Self {
        Self::start_with(auth, true, true)
    }

    /// The same, but it deletes nothing: so it is where nobody has changed that.
    pub(crate) fn without_deletion(auth: &Auth<'_>) -> Self {
        Self::start_with(auth, false, true)
    }

    /// The same as [`RegistryProcess::start`], but as fast or slow as it is by itself: what benchmarks measure.
    #[allow(dead_code, reason = "tests never ask for it")]
    pub(crate) fn untuned(auth: &Auth<'_>) -> Self {
        Self::start_with(auth, true, false)
    }

    fn start_with(auth: &Auth<'_>, deletes: bool, tuned: bool) -> Self {
        // Between choosing a port and listening on it somebody else can take it: then another one.
        for _ in 0..5 {
            if let Some(registry) = Self::try_start(auth, deletes, tuned) {
                return registry;
            }
        }
        panic!("{PROGRAM} does not start; is it installed?");
    }

    fn try_start(auth: &Auth<'_>, deletes: bool, tuned: bool) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = folder.path().join("config.yml");
        std::fs::write(&config, Self::config(auth, deletes, &folder, port)).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        // setpriv: the kernel ends the registry when this test's thread is gone, even by SIGKILL.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", PROGRAM, "serve"]);
        command.arg(&config).env("OTEL_TRACES_EXPORTER", "none");
        if tuned {
            // Small, short-lived registries: they collect garbage more than they serve.
            command.env("GOGC", "800");
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("setpriv (util-linux) starts");
        let mut registry = RegistryProcess {
            child,
            folder,
            host: format!("127.0.0.1:{port}").parse().unwrap(),
        };
        let deadline = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(registry.host.as_str()).is_err() {
            if let Some(status) = registry.child.try_wait().unwrap() {
                let log = registry.access_log();
                assert!(log.contains("address already in use"), "{status}: {log}");
                return None;
            }
            assert!(Instant::now() < deadline, "{}", registry.access_log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    fn config(auth: &Auth<'_>, deletes: bool, folder: &TempDir, port: u16) -> String {
        let storage = folder.path().join("storage");
        let mut config = format!(
            "version: 0.1\nlog: {{level: info, fields: {{service: registry}}}}\n\
             storage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: {deletes}}}\n\
             http: {{addr: \"127.0.0.1:{port}\", secret: of-this-test}}\n",
            storage.display()
        );
        if let Auth::Basic { user, password } = auth {
            let hashed = Command::new("/usr/bin/htpasswd")
                .args(["-B", "-C", "4", "-bn", user, password])
                .output()
                .expect("htpasswd (apache2-utils) is installed");
            assert!(hashed.status.success());
            let path = folder.path().join("htpasswd");
            std::fs::write(&path, hashed.stdout).unwrap();
            let lines = format!(
                "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                path.display()
            );
            config.push_str(&lines);
        }
        config
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> Host {
        self.host.clone()
    }

    /// Its process.
    #[allow(dead_code, reason = "tests never ask for it")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives it a repository or namespace `to` that has all that `from` has, by copying the registry's own files.
    pub(crate) fn copy_repositories(&self, from: &str, to: &str) {
        let repositories = self.storage().join("repositories");
        copy_folder(&repositories.join(from), &repositories.join(to));
    }

    /// Every manifest that a repository has, with and without a tag, from the registry's own files.
    pub(crate) fn manifests(&self, repository: &str) -> BTreeMap<Digest, Value> {
        let storage = self.storage();
        let revisions = storage
            .join("repositories")
            .join(repository)
            .join("_manifests/revisions/sha256");
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(revisions).into_iter().flatten().flatten() {
            // A deletion takes the link away, and may leave its folder.
            let Ok(link) = std::fs::read_to_string(entry.path().join("link")) else {
                continue;
            };
            let digest: Digest = link.trim().parse().unwrap();
            let hex = digest.hex();
            let blob = storage
                .join("blobs/sha256")
                .join(&hex[..2])
                .join(&hex)
                .join("data");
            let manifest = std::fs::read(blob).unwrap();
            found.insert(digest, serde_json::from_slice(&manifest).unwrap());
        }
        found
    }

    /// What every tag of a repository names, from the registry's own files.
    pub(crate) fn tags(&self, repository: &str) -> BTreeMap<String, Digest> {
        let tags = self.storage().join("repositories").join(repository);
        let tags = std::fs::read_dir(tags.join("_manifests/tags"));
        let mut found = BTreeMap::new();
        for entry in tags.into_iter().flatten().flatten() {
            if let Ok(link) = std::fs::read_to_string(entry.path().join("current/link")) {
                let tag = entry.file_name().into_string().unwrap();
                found.insert(tag, link.trim().parse().unwrap());
            }
        }
        found
    }

    /// Its own files.
    pub(crate) fn storage(&self) -> PathBuf {
        self.folder.path().join("storage/docker/registry/v2")
    }

    /// What it wrote so far: one line per request, and its errors.
    pub(crate) fn access_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for RegistryProcess {
    fn drop(&mut self) {
        // Both fail only where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copy = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &copy);
        } else {
            std::fs::copy(&path, &copy).unwrap();
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
