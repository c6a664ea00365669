//! Decides that what a repository names out of itself is neither built, nor read, nor shown, until the user allows it.
//! Must never name a file of the machine's that is worth something: what lies outside is made for the test.

use crate::support::{engine::native, project::Project};
use rpub::model::checksums::asset;
use std::os::unix::fs::symlink;

/// What lies outside of the repository, and what must not be seen of it.
const SECRET: &str = "hunter2";

/// A project, and beside it a folder that is not its own.
struct Place {
    project: Project,
    outside: tempfile::TempDir,
}

impl Place {
    fn new(test: &str) -> Place {
        let outside = tempfile::tempdir().unwrap();
        for name in ["id_rsa", "Containerfile", ".containerignore", "ca.pem"] {
            std::fs::write(outside.path().join(name), format!("[{SECRET}\n")).unwrap();
        }
        let (project, at) = (Project::plain(test), outside.path());
        for (link, target) in [
            ("keys", at.to_owned()),
            ("Linked", at.join("Containerfile")),
            ("Beside.containerignore", at.join(".containerignore")),
            ("ca.pem", at.join("ca.pem")),
        ] {
            symlink(target, project.path(link)).unwrap();
        }
        project.write("Beside", "FROM scratch\n");
        std::fs::create_dir(project.path("sub")).unwrap();
        symlink(at.join("id_rsa"), project.path("sub/.dockerignore")).unwrap();
        Place { project, outside }
    }

    fn real(&self) -> String {
        let real = self.outside.path().canonicalize().unwrap();
        real.display().to_string()
    }

    fn toml(&self, keys: &str) -> String {
        let (image, platform) = (self.project.image(), native());
        format!("[[image]]\nname = \"{image}\"\nplatforms = [\"{platform}\"]\n{keys}\n")
    }
}

#[tokio::test]
async fn nothing_out_of_the_repository_is_read_or_built_until_it_is_allowed() {
    let place = Place::new("paths");
    let (project, real) = (&place.project, place.real());
    let outside = place.outside.path().display();
    let above = project
        .path("..")
        .canonicalize()
        .unwrap()
        .display()
        .to_string();
    for (keys, leads) in [
        ("context = \"keys\"".to_owned(), real.clone()),
        (format!("context = \"{outside}\""), real.clone()),
        ("context = \"..\"".to_owned(), above.clone()),
        ("context = \"sub/../../\"".to_owned(), above),
        ("context = \"sub\"".to_owned(), format!("{real}/id_rsa")),
        (
            "containerfile = \"Linked\"".to_owned(),
            format!("{real}/Containerfile"),
        ),
        (
            "containerfile = \"keys/Containerfile\"".to_owned(),
            format!("{real}/Containerfile"),
        ),
        (
            "containerfile = \"Beside\"".to_owned(),
            format!("{real}/.containerignore"),
        ),
        (
            "[[registry]]\nhost = \"127.0.0.1:1\"\nca_file = \"ca.pem\"".to_owned(),
            format!("{real}/ca.pem"),
        ),
    ] {
        project.write("rpub.toml", &place.toml(&keys));
        for args in [
            &["plan", "v1.2.3"][..],
            &["build", "v1.2.3"],
            &["release", "v1.2.3", "--to", "./out"],
            &["verify", "v1.2.3"],
            &["doctor"],
        ] {
            let run = project.run(args).await;
            assert_eq!(run.code, Some(2), "{args:?} {keys}: {}", run.err);
            let told = format!("{}{}", run.out, run.err);
            assert!(!told.contains(SECRET), "{told}");
            let switch = format!("--allow fs.read={leads}");
            assert!(
                told.contains(&switch) && told.contains("rpub.toml"),
                "{switch}: {told}"
            );
        }
        let allow = format!("fs.read={leads}");
        let run = project.run(&["plan", "v1.2.3", "--allow", &allow]).await;
        // Above a ca_file's folder or a context's there may be more that is not ours; they name it then.
        assert_eq!(run.code, Some(0), "{keys}: {}", run.err);
    }
}

#[tokio::test]
async fn what_is_allowed_is_built() {
    let place = Place::new("allowed");
    let project = &place.project;
    std::fs::write(place.outside.path().join(".containerignore"), "ca.pem\n").unwrap();
    project.write(
        "Containerfile",
        "FROM scratch\nCOPY id_rsa /id\nHEALTHCHECK CMD [\"/x\"]\n",
    );
    project.write("rpub.toml", &place.toml("context = \"keys\""));
    let mut command = project.command(&["build", "v1.2.3"]);
    command.env("RPUB_ALLOW", format!("fs.read={}", place.real()));
    let run = crate::support::project::Running::start(command)
        .finish()
        .await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let kept = format!("localhost/rpub/{}", project.image());
    assert!(
        project
            .podman(&["images", "--format", "{{.Repository}}"])
            .contains(&kept)
    );
}

#[tokio::test]
async fn all_of_a_git_repository_is_its_own_and_rpub_toml_cannot_be_elsewhere() {
    let place = Place::new("top");
    let project = &place.project;
    std::fs::create_dir(project.path("deep")).unwrap();
    std::fs::create_dir(project.path(".git")).unwrap();
    project.write(
        "deep/rpub.toml",
        &place.toml("context = \"..\"\ncontainerfile = \"../Containerfile\""),
    );
    let args = ["plan", "v1.2.3", "--config", "deep/rpub.toml"];
    // It is no repository for git; whose the folder is does not depend on that.
    let run = project.run(&args).await;
    assert!(!run.err.contains("--allow"), "{}", run.err);
    std::fs::remove_dir(project.path(".git")).unwrap();
    let run = project.run(&args).await;
    assert!(run.err.contains("--allow fs.read="), "{}", run.err);
    std::fs::remove_file(project.path("rpub.toml")).unwrap();
    symlink(
        place.outside.path().join("id_rsa"),
        project.path("rpub.toml"),
    )
    .unwrap();
    for args in [&["plan", "v1.2.3"][..], &["doctor"], &["init", "--no-ci"]] {
        let run = project.run(args).await;
        let told = format!("{}{}", run.out, run.err);
        assert_eq!(run.code, Some(2), "{args:?}: {told}");
        assert!(
            told.contains("id_rsa, out of") && !told.contains(SECRET),
            "{told}"
        );
    }
}

#[tokio::test]
async fn no_link_of_a_repository_leads_what_rpub_writes_elsewhere() {
    let place = Place::new("stores");
    let (project, outside) = (&place.project, place.outside.path());
    let before = || std::fs::read_dir(outside).unwrap().count();
    let files = before();
    project.write("rpub.toml", &place.toml(""));
    let image = project.image();
    std::fs::create_dir(project.path("out")).unwrap();
    for (link, to) in [
        ("rpub-out".to_owned(), None),
        ("out/.rpub".to_owned(), Some("./out")),
        (format!("out/{image}"), Some("./out")),
    ] {
        symlink(outside, project.path(&link)).unwrap();
        let mut args = vec!["release", "v1.2.3"];
        args.extend(to.into_iter().flat_map(|to| ["--to", to]));
        let run = project.run(&args).await;
        assert_eq!(run.code, Some(2), "{link}: {}", run.err);
        assert!(
            run.err
                .contains(&format!("--allow fs.write={}", place.real())),
            "{}",
            run.err
        );
        std::fs::remove_file(project.path(&link)).unwrap();
    }
    symlink(outside, project.path(".github")).unwrap();
    // From a file, so that nobody is asked for them.
    let digest = |digit: &str, arch| format!("{}  {}\n", digit.repeat(64), asset(arch));
    let checksums = digest("1", "x86_64") + &digest("2", "aarch64");
    project.write("SHA256SUMS", &checksums);
    let list = project.path("SHA256SUMS").display().to_string();
    let init = ["init", "--rpub", "a/b", "--checksums", &list];
    let run = project.run(&init).await;
    assert_eq!(run.code, Some(2), "{}", run.err);
    assert!(run.err.contains("--allow fs.write="), "{}", run.err);
    assert_eq!(before(), files);
}
