//! Decides that releases to GHCR and Docker Hub leave one `latest` and nothing that nobody needs, killed or not.
//! Must never look at what is left through rpub: the registries' own files tell.

use crate::support::{
    engine::eventually,
    faults::{Fault, Rule},
    ghcr::Ghcr,
    hub::{Deletes, DockerHub, registry_api, table},
    project::{Outcome, PASSWORD, PLAIN, Project, Running, USER},
    registries::RegistryProcess,
};
use nix::sys::signal::Signal;
use rpub::model::digest::Digest;
use std::collections::BTreeSet;

/// Both services, and a project that publishes there.
struct Services {
    ghcr: Ghcr,
    hub: DockerHub,
    project: Project,
    authfile: String,
    /// `acme/IMAGE`
    name: String,
}

impl Services {
    async fn new() -> Self {
        let (ghcr, hub) = (
            Ghcr::start(USER, PASSWORD).await,
            DockerHub::start(USER, PASSWORD).await,
        );
        let project = Project::new("services", PLAIN);
        let images = std::fs::read_to_string(project.path("rpub.toml")).unwrap();
        let owner = crate::support::ghcr::ORGANISATION;
        let tables = ghcr.table(owner) + &table(&hub.host(), owner);
        project.write("rpub.toml", &format!("{images}{tables}"));
        let authfile = project.login(&[ghcr.host().as_str(), hub.host().as_str()]);
        Services {
            name: format!("{owner}/{}", project.image()),
            ghcr,
            hub,
            project,
            authfile,
        }
    }

    fn start(&self, args: &[&str]) -> Running {
        let all = [args, &["--authfile", &self.authfile]].concat();
        let mut command = self.project.command(&all);
        let apis = [
            self.ghcr.registry_api(),
            registry_api(&self.hub.host(), &self.hub.api),
        ];
        command.env("RPUB_REGISTRY_API", apis.join(","));
        Running::start(command)
    }

    async fn run(&self, args: &[&str]) -> Outcome {
        let run = self.start(args).finish().await;
        self.project.is_clean_after(&run);
        run
    }

    /// Another commit, so to say: another image.
    fn commit(&self, text: &str) {
        self.project.write("text", text);
    }

    async fn release(&self, git_ref: &str, text: &str) -> Outcome {
        self.commit(text);
        self.run(&["release", git_ref]).await
    }

    fn registries(&self) -> [&RegistryProcess; 2] {
        [self.ghcr.behind(), self.hub.behind()]
    }

    /// What a registry has: every manifest is named by one of these tags, or is a part of what they name. What they name.
    fn is_tidy(&self, tags: &[&str]) -> BTreeSet<Digest> {
        let mut seen = Vec::new();
        for registry in self.registries() {
            let named = registry.tags(&self.name);
            let found: Vec<&str> = named.keys().map(String::as_str).collect();
            assert_eq!(found, tags);
            let manifests = registry.manifests(&self.name);
            let mut reached: BTreeSet<Digest> = named.values().copied().collect();
            for list in named.values() {
                for child in manifests[list]["manifests"].as_array().unwrap() {
                    reached.insert(child["digest"].as_str().unwrap().parse().unwrap());
                }
            }
            assert_eq!(manifests.into_keys().collect::<BTreeSet<_>>(), reached);
            seen.push(reached);
        }
        assert_eq!(seen[0], seen[1]);
        seen.swap_remove(0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prune_by_releases_leaves_one_latest_and_every_version() {
    let services = Services::new().await;
    for text in ["one", "two", "three"] {
        let run = services.release("refs/heads/main", text).await;
        assert_eq!(run.code, Some(0), "{}", run.err);
        assert_eq!(services.is_tidy(&["latest"]).len(), 2, "{}", run.err);
    }
    let run = services.release("v1.0.0", "four").await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let version = services.is_tidy(&["1.0", "1.0.0", "latest"]);
    assert_eq!(version.len(), 2);
    let run = services.release("refs/heads/main", "five").await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(
        run.out.contains("1.0.0 still points at it: kept"),
        "{}",
        run.out
    );
    for text in ["six", "seven"] {
        let run = services.release("refs/heads/main", text).await;
        assert_eq!(run.code, Some(0), "{}", run.err);
        let left = services.is_tidy(&["1.0", "1.0.0", "latest"]);
        assert_eq!(left.len(), 4);
        assert!(left.is_superset(&version));
    }
    // Nothing is left to be remembered.
    assert!(!services.project.state().join("rpub").exists());
    let run = services.run(&["prune"]).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(
        run.out.matches("nothing to prune").count(),
        2,
        "{}",
        run.out
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prune_that_is_killed_at_any_deletion_is_finished_by_the_next() {
    let services = Services::new().await;
    let run = services.release("refs/heads/main", "zero").await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    for (number, (on_hub, nth, done)) in [
        (false, 1, false),
        (true, 1, true),
        (false, 1, true),
        (true, 2, false),
        (false, 2, false),
        (true, 1, false),
        (false, 2, true),
        (true, 2, true),
    ]
    .into_iter()
    .enumerate()
    {
        let proxy = if on_hub {
            &services.hub.proxy
        } else {
            &services.ghcr.api_proxy
        };
        let fault = if done {
            Fault::SilentAnswer
        } else {
            Fault::Silence
        };
        let deletes = |target: &str| {
            let of_version = target.contains("/versions/") && !target.ends_with("/restore");
            of_version || target.contains("/manifests/sha256:")
        };
        let before = proxy.seen().len();
        let fits = move |method: &str, target: &str| method == "DELETE" && deletes(target);
        proxy.break_also(Rule::at(fits, fault).nth(nth));
        services.commit(&format!("commit {number}"));
        let mut run = services.start(&["release", "refs/heads/main"]);
        run.while_not(&format!("{number}: the deletion"), || {
            let seen = proxy.seen().split_off(before);
            let mut seen = seen.iter().filter(|seen| fits(&seen.method, &seen.target));
            seen.nth(nth as usize - 1)
                .is_some_and(|seen| seen.answered.is_some() == done)
        })
        .await;
        run.signal(Signal::SIGKILL);
        let run = run.finish().await;
        assert_eq!(run.code, None, "{}", run.err);
        let project = &services.project;
        eventually("podman has ended", || project.processes().is_empty()).await;
        for proxy in [&services.hub.proxy, &services.ghcr.api_proxy] {
            proxy.heal();
        }
        // What is published is whole, whatever went.
        for registry in services.registries() {
            let latest = registry.tags(&services.name)["latest"];
            let manifests = registry.manifests(&services.name);
            for child in manifests[&latest]["manifests"].as_array().unwrap() {
                let child: Digest = child["digest"].as_str().unwrap().parse().unwrap();
                assert!(manifests.contains_key(&child), "{number}");
            }
        }
        let run = services.run(&["prune"]).await;
        assert_eq!(run.code, Some(0), "{number}: {}", run.err);
        assert_eq!(
            services.is_tidy(&["latest"]).len(),
            2,
            "{number}: {}",
            run.err
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prune_tells_what_cannot_be_deleted_and_what_to_do() {
    let services = Services::new().await;
    let latest = || services.ghcr.behind().tags(&services.name)["latest"];
    let run = services.release("refs/heads/main", "one").await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let first = latest();

    services.ghcr.packages().may_delete(false);
    services.hub.deletes(Deletes::Never(403));
    let run = services.release("refs/heads/main", "two").await;
    assert_eq!(run.code, Some(10), "{}", run.err);
    // The release stands, and its result is told all the same.
    assert!(run.out.contains("released "), "{}", run.out);
    assert_ne!(latest(), first);
    let words = [
        "this account may not delete there",
        "and 1 more",
        "role Admin",
        "prune = false",
    ];
    for words in words {
        assert!(run.err.contains(words), "{words}: {}", run.err);
    }
    assert_eq!(services.ghcr.packages().package(&services.name).len(), 4);

    services.ghcr.packages().may_delete(true);
    services.ghcr.packages().popular(first);
    services.hub.deletes(Deletes::Later {
        status: 500,
        looks: 1,
    });
    let run = services.run(&["prune"]).await;
    assert_eq!(run.code, Some(10), "{}", run.err);
    assert!(run.err.contains("more than 5000 downloads"), "{}", run.err);
    // What could not be deleted stays whole; on Docker Hub all went.
    assert_eq!(services.ghcr.packages().package(&services.name).len(), 4);
    assert_eq!(services.hub.behind().manifests(&services.name).len(), 2);
    assert!(
        run.out
            .contains("a part of what could not be deleted: kept"),
        "{}",
        run.out
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prune_sweeps_what_is_old_and_untagged_where_that_is_listed() {
    let services = Services::new().await;
    let toml = std::fs::read_to_string(services.project.path("rpub.toml")).unwrap();
    let toml = format!("prune = false\n{toml}");
    services.project.write("rpub.toml", &toml);
    for text in ["one", "two", "three"] {
        let run = services.release("refs/heads/main", text).await;
        assert_eq!(run.code, Some(0), "{}", run.err);
    }
    // No memory of what was: as in a CI job.
    std::fs::remove_dir_all(services.project.state().join("rpub")).unwrap();
    let (name, packages) = (&services.name, services.ghcr.packages());
    let all = packages.package(name);
    assert_eq!(all.len(), 6);
    // The oldest list and its part are a month old; the second is of today.
    let lists: Vec<Digest> = services
        .ghcr
        .behind()
        .manifests(name)
        .into_iter()
        .filter(|(_, manifest)| manifest["manifests"].is_array())
        .map(|(digest, _)| digest)
        .filter(|digest| all[digest].is_empty())
        .collect();
    let [old, young] = lists[..] else {
        panic!("{lists:?}")
    };
    let part = |list: Digest| -> Digest {
        let manifests = services.ghcr.behind().manifests(name);
        manifests[&list]["manifests"][0]["digest"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let (old_part, young_part) = (part(old), part(young));
    for digest in [old, old_part] {
        packages.age(digest, 30);
    }
    packages.page(2);
    let run = services.run(&["prune", "--sweep"]).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("--sweep wants --yes"), "{}", run.err);
    assert_eq!(run.out.matches("would go").count(), 2, "{}", run.out);
    assert_eq!(packages.package(name).len(), 6);

    // A page that fails: nothing at all.
    let broken = Rule::on("GET", "&page=3", Fault::status(502)).always();
    services.ghcr.api_proxy.break_also(broken);
    let run = services.run(&["prune", "--sweep", "--yes"]).await;
    assert_eq!(run.code, Some(10), "{}", run.err);
    assert_eq!(packages.package(name).len(), 6);
    services.ghcr.api_proxy.heal();

    // Nothing is old by a clock that nobody knows.
    let timeless = Rule::on("GET", "/versions?", Fault::Without("date")).always();
    services.ghcr.api_proxy.break_also(timeless);
    let run = services.run(&["prune", "--sweep", "--yes"]).await;
    assert_eq!(run.code, Some(10), "{}", run.err);
    assert!(run.err.contains("have no Date"), "{}", run.err);
    assert_eq!(packages.package(name).len(), 6);
    services.ghcr.api_proxy.heal();

    // What is of today there stays, though by this machine's clock it is three years old.
    packages.clock_is_behind(1000);
    let run = services.run(&["prune", "--sweep", "--yes"]).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let left: BTreeSet<Digest> = packages.package(name).into_keys().collect();
    assert_eq!(left.len(), 4);
    assert!(left.contains(&young) && left.contains(&young_part));
    assert!(!left.contains(&old) && !left.contains(&old_part));
}
