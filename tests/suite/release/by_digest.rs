//! Decides that no registry shows anything before every registry has everything.
//! Must never infer an order that the proxies did not record.

use super::{SMALL, digests, manifest, tags, to, two_registries};
use crate::support::{
    faults::{Fault, Hold, Rule},
    machine::{Machine, Project},
    proxy::{Proxy, Seen},
};
use rpub::model::digest::Digest;

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_is_by_digest_until_the_tags() {
    let (machine, registries) = (Machine::new(), two_registries());
    let proxies = [
        Proxy::before(registries[0].host()).start().await,
        Proxy::before(registries[1].host()).start().await,
    ];
    let hosts = proxies.each_ref().map(Proxy::host);
    let to = to(&hosts, "ns");
    let project = Project::new(&PLATFORMS, SMALL);
    project.write("file", "content");

    let platforms = PLATFORMS.join(",");
    let build = ["build", "v1.2.3", "--platform", &platforms];
    machine.rpub(project.path(), &build).well();
    let push = ["push", "v1.2.3", "--platform", &platforms, "--to", &to];
    let json = ["--format", "json", "--digests", "digests"];
    let pushed = machine.rpub(project.path(), &[&push[..], &json].concat());
    let pushed = pushed.well().json();
    let records = pushed["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    for host in &hosts {
        assert_eq!(tags(host, "ns/app").await, Vec::<String>::new());
        for record in records {
            let digest = record["digest"].as_str().unwrap();
            assert!(manifest(host, "ns/app", digest).await.is_some(), "{host}");
        }
    }

    let assemble = ["assemble", "v1.2.3", "--to", &to];
    let assembled = machine.rpub(project.path(), &[&assemble[..], &json].concat());
    let (list, children) = digests(&assembled.well().json());
    check_order(&proxies, &[&children[..], &[list]].concat());
    for host in &hosts {
        assert_eq!(tags(host, "ns/app").await, ["1.2", "1.2.3", "latest"]);
    }
}

/// Whether a process listens on a port.
fn listens(process: u32) -> bool {
    let sockets = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let sockets: Vec<String> = sockets
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|link| link.display().to_string())
        .collect();
    let all = std::fs::read_to_string("/proc/net/tcp").unwrap();
    all.lines().skip(1).any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words[3] == "0A" && sockets.contains(&format!("socket:[{}]", words[9]))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_closes_the_relay_before_a_tag_moves() {
    let (machine, registries) = (Machine::new(), two_registries());
    let (blob, tag) = (Hold::default(), Hold::default());
    let proxy = Proxy::before(registries[0].host())
        .rule(Rule::on(
            "PUT",
            "/blobs/uploads/",
            Fault::Held(blob.clone()),
        ))
        .rule(Rule::on(
            "PUT",
            "/manifests/1.2.3",
            Fault::Held(tag.clone()),
        ));
    let proxy = proxy.start().await;
    let to = to([&proxy.host(), &registries[1].host()], "ns");
    let project = Project::new(&PLATFORMS, SMALL);
    project.write("file", "content");
    let run = machine.start(project.path(), &["release", "v1.2.3", "--to", &to]);
    blob.has_come().await;
    assert!(listens(run.pid()), "podman pushes to it");
    blob.let_go();
    tag.has_come().await;
    assert!(!listens(run.pid()), "it is open while tags move");
    tag.let_go();
    run.wait().well();
}

/// Over both registries: blobs and manifests by digest, read back, then the version's tags, then `latest`.
fn check_order(proxies: &[Proxy; 2], everything: &[Digest]) {
    let seen = proxies.each_ref().map(Proxy::seen);
    let tag_of = |seen: &Seen| {
        let (_, reference) = seen.target.split_once("/manifests/")?;
        (seen.method == "PUT" && !reference.starts_with("sha256:")).then(|| reference.to_owned())
    };
    let all = || seen.iter().flatten();
    let tagged: Vec<(&Seen, String)> = all()
        .filter_map(|seen| Some((seen, tag_of(seen)?)))
        .collect();
    assert_eq!(tagged.len(), 6, "three tags on two registries");
    let first_tag = tagged.iter().map(|(seen, _)| seen.came).min().unwrap();

    let uploads: Vec<&Seen> = all()
        .filter(|seen| seen.target.contains("/blobs/") && seen.method == "PUT")
        .collect();
    assert!(!uploads.is_empty());
    for seen in uploads {
        assert!(seen.answered.unwrap() < first_tag, "{seen:?}");
    }
    for (number, seen) in seen.iter().enumerate() {
        for digest in everything {
            for method in ["PUT", "GET"] {
                let path = format!("/manifests/{digest}");
                let done = seen.iter().any(|seen| {
                    seen.method == method
                        && seen.target.ends_with(&path)
                        && seen.status.is_some_and(|status| status < 300)
                        && seen.answered.unwrap() < first_tag
                });
                assert!(done, "registry {number}: {method} {digest} before any tag");
            }
        }
    }
    let (latest, versions): (Vec<_>, Vec<_>) = tagged.iter().partition(|(_, tag)| tag == "latest");
    assert_eq!(latest.len(), 2);
    for (latest, _) in latest {
        for (version, tag) in &versions {
            assert!(version.answered.unwrap() < latest.came, "{tag}");
        }
    }
}
