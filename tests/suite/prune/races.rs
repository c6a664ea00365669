//! Decides that a child that a new release uses again is there in the end, whoever was first.
//! Must never make the race by chance: the one stands still at a request until the other is done.

use super::stock::{Stock, project, prune, remote};
use crate::support::{
    faults::{Fault, Hold, Rule},
    images::{Image, index, put},
    project::{PLAIN, Project},
    proxy::Proxy,
    registries::{Auth, RegistryProcess},
};

/// Somebody else, on another machine, publishes a list that uses a child of the old one again, while that child goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prune_puts_back_what_a_release_has_begun_to_use_again() {
    let (stock, project) = (Stock::new().await, project());
    let name = stock.copy("race");
    let old = crate::release::manifest(&stock.registry.host(), &name, &stock.old.to_string()).await;
    let children = old.unwrap().children().to_vec();
    let child = children
        .iter()
        .map(|child| child.digest)
        .find(|child| *child != stock.shared);
    let child = child.unwrap();
    // The deletion is on its way for as long as the rival needs.
    let hold = Hold::default();
    let proxy = Proxy::before(stock.registry.host())
        .rule(Rule::on(
            "DELETE",
            format!("/manifests/{child}$"),
            Fault::Held(hold.clone()),
        ))
        .start()
        .await;
    let rival = async {
        hold.has_come().await;
        // The same child again, as its bytes are what they were.
        let again = Image::new("arm64", "old");
        assert_eq!(again.manifest.digest(), child);
        let list = index(&[&again]);
        let remote = remote(stock.registry.host(), &name);
        put(&remote, "", &again.manifest).await;
        put(&remote, "2.0.0", &list).await;
        hold.let_go();
        list.digest()
    };
    let digest = stock.old.to_string();
    let args = ["--digest", &*digest];
    let pruning = prune(&project, &proxy, "race", &args);
    let (run, list) = tokio::join!(pruning, rival);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(
        run.err.contains("was put back: 2.0.0 needs it"),
        "{}",
        run.err
    );
    let there = [list, child].into_iter().collect();
    assert_eq!(stock.has(&name, &there).await, there);
    assert_eq!(stock.has(&name, &stock.live).await, stock.live);
    project.is_clean_after(&run);
}

/// A cleaner on another machine takes a child while tags begin to name the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prune_of_somebody_else_cannot_take_a_child_of_what_is_released() {
    let project = Project::new("taken", PLAIN);
    let registry = RegistryProcess::start(&Auth::None);
    let hold = Hold::default();
    let rule = Rule::on("HEAD", "/manifests/latest$", Fault::Held(hold.clone()));
    let proxy = Proxy::before(registry.host()).rule(rule).start().await;
    let name = format!("ns/{}", project.image());
    let cleaner = async {
        hold.has_come().await;
        let list = crate::release::manifest(&registry.host(), &name, "1.2.3")
            .await
            .unwrap();
        let child = list.children()[0].digest;
        let url = format!("http://{}/v2/{name}/manifests/{child}", registry.host());
        let taken = reqwest::Client::new().delete(url).send().await.unwrap();
        assert_eq!(taken.status(), 202);
        hold.let_go();
        child
    };
    let host = proxy.host();
    let hosts = [host.as_str()];
    let (run, child) = tokio::join!(project.release(&hosts), cleaner);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let there = crate::release::manifest(&registry.host(), &name, &child.to_string()).await;
    assert!(there.is_some(), "{}", run.err);
    project.is_clean_after(&run);
}
