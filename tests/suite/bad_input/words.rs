//! Decides that wrong words and wrong files are told with exit 2, before anything is started.
//! Must never need podman's answer: none of these gets as far.

use crate::support::project::Project;

/// Runs rpub where no podman would be found, and checks the failure.
async fn refused(project: &Project, args: &[&str], what: &str, at: &str, next: &str) {
    let run = project.run(args).await;
    project.failed(&run, 2, what, at, next);
    assert!(!run.err.contains("==>"), "a stage began: {}", run.err);
}

#[tokio::test]
async fn bad_input_words_for_refs_images_and_platforms_are_told() {
    let project = Project::plain("words");
    for (args, what, at, next) in [
        (&["release", "v1.2"][..], "\"v1.2\"", "REF", "tag it v1.2.0"),
        (&["release", "v1.2.3.4"], "v1.2.3.4", "REF", "v1.2.3"),
        (&["plan", "v01.2.3"], "v01.2.3", "REF", "v1.2.3"),
        (&["plan", "refs/tags/v1"], "v1", "REF", "v1.0.0"),
        (&["plan"], "no ref to release", "REF", "rpub release v1.2.3"),
        (&["plan", "nowhere"], "nowhere", "REF", "name a version"),
        (
            &["build", "v1.2.3", "nothing"],
            "no image \"nothing\"",
            "refs/tags/v1.2.3",
            "rpub plan lists",
        ),
        (
            &["release", "v1.2.3", "--authfile", "gone.json"],
            "auth file",
            "gone.json",
            "podman login --authfile",
        ),
    ] {
        // An auth file is read when the registries are opened, which comes after podman was found.
        if args.contains(&"--authfile") {
            let args = [args, &["--to", "http://127.0.0.1:1/ns"]].concat();
            let run = project.run(&args).await;
            project.failed(&run, 2, what, at, next);
            continue;
        }
        refused(&project, args, what, at, next).await;
    }
}

#[tokio::test]
async fn bad_input_arguments_that_are_none_are_usage_errors() {
    let project = Project::plain("arguments");
    for (args, what) in [
        (&["release", "v1.2.3", "--to", "nowhere"][..], "nowhere"),
        (
            &["release", "v1.2.3", "--to", "http://ghcr.io/o"],
            "this machine only",
        ),
        (
            &["release", "v1.2.3", "--to", "docker.io"],
            "docker.io/OWNER",
        ),
        (&["build", "--platform", "amd64"], "amd64"),
        (&["build", "--platform", "linux/amd46"], "linux/amd46"),
        (&["plan", "--format", "yaml"], "yaml"),
        (&["releas"], "releas"),
        (&["-q", "-v", "plan"], "--verbose"),
        (&[], "Usage"),
    ] {
        let run = project.run(args).await;
        assert_eq!(run.code, Some(2), "{args:?}: {}", run.err);
        assert!(run.err.contains(what), "{what:?} in {}", run.err);
        assert_eq!(run.out, "");
        project.is_clean_after(&run);
    }
}

#[tokio::test]
async fn bad_input_files_are_told_with_their_line() {
    let project = Project::plain("files");
    for (toml, what, at, next) in [
        ("[[image]\n", "", "rpub.toml:1", "mend the TOML"),
        ("", "no [[image]]", "rpub.toml:1", "add one"),
        (
            "\n[[image]]\nname = \"a\"\nplatform = [\"linux/amd64\"]\n",
            "unknown key \"image.platform\"",
            "rpub.toml:4",
            "\"platforms\"",
        ),
        (
            "[[image]]\nname = \"a\"\nplatforms = [\"linux/amd64\"]\ncontainerfile = \"Containerfil\"\n",
            "\"Containerfil\"",
            "rpub.toml:4",
            "relative to rpub.toml",
        ),
        (
            "[[image]]\nname = \"a\"\nplatforms = [\"linux/amd64\"]\ncontext = \"gone\"\n",
            "no folder \"gone\"",
            "rpub.toml:4",
            "name a folder",
        ),
        (
            "[[image]]\nname = \"a\"\nplatforms = [\"linux/amd46\"]\n",
            "linux/amd46",
            "rpub.toml:3",
            "",
        ),
    ] {
        project.write("rpub.toml", toml);
        refused(&project, &["release", "v1.2.3"], what, at, next).await;
    }
    std::fs::write(project.path("rpub.toml"), b"\xff\xfe").unwrap();
    refused(&project, &["plan", "v1.2.3"], "UTF-8", "rpub.toml", "").await;
    std::fs::remove_file(project.path("rpub.toml")).unwrap();
    refused(
        &project,
        &["release", "v1.2.3"],
        "there is no rpub.toml",
        "rpub.toml",
        "--config",
    )
    .await;
}

#[tokio::test]
async fn bad_input_digest_records_that_are_none_are_told() {
    let project = Project::plain("records");
    std::fs::create_dir(project.path("digests")).unwrap();
    let args = [
        "assemble",
        "v1.2.3",
        "--to",
        "http://127.0.0.1:1/ns",
        "--digests",
        "digests",
    ];
    let run = project.run(&args).await;
    project.failed(&run, 1, project.image(), ".json", "rpub push");
    for text in ["", "{}", "[1]", "{\"schema\": 99}", "\u{0}"] {
        project.write("digests/bad.json", text);
        let run = project.run(&args).await;
        project.failed(&run, 2, "no digest record", "bad.json", "remove the file");
    }
}
