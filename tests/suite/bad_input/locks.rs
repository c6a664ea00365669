//! Decides that a lock which somebody else holds is told while it is waited for, and that Ctrl-C ends the waiting.
//! Must never hold a lock for as long as rpub would wait.

use crate::support::project::{Project, Running};
use nix::sys::signal::Signal;
use std::fs::{self, File};

/// The store's lock, held by this process.
fn hold(project: &Project) -> File {
    let layout = project.path("out").join(project.image());
    fs::create_dir_all(&layout).unwrap();
    let lock = File::create(layout.join(".lock")).unwrap();
    lock.lock().unwrap();
    lock
}

#[tokio::test]
async fn bad_input_a_lock_in_the_store_is_told_and_waited_for() {
    let project = Project::plain("lock");
    let lock = hold(&project);
    let mut run = Running::start(project.command(&["release", "v1.2.3", "--to", "./out"]));
    run.until("waiting for up to").await;
    drop(lock);
    let run = run.finish().await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let says = format!("{}/.lock", project.image());
    assert!(run.err.contains(&says), "{}", run.err);
    let says = format!("process {} (", std::process::id());
    assert!(run.err.contains(&says), "{}", run.err);
    project.is_clean_after(&run);
}

#[tokio::test]
async fn bad_input_interrupted_while_a_lock_is_waited_for() {
    let project = Project::plain("int-lock");
    let lock = hold(&project);
    let mut run = Running::start(project.command(&["release", "v1.2.3", "--to", "./out"]));
    run.until("waiting for up to").await;
    run.signal(Signal::SIGINT);
    let run = run.finish().await;
    drop(lock);
    assert_eq!(run.code, Some(5), "{}", run.err);
    let index = project.path("out").join(project.image()).join("index.json");
    let index = fs::read_to_string(index).unwrap();
    assert!(!index.contains("1.2.3"), "{index}");
    project.is_clean_after(&run);
}
