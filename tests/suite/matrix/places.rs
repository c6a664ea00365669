//! Decides which places a release goes back from: docker-registry, both emulated services, a directory store; what each has.
//! Must never look at a place through rpub: registries' own files and the layout's index tell.

use super::{
    machine::{Machine, plain},
    world::{APP, Images, PASSWORD, USER},
};
use crate::support::{
    ghcr::Ghcr,
    hub::DockerHub,
    proxy::Proxy,
    registries::{Auth, RegistryProcess, copy_folder},
};
use rpub::{
    events::Events,
    model::{
        digest::Digest,
        reference::{Host, RepositoryName},
        spec::{Destination, RegistrySpec, Service},
    },
    registry::{CredentialSource, Options, Registry, Remote},
};
use serde_json::Value;
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// What no healthy registry needs.
const SILENCE: Duration = Duration::from_mins(1);

/// One place of a case, as users write its repository, and what each tag names there.
pub(super) struct Tags {
    pub(super) repository: String,
    pub(super) tags: BTreeMap<String, Digest>,
}

/// All places; v1.2.2 is published on each, in one namespace for each case.
pub(super) struct Places {
    registry: RegistryProcess,
    pub(super) proxy: Proxy,
    pub(super) ghcr: Ghcr,
    pub(super) hub: DockerHub,
    /// One that deletes nothing, if any.
    stubborn: Option<RegistryProcess>,
    folder: TempDir,
    pub(super) old: Images,
    pub(super) new: Images,
    cases: Cell<u32>,
}

impl Places {
    pub(super) async fn new(stubborn: bool) -> Self {
        let registry = RegistryProcess::start(&Auth::None);
        let proxy = Proxy::before(registry.host()).tokens(USER, PASSWORD);
        let places = Places {
            proxy: proxy.start().await,
            registry,
            ghcr: Ghcr::start(USER, PASSWORD).await,
            hub: DockerHub::start(USER, PASSWORD).await,
            stubborn: stubborn.then(|| RegistryProcess::without_deletion(&Auth::None)),
            folder: tempfile::tempdir().unwrap(),
            old: Images::of("1.2.2"),
            new: Images::of("1.2.3"),
            cases: Cell::new(0),
        };
        let mut machine = Machine::at(places.at("seed"), SILENCE);
        machine.turn_to("refs/tags/v1.2.2");
        machine.release(&places.old).await.unwrap();
        places
    }

    /// Where requests can be broken: what it is called, and the proxy.
    pub(super) fn proxies(&self) -> [(&'static str, &Proxy); 4] {
        [
            ("docker-registry", &self.proxy),
            ("GHCR", &self.ghcr.proxy),
            ("GitHub's API", &self.ghcr.api_proxy),
            ("Docker Hub", &self.hub.proxy),
        ]
    }

    pub(super) fn heal(&self) {
        for (_, proxy) in self.proxies() {
            proxy.heal();
        }
    }

    fn registries(&self) -> Vec<(Host, &RegistryProcess)> {
        let mut all = vec![
            (self.proxy.host(), &self.registry),
            (self.ghcr.host(), self.ghcr.behind()),
            (self.hub.host(), self.hub.behind()),
        ];
        all.extend(self.stubborn.iter().map(|one| (one.host(), one)));
        all
    }

    fn store(&self, namespace: &str) -> PathBuf {
        self.folder.path().join(namespace)
    }

    fn at(&self, namespace: &str) -> Vec<Destination> {
        let service = |host: Host, service, api: String| {
            let namespace: RepositoryName = namespace.parse().unwrap();
            Destination::Registry(RegistrySpec {
                host,
                namespace: Some(namespace),
                insecure: true,
                ca_file: None,
                service,
                api: Some(api.parse().unwrap()),
            })
        };
        let mut all = vec![
            plain(self.proxy.host().as_str(), namespace),
            service(self.ghcr.host(), Service::Ghcr, self.ghcr.api()),
            service(
                self.hub.host(),
                Service::DockerHub,
                self.hub.api.url.clone(),
            ),
            Destination::Directory(self.store(namespace).display().to_string()),
        ];
        let stubborn = self.stubborn.iter();
        all.extend(stubborn.map(|one| plain(one.host().as_str(), namespace)));
        all
    }

    /// A namespace that nobody has used, where v1.2.2 is published, and a machine that releases v1.2.3 there.
    pub(super) fn case(&self) -> (String, Machine) {
        let number = self.cases.get();
        self.cases.set(number + 1);
        let namespace = format!("case-{number}");
        for (_, registry) in self.registries() {
            registry.copy_repositories("seed", &namespace);
        }
        copy_folder(&self.store("seed"), &self.store(&namespace));
        let machine = Machine::at(self.at(&namespace), SILENCE);
        (namespace, machine)
    }

    /// The same, where nothing is published.
    pub(super) fn empty_case(&self) -> (String, Machine) {
        let number = self.cases.get();
        self.cases.set(number + 1);
        let namespace = format!("case-{number}");
        let machine = Machine::at(self.at(&namespace), SILENCE);
        (namespace, machine)
    }

    /// What lies in the docker-registry, past its proxy.
    pub(super) fn behind(&self, namespace: &str) -> Remote {
        let mut options = Options::new(self.registry.host());
        options.insecure = true;
        let (anonymous, stop) = (CredentialSource::anonymous(), CancellationToken::new());
        let registry = Registry::new(options, anonymous, Events::default(), stop).unwrap();
        registry.repository(format!("{namespace}/{APP}").parse().unwrap())
    }

    /// The repository on the registry that deletes nothing.
    pub(super) fn stubborn(&self, namespace: &str) -> String {
        let host = self.stubborn.as_ref().unwrap().host();
        format!("{host}/{namespace}/{APP}")
    }

    /// What each place has.
    pub(super) fn look(&self, namespace: &str) -> Vec<Tags> {
        let name = format!("{namespace}/{APP}");
        let registries = self.registries().into_iter();
        let mut all: Vec<Tags> = registries
            .map(|(host, registry)| Tags {
                repository: format!("{host}/{name}"),
                tags: registry.tags(&name),
            })
            .collect();
        let store = self.store(namespace);
        let index = std::fs::read(store.join(APP).join("index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        let entries = index["manifests"].as_array().unwrap().iter();
        let tag = |entry: &Value| {
            let tag = entry["annotations"]["org.opencontainers.image.ref.name"].as_str();
            let digest = entry["digest"].as_str().unwrap().parse().unwrap();
            Some((tag?.to_owned(), digest))
        };
        all.push(Tags {
            repository: format!("oci:{}/{APP}", store.display()),
            tags: entries.filter_map(tag).collect(),
        });
        all
    }

    /// Manifests that stood under a tag for a moment, wherever they are.
    pub(super) fn junk(&self, namespace: &str) -> BTreeSet<Digest> {
        let name = format!("{namespace}/{APP}");
        let registries = self.registries().into_iter();
        let manifests = registries.flat_map(|(_, registry)| registry.manifests(&name));
        let is_junk = |manifest: &Value| manifest["artifactType"].is_string();
        manifests
            .filter(|(_, manifest)| is_junk(manifest))
            .map(|(digest, _)| digest)
            .collect()
    }
}
