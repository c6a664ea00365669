//! Decides that a run which is cancelled or overtaken, wherever it stands, leaves nothing half published.
//! Must never cancel by the clock: a registry that says no more holds the run where it is to be cancelled.

use crate::runner::Outcome::{Cancelled, Skipped, Success};
use crate::support::faults::{Fault, Rule};
use crate::world::{MAIN, World, ended, eventually, taken_back, well};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflow_cancelled_while_it_pushes_changes_nothing_and_can_go_on_fr_020() {
    let world = World::new(&["app"]).await;
    well(&world.main_pushed());
    let before = world.state().await;

    // One architecture is through; the other one's push stands still.
    let manifest = "/manifests/sha256:";
    let seen = u32::try_from(world.proxies[1].count("PUT", manifest)).unwrap();
    assert!(seen > 0, "the rule below means what it says");
    world.proxies[1].break_also(Rule::on("PUT", manifest, Fault::Silence).nth(2).onwards());
    let sha = world.commit("new");
    let run = world.hub.pushed(MAIN).unwrap();
    world.until_asked(1, "PUT", manifest, seen as usize + 2);
    eventually("one architecture is handed over", || {
        run.artifacts().len() == 1
    });
    run.cancel();
    let report = run.wait();
    ended(&report, Success, Cancelled, Skipped);
    let outcomes: Vec<_> = report
        .legs("build")
        .iter()
        .map(|(_, outcome)| *outcome)
        .collect();
    assert!(
        outcomes.contains(&Success) && outcomes.contains(&Cancelled),
        "{report}"
    );
    assert_eq!(world.state().await, before);

    world.proxies[1].heal();
    well(&run.rerun_failed(2));
    assert_eq!(world.state().await["app"].len(), 1);
    assert_eq!(world.revision("app", "latest").await, sha);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflow_cancelled_while_tags_move_takes_them_back_fr_020() {
    let world = World::new(&["app"]).await;
    well(&world.release("v1.2.0"));
    let before = world.state().await;

    // 1.2.1 has moved on both, 1.2 on both too, though one of them never says so.
    let silent = Rule::on("PUT", "/manifests/1.2$", Fault::SilentAnswer);
    world.proxies[1].break_also(silent);
    let seen = world.proxies[1].count("PUT", "/manifests/1.2$");
    world.commit("new");
    world.hub.git(&["tag", "v1.2.1"]);
    let run = world.hub.pushed("refs/tags/v1.2.1").unwrap();
    world.until_asked(1, "PUT", "/manifests/1.2$", seen + 1);
    run.cancel();
    let report = run.wait();
    ended(&report, Success, Success, Cancelled);
    let (_, log) = report.step("release", "Release");
    taken_back(&before, &world.state().await, "1.2.1", log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflow_overtaken_by_a_second_push_ends_with_the_newer_on_both_fr_020() {
    let world = World::new(&["app"]).await;
    well(&world.main_pushed());
    let silent = Rule::on("PUT", "/manifests/latest$", Fault::SilentAnswer);
    world.proxies[0].break_also(silent);
    let seen = world.proxies[0].count("PUT", "/manifests/latest$");
    world.commit("overtaken");
    let older = world.hub.pushed(MAIN).unwrap();
    world.until_asked(0, "PUT", "/manifests/latest$", seen + 1);
    let sha = world.commit("newer");
    let newer = world.main_pushed();
    ended(&older.wait(), Success, Success, Cancelled);
    well(&newer);
    assert_eq!(world.state().await["app"].len(), 1);
    assert_eq!(world.revision("app", "latest").await, sha);
}
