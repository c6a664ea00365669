//! Decides what there is before a release is killed: built and pushed once, and copied for every kill.
//! Must never share tags between two places: each has a namespace of its own.

use super::place::Place;
use crate::support::{
    engine::native,
    project::{PASSWORD, PLAIN, Project, USER},
    proxy::Proxy,
    registries::{Auth, RegistryProcess},
};
use rpub::model::{digest::Digest, reference::Host};

/// Where everything is built, and copied from.
const TEMPLATE: &str = "template";

/// Two registries with a login; v1.2.2 of two images is published on them, v1.2.3 and v1.2.4 are there by digest.
pub(super) struct Bench {
    pub(super) project: Project,
    pub(super) registries: [RegistryProcess; 2],
    pub(super) proxies: [Proxy; 2],
    pub(super) images: [String; 2],
    pub(super) authfile: String,
    /// What `latest` of each image names at first.
    pub(super) old: [Digest; 2],
}

impl Bench {
    pub(super) async fn new() -> Self {
        let project = Project::new("killed", PLAIN);
        let toml = std::fs::read_to_string(project.path("rpub.toml")).unwrap();
        let twin = format!(
            "[[image]]\nname = \"twin\"\ncontainerfile = \"Twin\"\nplatforms = [\"{}\"]\n",
            native()
        );
        project.write("rpub.toml", &(toml + &twin));
        project.write("Twin", &format!("{PLAIN}CMD [\"/text\"]\n"));
        let registries: [_; 2] = std::array::from_fn(|_| RegistryProcess::start(&Auth::None));
        let [first, second] = registries.each_ref().map(|registry| {
            Proxy::before(registry.host())
                .tokens(USER, PASSWORD)
                .start()
        });
        let proxies = [first.await, second.await];
        let hosts = proxies.each_ref().map(Proxy::host);
        let authfile = project.login(&hosts.each_ref().map(Host::as_str));
        let images = [project.image().to_owned(), "twin".to_owned()];
        let mut bench = Bench {
            project,
            registries,
            proxies,
            images,
            authfile,
            old: [Digest::of(b""); 2],
        };
        for version in ["v1.2.2", "v1.2.3", "v1.2.4"] {
            bench.project.write("text", version);
            let records = format!("{TEMPLATE}-{version}");
            let template = bench.at(TEMPLATE);
            template.run(&["build", version]).await;
            template
                .run(&["push", version, "--digests", &records])
                .await;
        }
        bench.at(TEMPLATE).release("v1.2.2").await;
        for image in 0..2 {
            let latest = bench.at(TEMPLATE).latest(0, image).await;
            assert_eq!(bench.at(TEMPLATE).latest(1, image).await, latest);
            bench.old[image] = latest;
        }
        bench
    }

    fn at(&self, namespace: &str) -> Place<'_> {
        Place::new(self, namespace)
    }

    /// A new copy.
    pub(super) fn place(&self, namespace: &str) -> Place<'_> {
        for registry in &self.registries {
            registry.copy_repositories(TEMPLATE, namespace);
        }
        for version in ["v1.2.3", "v1.2.4"] {
            let to = format!("{namespace}-{version}");
            std::fs::create_dir(self.project.path(&to)).unwrap();
            let from = self.project.path(&format!("{TEMPLATE}-{version}"));
            for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
                // A record names the repositories that it is for.
                let text = std::fs::read_to_string(entry.path()).unwrap();
                let text = text.replace(&format!("/{TEMPLATE}/"), &format!("/{namespace}/"));
                let file = entry.file_name();
                self.project
                    .write(&format!("{to}/{}", file.to_str().unwrap()), &text);
            }
        }
        self.at(namespace)
    }
}
