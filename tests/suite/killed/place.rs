//! Decides how a release is stopped at a request and killed there, and what must be true then and at the end.
//! Must never look at a registry through rpub: what is there is asked for without it.

use super::bench::Bench;
use super::point::{Ending, Point, TAGS};
use crate::release::{blob, manifest, tags};
use crate::support::{
    engine::eventually,
    faults::{Fault, Rule, matches},
    project::{Outcome, Project, Running},
    proxy::{Proxy, Seen},
};
use nix::sys::signal::Signal;
use rpub::model::digest::Digest;
use serde_json::Value;

/// One namespace on both registries, to which releases go.
pub(super) struct Place<'a> {
    bench: &'a Bench,
    namespace: String,
}

impl<'a> Place<'a> {
    pub(super) fn new(bench: &'a Bench, namespace: &str) -> Self {
        Place {
            bench,
            namespace: namespace.to_owned(),
        }
    }

    fn start(&self, args: &[&str]) -> Running {
        let to = |proxy: &Proxy| format!("http://{}/{}", proxy.host(), self.namespace);
        let to = self.bench.proxies.each_ref().map(to).join(",");
        let to = ["--to", &to, "--authfile", &self.bench.authfile];
        Running::start(self.bench.project.command(&[args, &to].concat()))
    }

    /// Runs rpub, which must do well.
    pub(super) async fn run(&self, args: &[&str]) -> Outcome {
        let run = self.start(args).finish().await;
        assert_eq!(run.code, Some(0), "{args:?}: {}", run.err);
        self.bench.project.is_clean_after(&run);
        run
    }

    fn records(&self, version: &str) -> String {
        format!("{}-{version}", self.namespace)
    }

    /// Releases what was pushed for a version.
    pub(super) async fn release(&self, version: &str) -> Outcome {
        let records = self.records(version);
        self.run(&["release", version, "--digests", &records]).await
    }

    /// The repository of an image, without its host.
    fn name(&self, image: usize) -> String {
        format!("{}/{}", self.namespace, self.bench.images[image])
    }

    /// What a tag names on a registry; where it is there, everything that it names is there too.
    async fn names(&self, registry: usize, image: usize, tag: &str) -> Option<Digest> {
        let (host, name) = (self.bench.registries[registry].host(), self.name(image));
        let list = manifest(&host, &name, tag).await?;
        assert_eq!(list.children().len(), 1);
        for child in list.children() {
            let child = manifest(&host, &name, &child.digest.to_string()).await;
            for part in child.expect("the image of a list").blobs() {
                blob(&host, &name, part.digest).await;
            }
        }
        Some(list.digest())
    }

    /// What `latest` names; it is always there.
    pub(super) async fn latest(&self, registry: usize, image: usize) -> Digest {
        let latest = self.names(registry, image, "latest").await;
        latest.expect("latest")
    }

    /// Kills the release of a version at a point, and checks what is left.
    pub(super) async fn killed_at(&self, version: &str, point: Point) {
        self.killed_by(version, version, point).await;
    }

    /// Kills the release of `running` at a point, at which that of `unfinished` is the one that did not end.
    pub(super) async fn killed_by(&self, running: &str, unfinished: &str, point: Point) {
        let Bench {
            project, proxies, ..
        } = self.bench;
        let path = point.path(&self.name(point.image));
        let fault = if point.done {
            Fault::SilentAnswer
        } else {
            Fault::Silence
        };
        let before = proxies.each_ref().map(|proxy| proxy.seen().len());
        let rule = Rule::on(point.method, path.clone(), fault).nth(point.nth);
        proxies[point.registry].break_also(rule);
        let records = self.records(running);
        let mut run = self.start(&["release", running, "--digests", &records]);
        run.while_not(&format!("{point:?}"), || {
            let since = |registry: usize| proxies[registry].seen().split_off(before[registry]);
            let fits = |seen: &&Seen| seen.method == point.method && matches(&path, &seen.target);
            let seen = since(point.registry);
            let stopped = seen.iter().filter(fits).nth(point.nth as usize - 1);
            let Some(stopped) = stopped else {
                return false;
            };
            if let Some(status) = stopped.status {
                assert_ne!(status, 401, "the registry was not asked: {stopped:?}");
            }
            // The other registry gets no further either: what it was asked it has answered.
            let other = since(1 - point.registry);
            stopped.answered.is_some() == point.done
                && other.iter().all(|seen| seen.answered.is_some())
        })
        .await;
        assert!(!project.processes().is_empty());
        project.holds_no_secret();
        run.signal(Signal::SIGKILL);
        let run = run.finish().await;
        assert_eq!((run.code, run.out.as_str()), (None, ""), "{}", run.err);
        Project::tells_no_secret(&run);
        eventually("podman has ended", || project.processes().is_empty()).await;
        project.holds_no_secret();
        self.is_told(point.journaled().then_some(unfinished)).await;
    }

    /// `rpub status` tells the release that did not end, and what it says of every tag is so.
    async fn is_told(&self, unfinished: Option<&str>) {
        let project = &self.bench.project;
        let text = project.run(&["status"]).await;
        let json = project.run(&["status", "--format", "json"]).await;
        for run in [&text, &json] {
            assert_eq!(run.code, Some(0), "{}", run.err);
            Project::tells_no_secret(run);
        }
        let json: Value = serde_json::from_str(&json.out).unwrap();
        let releases = json["releases"].as_array().unwrap();
        let Some(version) = unfinished else {
            assert!(text.out.contains("every release has ended"), "{}", text.out);
            assert!(releases.is_empty(), "{json}");
            for registry in 0..2 {
                for image in 0..2 {
                    let latest = self.latest(registry, image).await;
                    assert_eq!(latest, self.bench.old[image]);
                }
            }
            return;
        };
        let told = format!("refs/tags/{version} did not end");
        assert!(text.out.contains(&told), "{}", text.out);
        let [release] = &releases[..] else {
            panic!("{json}")
        };
        assert_eq!(release["ref"], format!("refs/tags/{version}"));
        let moves = release["moves"].as_array().unwrap();
        assert_eq!(moves.len(), 12, "{json}");
        for registry in 0..2 {
            for image in 0..2 {
                self.latest(registry, image).await;
                for one in moves {
                    self.is_as_told(registry, image, one).await;
                }
            }
        }
    }

    /// If a move of `rpub status` is of this repository: its tag names what that says.
    async fn is_as_told(&self, registry: usize, image: usize, one: &Value) {
        let host = self.bench.proxies[registry].host();
        let repository = format!("{host}/{}:", self.name(image));
        let reference = one["reference"].as_str().unwrap();
        let Some(tag) = reference.strip_prefix(&repository) else {
            return;
        };
        let digest = |key: &str| {
            one[key]
                .as_str()
                .map(|text| text.parse::<Digest>().unwrap())
        };
        let (from, to) = (digest("from"), digest("to"));
        let names = self.names(registry, image, tag).await;
        let right = match one["progress"].as_str().unwrap() {
            "planned" => names == from,
            "begun" => names == from || names == to,
            "done" => names == to,
            // What was not there before cannot be removed from this registry.
            "undone" => names == from || from.is_none() && names == to,
            other => panic!("{other}"),
        };
        assert!(right, "{reference} names {names:?}: {one}");
    }

    /// The end of the story, where the release of `unfinished` did not end: all is well whatever is run.
    pub(super) async fn ends(&self, unfinished: Option<&str>, ending: Ending) {
        let version = match ending {
            Ending::Same => "v1.2.3",
            Ending::Other => "v1.2.4",
        };
        let run = self.release(version).await;
        if let Some(unfinished) = unfinished {
            let how = if unfinished == version {
                "going on with it"
            } else {
                "taking it back"
            };
            let told = format!("the release of refs/tags/{unfinished} did not end: {how}");
            assert!(run.err.contains(&told), "{}", run.err);
        }
        self.is_told_ended().await;
        for image in 0..2 {
            let released = self.latest(0, image).await;
            assert_ne!(released, self.bench.old[image]);
            for registry in 0..2 {
                for tag in [&version[1..], "1.2", "latest"] {
                    let names = self.names(registry, image, tag).await;
                    assert_eq!(names, Some(released), "{tag} on {registry}: {}", run.err);
                }
            }
        }
        if ending == Ending::Other && unfinished == Some("v1.2.3") {
            self.leftovers_are_told(&run).await;
        }
    }

    /// A new tag of a release that was taken back is gone, or is told: this registry can remove no tags.
    async fn leftovers_are_told(&self, run: &Outcome) {
        for registry in 0..2 {
            for image in 0..2 {
                let (host, name) = (self.bench.registries[registry].host(), self.name(image));
                let is_there = tags(&host, &name).await.iter().any(|tag| tag == TAGS[0]);
                let public = self.bench.proxies[registry].host();
                let told = format!("{public}/{name}:{}", TAGS[0]);
                assert_eq!(run.err.contains(&told), is_there, "{told}: {}", run.err);
            }
        }
    }

    /// Neither `rpub status` nor the disk knows of a release that did not end.
    async fn is_told_ended(&self) {
        let project = &self.bench.project;
        let status = project.run(&["status"]).await;
        assert_eq!(status.out, "every release has ended\n", "{}", status.err);
        let left = std::fs::read_dir(project.state().join("rpub")).into_iter();
        let left = left.flatten().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.map(|name| name.into_string().unwrap()).collect();
        // What `rpub build` made is known by its id.
        let built = |name: &String| name.starts_with("built-");
        assert!(left.iter().all(built), "journals are left: {left:?}");
    }
}
