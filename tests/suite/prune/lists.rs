//! Decides that a list of tags whose next page was lost on the way costs nothing that a tag names.
//! Must never let the registry itself make pages: Debian's makes none, so that they are put before it.

use super::stock::{Stock, project, prune, remote};
use crate::support::{
    faults::{Fault, Rule, one_by_one},
    images::put,
    proxy::{Builder, Proxy},
};
use rpub::target::Target as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prune_keeps_what_only_a_later_page_of_tags_names() {
    let (stock, project) = (Stock::new().await, project());
    let name = stock.copy("paged");
    let remote = remote(stock.registry.host(), &name);
    let old = remote.read_manifest(&stock.old.into()).await.unwrap();
    put(&remote, "stable", &old.unwrap()).await;
    // `latest` first and `stable` last, one tag a page, and no Link.
    let tags = stock.registry.tags(&name);
    let mut tags: Vec<&str> = tags.keys().map(String::as_str).collect();
    tags.sort_by_key(|tag| (*tag == "stable", *tag != "latest"));
    let proxy = Proxy::before(stock.registry.host());
    let rules = one_by_one(&name, &tags).into_iter();
    let proxy = rules.fold(proxy, Builder::rule).start().await;

    let run = prune(
        &project,
        &proxy,
        "paged",
        &["--digest", &stock.old.to_string()],
    )
    .await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(
        run.out.contains("stable still points at it: kept"),
        "{}",
        run.out
    );
    for all in [&stock.going, &stock.live] {
        assert_eq!(stock.has(&name, all).await, *all, "{}", run.out);
    }
    project.is_clean_after(&run);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prune_deletes_nothing_where_the_list_of_tags_cannot_be_asked_on() {
    let (stock, project) = (Stock::new().await, project());
    for status in [400, 404, 405] {
        let namespace = format!("refused-{status}");
        let name = stock.copy(&namespace);
        let rule = Rule::on("GET", "/tags/list?n=1000&last=", Fault::status(status)).always();
        let proxy = Proxy::before(stock.registry.host()).rule(rule);
        let proxy = proxy.start().await;
        let digest = stock.old.to_string();
        let run = prune(&project, &proxy, &namespace, &["--digest", &digest]).await;
        assert_eq!(run.code, Some(10), "{}", run.err);
        let told = "it does not tell whether its list of tags is whole";
        assert!(run.err.contains(told), "{}", run.err);
        assert_eq!(proxy.count("DELETE", ""), 0);
        assert_eq!(stock.has(&name, &stock.going).await, stock.going);
        project.is_clean_after(&run);
    }
}
