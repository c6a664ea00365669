//! Decides that a large image reaches two registries and a directory store as one, in little memory, compressed once.
//! Must never be satisfied by a small image: what arrived is measured.

use super::{digests, manifest, raw, tags, to, two_registries};
use crate::support::{
    engine::native,
    machine::{Machine, Project},
    registries::RegistryProcess,
};
use rpub::model::{digest::Digest, manifest::Body};
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The files' bytes, and how many layers they make.
const BYTES: u64 = 610_000_000;
const LAYERS: usize = 6;
const FILE: u64 = 32_000_000;
/// What rpub may need.
const PEAK_KIB: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_of_a_large_image_is_one_image_in_three_places() {
    let (machine, registries) = (Machine::new(), two_registries());
    let hosts = registries.each_ref().map(RegistryProcess::host);
    let project = project();
    let to = format!("{},./out", to(&hosts, "ns"));
    let args = ["release", "v1.2.3", "--to", &to, "--format", "json", "-v"];
    let ran = machine.rpub(project.path(), &args).well();
    assert!(ran.peak_kib > 0, "its memory was not seen");
    eprintln!("{} KiB at peak", ran.peak_kib);
    assert!(ran.peak_kib <= PEAK_KIB, "{} KiB at peak", ran.peak_kib);

    // One digest everywhere, whoever is asked.
    let (digest, children) = digests(&ran.json());
    let store = format!("oci:{}/out/app", project.path().display());
    for tag in ["1.2.3", "1.2", "latest"] {
        for host in &hosts {
            let found = manifest(host, "ns/app", tag).await.unwrap();
            assert_eq!(found.digest(), digest, "{host} {tag}");
            let bytes = raw(&format!("docker://{host}/ns/app:{tag}"));
            assert_eq!(Digest::of(&bytes), digest, "{host} {tag}");
        }
        assert_eq!(Digest::of(&raw(&format!("{store}:{tag}"))), digest, "{tag}");
    }
    for host in &hosts {
        assert_eq!(tags(host, "ns/app").await, ["1.2", "1.2.3", "latest"]);
    }

    // Every blob left podman once, and reached each registry once.
    let mut blobs = BTreeSet::new();
    for child in &children {
        let child = manifest(&hosts[0], "ns/app", &child.to_string()).await;
        blobs.extend(child.unwrap().blobs().iter().map(|blob| blob.digest));
    }
    let sent = ran.stderr.lines().filter(|l| l.contains("podman sent "));
    assert_eq!(sent.count(), blobs.len(), "{}", ran.stderr);
    for blob in &blobs {
        let line = format!("podman sent {} ", blob.short());
        assert_eq!(ran.stderr.matches(&line).count(), 1, "{blob}");
    }
    for registry in &registries {
        let log = registry.access_log();
        // Its access log has a line of its own per request, beside its JSON or key=value lines.
        let puts = log.matches("\"PUT /v2/ns/app/blobs/uploads/").count();
        assert_eq!(puts, blobs.len(), "{log}");
    }

    // What podman pulls is that image, whole.
    for host in &hosts {
        let reference = format!("{host}/ns/app:1.2.3");
        machine.podman(&["pull", "-q", "--tls-verify=false", &reference]);
        let image = machine.image(&reference);
        let child = manifest(host, "ns/app", &children[0].to_string()).await;
        let child = child.unwrap();
        let Body::Image { config, layers } = child.body() else {
            panic!("no image: {child:?}")
        };
        assert_eq!(image["Id"], config.digest.hex());
        assert_eq!(layers.len(), LAYERS);
        let layers = image["RootFS"]["Layers"].as_array().unwrap();
        assert_eq!(layers.len(), LAYERS);
        assert!(image["Size"].as_u64().unwrap() >= 600_000_000, "{image}");
        let check = image["Healthcheck"]["Test"].clone();
        assert_eq!(check, serde_json::json!(["CMD", "/x", "--check"]));
        // The next one is to come from the next registry, layers and all.
        machine.podman(&["rmi", &reference]);
    }
}

/// A large image for this machine, and a small one for another.
fn project() -> Project {
    let native = native().to_string();
    let other = if native == "linux/arm64" {
        "linux/amd64"
    } else {
        "linux/arm64"
    };
    let check = "HEALTHCHECK CMD [\"/x\", \"--check\"]\n";
    let copies: Vec<String> = (0..LAYERS)
        .map(|n| format!("COPY layer{n} /layer{n}\n"))
        .collect();
    let copies = copies.concat();
    let project = Project::new(&[], &format!("FROM scratch\n{copies}{check}"));
    project.write(
        "Containerfile.other",
        &format!("FROM scratch\nCOPY rpub.toml /\n{check}"),
    );
    project.write(
        "rpub.toml",
        &format!(
            "[[image]]\nname = \"app\"\nplatforms = [\"{native}\", \"{other}\"]\n\
             containerfile = {{ \"{native}\" = \"Containerfile\", \"{other}\" = \"Containerfile.other\" }}\n"
        ),
    );
    fill(project.path());
    project
}

/// Copies large programs and libraries of this machine, spread over the layers.
fn fill(folder: &Path) {
    let built = Path::new(env!("CARGO_BIN_EXE_rpub")).parent().unwrap();
    let mut files = Vec::new();
    // Packages' files first: they are the same each time.
    for root in [Path::new("/usr"), built] {
        let mut found = files_under(root);
        // Large ones, but not so large that one of them is the image.
        found.sort_by_key(|(size, path)| (*size > FILE, u64::MAX - size, path.clone()));
        files.extend(found);
    }
    let mut bytes = 0;
    for (number, (size, path)) in files.into_iter().enumerate() {
        let layer = folder.join(format!("layer{}", number % LAYERS));
        std::fs::create_dir_all(&layer).unwrap();
        if std::fs::copy(path, layer.join(format!("file{number}"))).is_ok() {
            bytes += size;
        }
        if bytes >= BYTES {
            return;
        }
    }
    panic!("there are only {bytes} bytes of files on this machine");
}

fn files_under(root: &Path) -> Vec<(u64, PathBuf)> {
    let (mut todo, mut found) = (vec![root.to_owned()], Vec::new());
    let mut seen = BTreeSet::new();
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, Ok(about)) = (entry.path(), entry.metadata()) else {
                continue;
            };
            if about.is_dir() {
                todo.push(path);
            } else if about.is_file() && seen.insert(about.ino()) && File::open(&path).is_ok() {
                found.push((about.len(), path));
            }
        }
    }
    found
}
