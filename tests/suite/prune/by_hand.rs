//! Decides what `rpub prune` says and does as somebody runs it: nothing to do, wrong words, Ctrl-C, a damaged memory.
//! Must never need more than one registry.

use super::stock::{Stock, project, prune};
use crate::support::{
    faults::{Fault, Rule},
    project::{PLAIN, Project, Running},
    proxy::Proxy,
    registries::{Auth, RegistryProcess},
};
use nix::sys::signal::Signal;
use rpub::model::digest::Digest;
use serde_json::Value;

#[tokio::test]
async fn prune_without_a_latest_is_a_warning_and_well() {
    // FR-019.
    let (registry, project) = (RegistryProcess::start(&Auth::None), project());
    let proxy = Proxy::before(registry.host()).start().await;
    let digest = Digest::of(b"nothing").to_string();
    let run = prune(&project, &proxy, "empty", &["--digest", &digest]).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("warning: "), "{}", run.err);
    assert!(
        run.err.contains("there is no latest: nothing is pruned"),
        "{}",
        run.err
    );
    assert_eq!(proxy.count("DELETE", ""), 0);
    project.is_clean_after(&run);
}

#[tokio::test]
async fn prune_dry_says_what_would_go_and_lets_it_be() {
    let (stock, project) = (Stock::new().await, project());
    let name = stock.copy("dry");
    let proxy = Proxy::before(stock.registry.host()).start().await;
    let digest = stock.old.to_string();
    let args = ["--dry-run", "--digest", &digest, "--format", "json"];
    let run = prune(&project, &proxy, "dry", &args).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let document: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(document["dry_run"], true);
    let deletions = document["repositories"][0]["deletions"].as_array().unwrap();
    assert_eq!(deletions.len(), stock.going.len(), "{document}");
    assert!(deletions.iter().all(|one| one["outcome"] == "planned"));
    // The signature goes first, with its tag.
    let signed = format!("sha256-{}.sig", stock.old.hex());
    assert_eq!(deletions[0]["tags"], serde_json::json!([signed]));
    let kept = document["repositories"][0]["kept"].as_array().unwrap();
    assert_eq!(kept[0]["why"], "a part of what latest points at: kept");
    assert_eq!(stock.has(&name, &stock.going).await, stock.going);
    assert_eq!(proxy.count("DELETE", ""), 0);

    let unknown = Digest::of(b"unknown").to_string();
    let run = prune(&project, &proxy, "dry", &["--digest", &unknown]).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(
        run.err.contains(&format!("{unknown} is not there")),
        "{}",
        run.err
    );
    for (args, words) in [
        (&["--digest", "sha256:12"][..], "sha256:12"),
        (&["--yes"], "--sweep"),
        (&["nobody"], "nobody"),
    ] {
        let run = prune(&project, &proxy, "dry", args).await;
        assert_eq!(run.code, Some(2), "{}", run.err);
        assert!(run.err.contains(words), "{}", run.err);
    }
}

#[tokio::test]
async fn prune_stops_when_asked_to_and_goes_on_later() {
    let (stock, project) = (Stock::new().await, project());
    let name = stock.copy("stopped");
    let rule = Rule::on("DELETE", "/manifests/", Fault::SilentAnswer).nth(2);
    let proxy = Proxy::before(stock.registry.host())
        .rule(rule)
        .start()
        .await;
    let (digest, to) = (
        stock.old.to_string(),
        format!("http://{}/stopped", proxy.host()),
    );
    let args = ["prune", "app", "--to", &to, "--digest", &digest];
    let mut run = Running::start(project.command(&args));
    run.while_not("the second deletion", || {
        let done = |seen: &crate::support::proxy::Seen| seen.answered.is_some();
        proxy
            .seen()
            .iter()
            .filter(|seen| seen.method == "DELETE" && done(seen))
            .count()
            == 2
    })
    .await;
    run.signal(Signal::SIGINT);
    let run = run.finish().await;
    assert_eq!(run.code, Some(5), "{}", run.err);
    proxy.heal();
    // What it had begun is remembered, so that its last part is found although its list is gone.
    let run = project.run(&args).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(
        stock.has(&name, &stock.going).await.is_empty(),
        "{}",
        run.err
    );
    assert_eq!(stock.has(&name, &stock.live).await, stock.live);
    project.is_clean_after(&run);
}

/// How many lists a registry has.
fn lists(registry: &RegistryProcess, name: &str) -> usize {
    let manifests = registry.manifests(name).into_values();
    manifests
        .filter(|manifest| manifest["manifests"].is_array())
        .count()
}

#[tokio::test]
async fn prune_keeps_as_many_former_latest_as_asked_and_says_what_it_cannot_read() {
    let project = Project::new("keep", PLAIN);
    let registry = RegistryProcess::start(&Auth::None);
    let toml = std::fs::read_to_string(project.path("rpub.toml")).unwrap();
    project.write("rpub.toml", &format!("[prune]\nkeep = 1\n{toml}"));
    let to = format!("http://{}/ns", registry.host());
    let name = format!("ns/{}", project.image());
    for (number, expected) in [(1, 1), (2, 2), (3, 2), (4, 2)] {
        project.write("text", &number.to_string());
        let run = project
            .run(&["release", "refs/heads/main", "--to", &to])
            .await;
        assert_eq!(run.code, Some(0), "{}", run.err);
        assert_eq!(lists(&registry, &name), expected, "{}", run.out);
    }
    let memory = project.state().join("rpub");
    let memory: Vec<_> = std::fs::read_dir(memory)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(memory.len(), 1);
    std::fs::write(memory[0].path(), "{\"schema\":1,").unwrap();
    let before = registry.manifests(&name).len();
    let run = project.run(&["prune", "--to", &to]).await;
    assert_eq!(run.code, Some(2), "{}", run.err);
    assert!(run.err.contains("the journal is damaged"), "{}", run.err);
    // A release is not stopped by that.
    project.write("text", "5");
    let run = project
        .run(&["release", "refs/heads/main", "--to", &to])
        .await;
    assert_eq!(run.code, Some(10), "{}", run.err);
    assert!(run.err.contains("remove the file"), "{}", run.err);
    assert!(run.out.contains("released "), "{}", run.out);
    assert_eq!(registry.manifests(&name).len(), before + 2);
}
