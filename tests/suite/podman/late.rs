//! Decides that what the ignore file leaves out stays out when it appears while podman builds.
//! Must never depend on how long a step takes: the test ends it.

use super::ways::{both, end, request};
use crate::support::engine::{Names, files_of, folder_with_shell, processes_with};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rpub::podman::Engine;
use std::path::Path;

/// Ends the step that sleeps that long, once it does.
fn wake(step: &str) {
    loop {
        let sleeping = processes_with(step);
        let mut sleeping = sleeping
            .iter()
            .filter(|(_, line)| line.trim() == format!("busybox sleep {step}"));
        if let Some((pid, _)) = sleeping.next() {
            kill(Pid::from_raw(*pid), Signal::SIGTERM).unwrap();
            return;
        }
        std::thread::yield_now();
    }
}

/// Builds, and puts secrets into the folder before COPY is at it; what is in the image then.
async fn built(engine: &Engine, folder: &Path, names: &Names, step: &str) -> Vec<String> {
    let late = ["app/.env.local", ".env.local", "app/new/.env.local"];
    let mut hear = |line: &str| {
        if line == "asleep" {
            std::fs::create_dir(folder.join("app/new")).unwrap();
            for file in late.iter().chain(&["app/new/kept"]) {
                std::fs::write(folder.join(file), "late").unwrap();
            }
            wake(step);
        }
    };
    let id = engine
        .build(&request(folder, names), &mut hear)
        .await
        .unwrap();
    assert!(folder.join(".env.local").exists(), "the step did not sleep");
    for file in late {
        std::fs::remove_file(folder.join(file)).unwrap();
    }
    std::fs::remove_dir_all(folder.join("app/new")).unwrap();
    files_of(id.as_str()).into_keys().collect()
}

#[tokio::test]
async fn podman_never_gets_what_is_ignored_and_appears_while_it_builds() {
    let names = Names::new("late");
    // No other process sleeps that long.
    let step = format!("99{}", std::process::id());
    let folder = folder_with_shell(&format!(
        "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\n\
         RUN echo asleep; busybox sleep {step}; true\nCOPY . /x\nCOPY app /y\n"
    ));
    std::fs::create_dir(folder.path().join("app")).unwrap();
    std::fs::write(folder.path().join("app/main"), "").unwrap();
    std::fs::write(folder.path().join("app/.env.example"), "").unwrap();
    let engines = both().await;
    for (rules, by_folder) in [
        ("**/.env.*\n", true),
        ("**/.env.*\n!**/.env.example\n", false),
        ("*\n!app\n!busybox\n**/.env.local\n", false),
    ] {
        std::fs::write(folder.path().join(".containerignore"), rules).unwrap();
        for engine in &engines {
            let files = built(engine, folder.path(), &names, &step).await;
            let has = |name: &str| files.iter().any(|file| file == name);
            assert!(has("x/app/main") && has("y/main"), "{files:?}");
            assert_eq!(has("y/.env.example"), rules.lines().count() > 1, "{rules}");
            let late = files.iter().find(|file| file.ends_with(".env.local"));
            assert_eq!(late, None, "{rules}, {engine:?}");
            // An archive is made before the first step; a folder is read when it is needed.
            let live = by_folder && engine.is_own();
            assert_eq!(has("x/app/new/kept"), live, "{rules}, {engine:?}");
        }
    }
    end(engines).await;
}
