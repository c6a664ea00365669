//! Decides what a release does to the tags that one before it has set, and when it has nothing to do.
//! Must never take a registry's word from rpub: what tags name is asked for without it.

use super::{manifest, tags, to, two_registries};
use crate::support::{
    faults::{Fault, Rule, one_by_one},
    project::{Outcome, Project, Running},
    proxy::{Builder, Proxy},
    registries::{Auth, RegistryProcess},
};
use nix::sys::signal::Signal;
use rpub::model::{digest::Digest, reference::Host};
use std::collections::BTreeMap;

/// A commit; without a repository it is GitHub that says which.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What every tag names; on both registries the same.
async fn published(hosts: &[Host; 2], project: &Project) -> BTreeMap<String, Digest> {
    let name = format!("ns/{}", project.image());
    let mut both = Vec::new();
    for host in hosts {
        let mut found = BTreeMap::new();
        for tag in tags(host, &name).await {
            let named = manifest(host, &name, &tag).await.unwrap();
            found.insert(tag, named.digest());
        }
        both.push(found);
    }
    assert_eq!(both[0], both[1]);
    both.swap_remove(0)
}

async fn well(project: &Project, args: &[&str]) -> Outcome {
    let run = project.run(args).await;
    assert_eq!(run.code, Some(0), "{args:?}: {}", run.err);
    project.is_clean_after(&run);
    run
}

#[tokio::test]
async fn release_of_another_digest_is_refused_until_it_is_forced() {
    let registries = two_registries();
    let hosts = registries.each_ref().map(RegistryProcess::host);
    let (project, to) = (Project::plain("conflict"), to(&hosts, "ns"));
    let args = ["release", "v1.2.3", "--to", &to];
    well(&project, &args).await;
    let before = published(&hosts, &project).await;

    project.write("text", "something else");
    let refused = project.run(&args).await;
    let tag = format!("{}/ns/{}:1.2.3", hosts[0], project.image());
    let next = "release a new version; or overwrite it with --force";
    project.failed(&refused, 2, "1.2.3 is published already", &tag, next);
    assert_eq!(published(&hosts, &project).await, before);

    well(&project, &[&args[..], &["--force"]].concat()).await;
    let after = published(&hosts, &project).await;
    assert!(after.keys().eq(before.keys()), "{after:?}");
    for (tag, digest) in &after {
        assert_ne!(*digest, before[tag], "{tag}");
        assert_eq!(*digest, after["latest"], "{tag}");
    }
}

#[tokio::test]
async fn release_of_an_older_version_or_a_candidate_leaves_latest() {
    let registries = two_registries();
    let hosts = registries.each_ref().map(RegistryProcess::host);
    let (project, to) = (Project::plain("older"), to(&hosts, "ns"));
    well(&project, &["release", "v1.2.3", "--to", &to]).await;
    let first = published(&hosts, &project).await;
    assert!(first.keys().eq(["1.2", "1.2.3", "latest"]), "{first:?}");

    project.write("text", "older");
    let older = well(&project, &["release", "v1.1.0", "--to", &to]).await;
    let told = "latest stays where it is: 1.2.3 is newer and published";
    assert!(older.err.contains(told), "{}", older.err);
    assert!(!older.out.contains(":latest"), "{}", older.out);

    project.write("text", "candidate");
    let candidate = well(&project, &["release", "v2.0.0-rc.1", "--to", &to]).await;
    assert!(!candidate.out.contains(":latest"), "{}", candidate.out);

    let after = published(&hosts, &project).await;
    let expected = ["1.1", "1.1.0", "1.2", "1.2.3", "2.0.0-rc.1", "latest"];
    assert!(after.keys().eq(expected), "{after:?}");
    for (tag, digest) in &first {
        assert_eq!(after[tag], *digest, "{tag}");
    }
    assert_ne!(after["1.1.0"], after["2.0.0-rc.1"]);
}

#[tokio::test]
async fn release_moves_latest_only_forward_where_pages_of_tags_are_lost() {
    let registry = RegistryProcess::start(&Auth::None);
    let project = Project::plain("paged");
    let name = format!("ns/{}", project.image());
    let first = to(&[registry.host()], "ns");
    well(&project, &["release", "v1.2.3", "--to", &first]).await;
    let latest = manifest(&registry.host(), &name, "latest").await.unwrap();

    // One tag a page, without a Link; that of the newer version comes last.
    let tags = one_by_one(&name, &["latest", "1.2", "1.2.3"]).into_iter();
    let paged = tags.fold(Proxy::before(registry.host()), Builder::rule);
    let paged = paged.start().await;
    project.write("text", "older");
    let lossy = to(&[paged.host()], "ns");
    let older = well(&project, &["release", "v1.1.0", "--to", &lossy]).await;
    let told = "latest stays where it is: 1.2.3 is newer and published";
    assert!(older.err.contains(told), "{}", older.err);
    let now = manifest(&registry.host(), &name, "latest").await.unwrap();
    assert_eq!(now.digest(), latest.digest());

    // One that cannot be asked on may know no other way: a release there says so, and goes on.
    let refuses = Rule::on("GET", "&last=", Fault::status(400)).always();
    let refuses = Proxy::before(registry.host()).rule(refuses).start().await;
    project.write("text", "newer");
    let stubborn = to(&[refuses.host()], "ns");
    let newer = project.run(&["release", "v1.3.0", "--to", &stubborn]).await;
    // It stands; but what it superseded stays.
    assert_eq!(newer.code, Some(10), "{}", newer.err);
    let told = "it does not tell whether its list of tags is whole";
    assert_eq!(newer.err.matches(told).count(), 2, "{}", newer.err);
    let now = manifest(&registry.host(), &name, "latest").await.unwrap();
    assert_ne!(now.digest(), latest.digest());
    let left = manifest(&registry.host(), &name, &latest.digest().to_string()).await;
    assert!(left.is_some());
}

#[tokio::test]
async fn release_of_a_published_commit_writes_nothing_and_needs_no_podman() {
    let registries = two_registries();
    let proxies = [
        Proxy::before(registries[0].host()).start().await,
        Proxy::before(registries[1].host()).start().await,
    ];
    let to = to(&proxies.each_ref().map(Proxy::host), "ns");
    let project = Project::plain("published");
    let release = || {
        let mut command = project.command(&["release", "v1.2.3", "--to", &to]);
        command.env("GITHUB_SHA", COMMIT);
        command
    };
    let run = Running::start(release()).finish().await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let before = proxies.each_ref().map(|proxy| proxy.seen().len());

    let mut again = release();
    again.env("PATH", project.path("nothing-is-here"));
    let again = Running::start(again).finish().await;
    assert_eq!(again.code, Some(0), "{}", again.err);
    let told = "this commit's release is there already";
    assert!(again.err.contains(told), "{}", again.err);
    project.is_clean_after(&again);
    for (proxy, before) in proxies.iter().zip(before) {
        let seen = proxy.seen().split_off(before);
        assert!(!seen.is_empty());
        for seen in seen {
            // Whether we may push is asked by an upload that is begun and cancelled: nothing is sent in it.
            let harmless = match seen.method.as_str() {
                "GET" | "HEAD" => true,
                "POST" | "DELETE" => seen.target.contains("/blobs/uploads/"),
                _ => false,
            };
            assert!(harmless && !seen.target.contains("digest="), "{seen:?}");
        }
    }
}

#[tokio::test]
async fn release_waits_for_another_of_the_same_repository() {
    let registries = two_registries();
    let hosts = registries.each_ref().map(RegistryProcess::host);
    let (project, to) = (Project::plain("waits"), to(&hosts, "ns"));
    let release = || {
        let mut command = project.command(&["release", "v1.2.3", "--to", &to]);
        command.env("GITHUB_SHA", COMMIT);
        Running::start(command)
    };
    let mut first = release();
    first.until("==> build").await;
    first.signal(Signal::SIGSTOP);
    let mut second = release();
    second.until("waiting for another rpub to finish").await;
    assert!(published(&hosts, &project).await.is_empty());
    first.signal(Signal::SIGCONT);
    let (first, second) = tokio::join!(first.finish(), second.finish());
    for run in [&first, &second] {
        assert_eq!(run.code, Some(0), "{}", run.err);
        project.is_clean_after(run);
    }
    assert!(!first.err.contains("there already"), "{}", first.err);
    let told = "waiting for another rpub to finish";
    let (_, after) = second.err.split_once(told).unwrap();
    assert!(after.contains("is there already"), "{}", second.err);
    assert_eq!(published(&hosts, &project).await.len(), 3);
}
