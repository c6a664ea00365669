//! Decides that a build that fails, or gives something else than was asked for, ends with exit 3 and nothing pushed.
//! Must never pull: every base image is made here.

use super::{registry, tags};
use crate::support::{engine::native, project::Project, unix_proxy::UnixProxy};

#[tokio::test]
async fn bad_input_failing_step_is_told_with_its_last_lines() {
    let (first, second) = (registry(), registry());
    let project = Project::new(
        "step",
        "FROM scratch\nCOPY busybox /bin/sh\nRUN echo before\nRUN echo one; echo two >&2; exit 7\n",
    );
    let hosts = [first.host(), second.host()];
    let run = project
        .release(&[hosts[0].as_str(), hosts[1].as_str()])
        .await;
    project.failed(
        &run,
        3,
        "exit status 7",
        "Containerfile STEP 4/5: RUN echo one",
        "mend that step",
    );
    let (_, told) = run.err.split_once("error: ").unwrap();
    for line in ["  | one", "  | two"] {
        assert!(told.contains(line), "{line:?} in {told}");
    }
    assert!(!told.contains("| before"), "{told}");
    for registry in [&first, &second] {
        assert_eq!(tags(registry, &project).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn bad_input_containerfile_mistakes_are_told() {
    let project = Project::new("mistakes", "FROM scratch\nCOPY missing /\n");
    for (text, what, at) in [
        ("FROM scratch\nCOPY missing /\n", "missing", "STEP 2/"),
        ("FROM scratch\nNONSENSE x\n", "NONSENSE", "Containerfile"),
        ("", "", "Containerfile"),
        (
            "FROM localhost/rpub-no-such-image:x\nCOPY text /\n",
            "rpub-no-such-image",
            "Containerfile",
        ),
    ] {
        project.write("Containerfile", text);
        for args in [
            &["build", "v1.2.3"][..],
            &["release", "v1.2.3", "--to", "./out"],
        ] {
            let run = project.run(args).await;
            project.failed(&run, 3, what, at, "mend");
            assert!(!project.path("out/index.json").exists());
        }
    }
}

/// Releases through a podman whose requests have `from` replaced by `to`, and checks what is said of the image.
async fn disobeyed(test: &str, from: &'static str, to: &'static str, what: &str, next: &str) {
    let (project, registry) = (Project::plain(test), registry());
    let (_service, socket) = project.service().await;
    let disobedient = UnixProxy::before(&socket, move |head| head.replace(from, to));
    let url = format!("unix://{}", disobedient.socket().display());
    let args = project.release_args(&[registry.host().as_str()]);
    let run = project
        .run(&[&args.each()[..], &["--url", &url]].concat())
        .await;
    project.failed(&run, 3, what, "image ", next);
    assert_eq!(tags(&registry, &project).await, Vec::<String>::new());
}

#[tokio::test]
async fn bad_input_image_for_another_platform_is_refused() {
    let (own, other) = match native().to_string().as_str() {
        "linux/amd64" => ("linux%2Famd64", "linux%2Farm64"),
        _ => ("linux%2Farm64", "linux%2Famd64"),
    };
    let what = format!(
        "the image is for {}, not {}",
        other.replace("%2F", "/"),
        native()
    );
    disobeyed("foreign", own, other, &what, "FROM --platform").await;
}

/// Not in docker format, an image has no HEALTHCHECK, whatever its Containerfile declares.
#[tokio::test]
async fn bad_input_image_without_its_healthcheck_is_refused() {
    let (asked, lost) = ("outputformat=", "outputforma=");
    disobeyed(
        "health",
        asked,
        lost,
        "not in docker format",
        "update podman",
    )
    .await;
}
