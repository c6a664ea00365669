//! Decides that a workflow which fails anywhere leaves both registries as they were, and how it goes on when it is run again.
//! Must never be content with a red job: the tags are compared.

use crate::runner::Outcome::{Cancelled, Failure, Skipped, Success};
use crate::support::faults::{Fault, Rule};
use crate::world::{State, World, ended, taken_back, well};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflow_of_a_bad_version_ends_in_its_plan_fr_021() {
    let world = World::new(&["app"]).await;
    let report = world.tag_pushed("v1.2");
    ended(&report, Failure, Skipped, Skipped);
    let (code, log) = report.step("plan", "plan");
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("v1.2.0"), "it names the right one: {log}");
    assert_eq!(world.state().await, State::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflow_with_one_architecture_that_fails_publishes_nothing_fr_017() {
    let world = World::new(&["app"]).await;
    well(&world.main_pushed());
    let before = world.state().await;
    world.write("Containerfile.arm64", "FROM scratch\nCOPY missing /arm64\n");
    let report = world.release("v1.2.0");
    ended(&report, Success, Failure, Skipped);
    let legs = report.legs("build");
    assert_eq!(legs[1], ("build app linux/arm64", Failure), "{report}");
    assert!([Success, Cancelled].contains(&legs[0].1), "{report}");
    assert_eq!(
        report.step("build app linux/arm64", "Build").0,
        Some(3),
        "{report}"
    );
    assert_eq!(world.state().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflow_whose_last_job_fails_is_taken_back_and_goes_on_in_its_second_attempt() {
    let world = World::new(&["app"]).await;
    well(&world.release("v1.2.0"));
    let before = world.state().await;

    // Version tags have moved by then on both, and `latest` on one.
    let denied = Rule::on("PUT", "/manifests/latest$", Fault::status(403)).always();
    world.proxies[1].break_also(denied);
    let sha = world.commit("new");
    world.hub.git(&["tag", "v1.2.1"]);
    let run = world.hub.pushed("refs/tags/v1.2.1").unwrap();
    let report = run.wait();
    ended(&report, Success, Success, Failure);
    let (code, log) = report.step("release", "Release");
    assert_eq!(code, Some(8), "rolled back: {log}");
    taken_back(&before, &world.state().await, "1.2.1", log);

    world.proxies[1].heal();
    let pushed = world.proxies[0].count("PUT", "/manifests/sha256:");
    let again = run.rerun_failed(2);
    well(&again);
    let (_, log) = again.step("release", "Release");
    assert!(!log.contains("Build"), "{log}");
    // The records are attempt 1's: nothing was built, so only the list could be pushed by digest.
    let pushed = world.proxies[0].count("PUT", "/manifests/sha256:") - pushed;
    assert!(pushed <= 1, "{pushed} manifests were pushed");
    let after = world.state().await;
    for tag in ["1.2", "1.2.1", "latest"] {
        assert_eq!(world.revision("app", tag).await, sha, "{tag}");
    }
    assert_eq!(after["app"]["1.2.0"], before["app"]["1.2.0"]);
}
