//! Decides that no cache, whatever it does, fails a build: it is told, and the build goes on without it.
//! Must never let a fault go unseen: each test checks that its rule was met.

use super::{FETCHED, LEFT, built, count, empty, layers, registry};
use crate::support::{
    faults::{Fault, Rule},
    project::Project,
    proxy::Proxy,
    registries::{Auth, RegistryProcess},
};

/// Builds twice on empty machines, with the faults at the second; what that says must hold these words, once each.
async fn goes_on(test: &str, rules: Vec<Rule>, warnings: &[&str], fetched: usize) {
    let registry = registry();
    let proxy = Proxy::before(registry.host()).start().await;
    let host = proxy.host();
    let cold = empty(test);
    built(&cold, "1700000000", host.as_str()).await;
    let before = proxy.seen().len();
    for rule in rules {
        proxy.break_also(rule);
    }
    let warm = empty(test);
    let outcome = built(&warm, "1700000000", host.as_str()).await;
    assert!(proxy.seen().len() > before);
    for words in warnings {
        let told = outcome.err.lines().filter(|line| line.contains("warning"));
        assert_eq!(
            told.filter(|line| line.contains(words)).count(),
            1,
            "{words}: {}",
            outcome.err
        );
    }
    assert_eq!(count(&outcome, FETCHED), fetched, "{}", outcome.err);
    let old = layers(&cold);
    let same = layers(&warm)
        .iter()
        .filter(|layer| old.contains(layer))
        .count();
    assert!(same < old.len(), "no step came from a cache that lies");
}

fn every(methods: &[&'static str], pattern: &str, fault: &Fault) -> Vec<Rule> {
    let rule = |method: &&'static str| Rule::on(method, pattern, fault.clone()).always();
    methods.iter().map(rule).collect()
}

const READ: &str = "is not read from any more";
const WRITTEN: &str = "is not written to";

#[tokio::test]
async fn cache_that_is_down_is_told_once() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let down = port.local_addr().unwrap().to_string();
    drop(port);
    let project = empty("cache-down");
    let outcome = built(&project, "1700000000", &down).await;
    for words in [READ, WRITTEN] {
        assert_eq!(count(&outcome, words), 1, "{}", outcome.err);
    }
    assert_eq!((count(&outcome, FETCHED), count(&outcome, LEFT)), (0, 0));
}

#[tokio::test]
async fn cache_that_refuses_is_told_once() {
    let denied = Fault::status(403).body(r#"{"errors":[{"code":"DENIED","message":"no"}]}"#);
    let rules = every(&["GET", "HEAD", "POST"], "/v2/cache/", &denied);
    goes_on("cache-403", rules, &[READ, WRITTEN], 0).await;
}

/// It may be asked, and then takes nothing.
#[tokio::test]
async fn cache_that_stops_taking_is_told_once() {
    let rules = every(&["GET"], "/manifests/", &Fault::status(404));
    let rules = [rules, every(&["PUT"], "/manifests/", &Fault::status(403))];
    goes_on(
        "cache-full",
        rules.into_iter().flatten().collect(),
        &[WRITTEN],
        0,
    )
    .await;
}

#[tokio::test]
async fn cache_that_is_a_web_page_is_told_once() {
    let rules = every(&["GET"], "/manifests/", &Fault::html(200));
    goes_on("cache-html", rules, &[READ], 0).await;
}

#[tokio::test]
async fn cache_with_a_broken_manifest_is_told_once() {
    let broken = Fault::status(200)
        .header(
            "Content-Type",
            "application/vnd.docker.distribution.manifest.v2+json",
        )
        .body("{\"schemaVersion\": 2, \"layers\": 7}");
    goes_on(
        "cache-broken",
        every(&["GET"], "/manifests/", &broken),
        &[READ],
        0,
    )
    .await;
}

/// Blobs that are not what the manifest names never reach podman.
#[tokio::test]
async fn cache_that_was_poisoned_is_refused() {
    let rules = every(
        &["GET"],
        "/blobs/sha256",
        &Fault::status(200).body("poison"),
    );
    goes_on("cache-poison", rules, &[READ, "have the digest"], 0).await;
}

/// Half-way: what came before it is used.
#[tokio::test]
async fn cache_that_fails_in_the_middle_is_used_up_to_there() {
    let rule = Rule::on("GET", "/manifests/", Fault::status(403))
        .nth(4)
        .onwards();
    goes_on("cache-half", vec![rule], &[READ], 3).await;
}

/// Plain HTTP is for the relay alone: what a build begins with is fetched as ever, or not at all.
#[tokio::test]
async fn cache_makes_no_base_image_come_over_plain_http() {
    let (cache, bases) = (registry(), RegistryProcess::start(&Auth::None));
    let base = format!("{}/base:1", bases.host());
    let project = Project::new("cache-base", &format!("FROM {base}\nCOPY text /text\n"));
    let (cache, args) = (cache.host(), ["build", "v1.2.3"]);
    let hosts = [cache.as_str()];
    let outcome = super::run(&project, "1700000000", &args, cache.as_str(), &hosts).await;
    assert_eq!(outcome.code, Some(3), "{}", outcome.err);
    assert_eq!(
        count(&outcome, "without the layer cache"),
        1,
        "{}",
        outcome.err
    );
    assert!(!bases.access_log().contains("/manifests/"));

    // Where it is here already it serves.
    let made = Project::plain("cache-base-made");
    made.podman(&[
        "build",
        "-q",
        "-t",
        &base,
        &made.path("").display().to_string(),
    ]);
    let archive = project.path("base.tar").display().to_string();
    made.podman(&["save", "-q", "-o", &archive, &base]);
    project.podman(&["load", "-q", "-i", &archive]);
    std::fs::remove_file(&archive).unwrap();
    let outcome = built(&project, "1700000000", cache.as_str()).await;
    assert!(count(&outcome, LEFT) > 0, "{}", outcome.err);
}
