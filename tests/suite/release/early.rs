//! Decides that large layers are on the registries while later steps are still built, and that nothing else of a step is.
//! Must never depend on how quick a machine is: a step waits until the test lets it go on.

use super::{tags, two_registries};
use crate::support::{
    engine::processes_with,
    faults::{Fault, Rule},
    machine::noise,
    project::{Project, Running},
    proxy::Proxy,
    registries::RegistryProcess,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::collections::BTreeSet;

/// So large that its layer pays for a push of its own.
const LARGE: usize = 40 * 1024 * 1024;

/// A release whose build stands still after a large step.
struct Held {
    project: Project,
    sleep: String,
}

impl Held {
    fn new(test: &str, number: u32) -> Self {
        let sleep = format!("sleep 9{number}{}", std::process::id());
        let large = "FROM scratch\nCOPY busybox /bin/sh\nCOPY noise /noise\n";
        let rest = format!("RUN {sleep}; echo slept\nCOPY text /text\nHEALTHCHECK CMD [\"/x\"]\n");
        let project = Project::new(test, &format!("{large}{rest}"));
        noise(&project.path("noise"), LARGE, 77);
        Held { project, sleep }
    }

    fn repository(&self) -> String {
        format!("ns/{}", self.project.image())
    }

    fn start(&self, hosts: [&str; 2]) -> Running {
        let args = self.project.release_args(&hosts);
        Running::start(self.project.command(&args.each()))
    }

    fn asleep(&self) -> Option<i32> {
        let mut found = processes_with(&self.sleep).into_iter();
        found.find_map(|(pid, line)| line.starts_with("sleep").then_some(pid))
    }

    fn wake(&self) {
        let pid = self.asleep().expect("the step stands still");
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }

    /// The blobs that a registry was given.
    fn uploads(&self, registry: &RegistryProcess) -> usize {
        let put = format!("\"PUT /v2/{}/blobs/uploads/", self.repository());
        registry.access_log().matches(&put).count()
    }

    /// It ends well: both have the one image, and nothing of a step but its layers. Gives the image's blobs.
    async fn is_released(
        &self,
        run: Running,
        registries: &[RegistryProcess; 2],
    ) -> BTreeSet<String> {
        let run = run.finish().await;
        assert_eq!(run.code, Some(0), "{}", run.err);
        self.project.is_clean_after(&run);
        let repository = self.repository();
        let manifests = registries[0].manifests(&repository);
        assert_eq!(manifests.len(), 2, "an index and an image: {manifests:?}");
        assert_eq!(registries[1].manifests(&repository), manifests);
        let tags = registries[0].tags(&repository);
        assert!(tags.contains_key("1.2.3"), "{tags:?}");
        assert_eq!(registries[1].tags(&repository), tags);
        let image = manifests.values().find(|one| one["config"].is_object());
        let image = image.expect("an image");
        let layers = image["layers"].as_array().unwrap().iter();
        layers
            .chain([&image["config"]])
            .map(|blob| blob["digest"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_sends_large_layers_while_later_steps_are_built() {
    let (held, registries) = (Held::new("early", 1), two_registries());
    let hosts = registries.each_ref().map(RegistryProcess::host);
    let mut run = held.start([hosts[0].as_str(), hosts[1].as_str()]);
    // The shell's layer, and the large one.
    run.while_not("two layers are on both registries", || {
        registries.iter().all(|one| held.uploads(one) == 2) && held.asleep().is_some()
    })
    .await;
    for host in &hosts {
        assert_eq!(tags(host, &held.repository()).await, Vec::<String>::new());
    }
    held.wake();
    let blobs = held.is_released(run, &registries).await;
    for registry in &registries {
        assert_eq!(held.uploads(registry), blobs.len(), "once each: {blobs:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_forgets_what_failed_while_later_steps_were_built() {
    let (held, registries) = (Held::new("early-fault", 2), two_registries());
    // The first one asked whether we may push.
    let broken = Rule::on("POST", "/blobs/uploads/", Fault::status(400));
    let proxy = Proxy::before(registries[1].host()).rule(broken.nth(2).onwards());
    let proxy = proxy.start().await;
    let hosts = [registries[0].host(), proxy.host()];
    let mut run = held.start([hosts[0].as_str(), hosts[1].as_str()]);
    run.while_not("a layer was refused", || {
        proxy.count("POST", "/blobs/uploads/") > 1 && held.asleep().is_some()
    })
    .await;
    proxy.heal();
    held.wake();
    // The refusal ended what went to the other registry, too, however far that was: how often it came there is open.
    held.is_released(run, &registries).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_interrupted_while_a_layer_goes_early_leaves_nothing() {
    let (held, registries) = (Held::new("early-int", 3), two_registries());
    let silent = Rule::on("PATCH", "/blobs/uploads/", Fault::Silence);
    let proxy = Proxy::before(registries[1].host()).rule(silent.always());
    let proxy = proxy.start().await;
    let hosts = [registries[0].host(), proxy.host()];
    let mut run = held.start([hosts[0].as_str(), hosts[1].as_str()]);
    run.while_not("a layer is on its way", || {
        proxy.count("PATCH", "/blobs/uploads/") > 0 && held.asleep().is_some()
    })
    .await;
    run.signal(Signal::SIGINT);
    let run = run.finish().await;
    assert_eq!(run.code, Some(5), "{}", run.err);
    held.project.is_clean_after(&run);
    assert_eq!(held.asleep(), None);
    for registry in &registries {
        assert!(registry.manifests(&held.repository()).is_empty());
    }
}
