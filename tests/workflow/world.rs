//! Decides what the workflow is run on: a repository with one or two images, two real registries behind proxies that can break.
//! Must never look at a registry through its proxy.

use crate::runner::{Hub, Outcome, Report, git};
use crate::support::proxy::Proxy;
use crate::support::registries::{Auth, RegistryProcess};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const MAIN: &str = "refs/heads/main";
const TOKEN: &str = "ghs_of-this-run";
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What the tags of each image name, with the same answer of both registries.
pub(crate) type State = BTreeMap<String, BTreeMap<String, String>>;

pub(crate) struct World {
    pub(crate) hub: Arc<Hub>,
    pub(crate) proxies: [Proxy; 2],
    registries: [RegistryProcess; 2],
    images: &'static [&'static str],
    commits: AtomicU32,
    client: reqwest::Client,
    folder: TempDir,
}

impl World {
    /// A repository with these images and its first commit on main; nothing is published.
    pub(crate) async fn new(images: &'static [&'static str]) -> World {
        // Another test of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let registries = [(); 2].map(|()| RegistryProcess::start(&Auth::None));
        let proxies = [
            Proxy::before(registries[0].host()).start().await,
            Proxy::before(registries[1].host()).start().await,
        ];
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub {
            origin: folder.path().to_owned(),
            repository: "Owner/app".to_owned(),
            secrets: json!({}),
            token: TOKEN.to_owned(),
            user,
            may_be_set,
            runs: std::sync::Mutex::default(),
        };
        let world = World {
            hub: Arc::new(hub),
            proxies,
            registries,
            images,
            commits: AtomicU32::new(0),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            folder,
        };
        world.lay_out();
        world.commit("one");
        world
    }

    fn lay_out(&self) {
        self.hub
            .git(&["init", "--quiet", "--initial-branch", "main"]);
        // GitHub gives any commit that it has.
        self.hub
            .git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        for file in ["workflows/release.yml", "actions/rpub/action.yml"] {
            let path = format!(".github/{file}");
            let text = std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap();
            self.write(&path, &text);
        }
        let mut toml = vec!["[retry]\nfirst_delay = 0".to_owned()];
        toml.extend(self.proxies.each_ref().map(|proxy| {
            let host = proxy.host();
            format!(
                "[[registry]]\nhost = \"{host}\"\ninsecure = true\n\
                 namespace = \"${{GITHUB_REPOSITORY_OWNER}}\""
            )
        }));
        toml.extend(self.images.iter().map(|image| {
            format!(
                "[[image]]\nname = \"{image}\"\n[image.containerfile]\n\
                 \"linux/amd64\" = \"Containerfile\"\n\"linux/arm64\" = \"Containerfile.arm64\"\n"
            )
        }));
        self.write("rpub.toml", &toml.join("\n"));
        for (file, line) in [("Containerfile", "amd64"), ("Containerfile.arm64", "arm64")] {
            let text = format!("FROM scratch\nCOPY text /{line}\nHEALTHCHECK CMD [\"/{line}\"]\n");
            self.write(file, &text);
        }
    }

    /// Writes a file of the repository; the next commit has it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A commit on main in which the images hold `text`; its id.
    pub(crate) fn commit(&self, text: &str) -> String {
        self.write("text", text);
        self.hub.git(&["add", "--all"]);
        // A second after the one before, as people are.
        let time = 1_800_000_000 + self.commits.fetch_add(1, Ordering::Relaxed);
        let status = Command::new("git")
            .arg("-C")
            .arg(self.folder.path())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(["commit", "--quiet", "--message", text])
            .env("GIT_COMMITTER_DATE", format!("{time} +0000"))
            .status();
        assert!(status.unwrap().success());
        git(self.folder.path(), &["rev-parse", "HEAD"])
    }

    /// A commit with a version tag on it, pushed; how its run ended.
    pub(crate) fn release(&self, tag: &str) -> Report {
        self.commit(tag);
        self.tag_pushed(tag)
    }

    /// A tag on what main is at, pushed; how its run ended.
    pub(crate) fn tag_pushed(&self, tag: &str) -> Report {
        self.hub.git(&["tag", tag]);
        let run = self.hub.pushed(&format!("refs/tags/{tag}"));
        run.expect("the tag starts a run").wait()
    }

    /// main, pushed; how its run ended.
    pub(crate) fn main_pushed(&self) -> Report {
        self.hub.pushed(MAIN).expect("main starts a run").wait()
    }

    /// What the tags name: on both registries the same, by digest.
    pub(crate) async fn state(&self) -> State {
        let [one, other] = [self.state_of(0).await, self.state_of(1).await];
        assert_eq!(one, other, "the registries disagree");
        one
    }

    async fn state_of(&self, place: usize) -> State {
        let mut state = State::new();
        for image in self.images {
            let list = self.get(place, &format!("owner/{image}/tags/list")).await;
            // A repository that is not there has no tags.
            let tags = list
                .map(|(_, list)| list["tags"].clone())
                .unwrap_or_default();
            for tag in tags.as_array().into_iter().flatten() {
                let tag = tag.as_str().unwrap();
                let digest = self.whole(place, image, tag).await;
                let tags = state.entry((*image).to_owned()).or_default();
                tags.insert(tag.to_owned(), digest);
            }
        }
        state
    }

    /// The digest that a tag names, when all below it is as it must be: both platforms, each with its HEALTHCHECK.
    async fn whole(&self, place: usize, image: &str, tag: &str) -> String {
        let (digest, list) = self.manifest(place, image, tag).await;
        let mut platforms = Vec::new();
        for child in list["manifests"].as_array().expect("a list") {
            let architecture = child["platform"]["architecture"].as_str().unwrap();
            let digest = child["digest"].as_str().unwrap();
            let (found, manifest) = self.manifest(place, image, digest).await;
            assert_eq!(found, digest);
            let config = manifest["config"]["digest"].as_str().unwrap();
            let config = self
                .get(place, &format!("owner/{image}/blobs/{config}"))
                .await;
            let (_, config) = config.expect("the config is there");
            assert_eq!(config["architecture"], architecture);
            let check = json!(["CMD", format!("/{architecture}")]);
            assert_eq!(
                config["config"]["Healthcheck"]["Test"], check,
                "{image}:{tag}"
            );
            platforms.push(architecture.to_owned());
        }
        platforms.sort();
        assert_eq!(platforms, ["amd64", "arm64"], "{image}:{tag}");
        digest
    }

    /// The commit that a tag's images are labelled with.
    pub(crate) async fn revision(&self, image: &str, tag: &str) -> String {
        let (_, list) = self.manifest(0, image, tag).await;
        let child = list["manifests"][0]["digest"].as_str().unwrap();
        let (_, manifest) = self.manifest(0, image, child).await;
        let config = manifest["config"]["digest"].as_str().unwrap();
        let (_, config) = self
            .get(0, &format!("owner/{image}/blobs/{config}"))
            .await
            .unwrap();
        let label = &config["config"]["Labels"]["org.opencontainers.image.revision"];
        label.as_str().unwrap().to_owned()
    }

    async fn manifest(&self, place: usize, image: &str, reference: &str) -> (String, Value) {
        let path = format!("owner/{image}/manifests/{reference}");
        self.get(place, &path)
            .await
            .unwrap_or_else(|| panic!("{path} is not there"))
    }

    /// The Docker-Content-Digest, and the body.
    async fn get(&self, place: usize, path: &str) -> Option<(String, Value)> {
        let url = format!("http://{}/v2/{path}", self.registries[place].host());
        let accept = rpub::model::manifest::media_type::ALL.join(", ");
        let response = self
            .client
            .get(url)
            .header("Accept", accept)
            .send()
            .await
            .unwrap();
        if response.status() == 404 {
            return None;
        }
        assert!(
            response.status().is_success(),
            "{path}: {}",
            response.status()
        );
        let digest = response.headers().get("docker-content-digest");
        let digest = digest.map(|value| value.to_str().unwrap().to_owned());
        let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        Some((digest.unwrap_or_default(), body))
    }

    /// Waits until a registry was asked for this `n` times.
    pub(crate) fn until_asked(&self, place: usize, method: &str, pattern: &str, n: usize) {
        let what = format!("{n} {method} {pattern} at registry {place}");
        eventually(&what, || self.proxies[place].count(method, pattern) >= n);
    }
}

/// Waits for what another process does.
pub(crate) fn eventually(what: &str, is: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_mins(2);
    while !is() {
        assert!(Instant::now() < give_up, "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The two machines that build, and the one of the jobs before and after them.
fn user(of_matrix: bool, label: &str) -> &'static str {
    match (of_matrix, label) {
        (true, "ubuntu-24.04") => "rpub-amd64",
        (true, "ubuntu-24.04-arm") => "rpub-arm64",
        (false, "ubuntu-24.04") => "rpub-last",
        _ => panic!("there is no runner {label}"),
    }
}

/// The layer cache lies on a registry that is not here.
fn may_be_set(name: &str, value: &str) -> bool {
    !name.starts_with("RPUB_CACHE_") || value.starts_with("127.0.0.1:")
}

/// What must be true of each run, whatever became of it; and that its jobs ended so.
pub(crate) fn ended(report: &Report, plan: Outcome, build: Outcome, release: Outcome) {
    let words = report.words();
    assert!(!words.contains(TOKEN), "the token is told: {report}");
    assert!(!words.contains("panicked"), "{report}");
    let expected = [("build", build), ("plan", plan), ("release", release)];
    assert_eq!(report.outcomes(), expected, "{report}");
}

/// All of it went well.
pub(crate) fn well(report: &Report) {
    ended(report, Outcome::Success, Outcome::Success, Outcome::Success);
}

/// Every tag of `app` names what it named before. A registry that cannot remove a tag keeps the new version's own, which
/// the log then names.
pub(crate) fn taken_back(before: &State, after: &State, version: &str, log: &str) {
    let (before, after) = (&before["app"], &after["app"]);
    for (tag, digest) in before {
        assert_eq!(after.get(tag), Some(digest), "{tag} is as it was: {log}");
    }
    for new in after.keys().filter(|tag| !before.contains_key(*tag)) {
        assert_eq!(new, version, "{log}");
        let told = log.lines().any(|line| {
            line.contains("could not be removed") && line.contains(&format!(":{version}"))
        });
        assert!(told, "{log}");
    }
}
