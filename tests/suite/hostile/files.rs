//! Decides that no file of a repository is read without end: neither a pipe, nor a device, nor one as large as a disk.
//! Must never wait for a time: what hangs here is ended by nextest.

use crate::support::{engine::native, project::Project};
use std::{os::unix::fs::symlink, path::Path};

/// What has no end.
fn endless(path: &Path, kind: usize) -> &'static str {
    let _ = std::fs::remove_file(path);
    match kind {
        0 => {
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
            "no ordinary file"
        }
        1 => {
            symlink("/dev/zero", path).unwrap();
            "no ordinary file"
        }
        _ => {
            let file = std::fs::File::create(path).unwrap();
            file.set_len(1 << 40).unwrap();
            "longer than 4 MiB"
        }
    }
}

#[tokio::test]
async fn no_file_of_a_repository_is_read_without_end() {
    let project = Project::plain("endless");
    let toml = |more: &str| {
        let (image, platform) = (project.image(), native());
        format!("[[image]]\nname = \"{image}\"\nplatforms = [\"{platform}\"]\n{more}")
    };
    let ca = "[[registry]]\nhost = \"127.0.0.1:1\"\nnamespace = \"n\"\nca_file = \"ca.pem\"\n";
    for kind in 0..3 {
        for (file, more, args) in [
            ("rpub.toml", "", &["plan", "v1.2.3"][..]),
            ("rpub.toml", "", &["doctor"]),
            ("Containerfile", "", &["build", "v1.2.3"]),
            ("Containerfile", "", &["doctor"]),
            (".containerignore", "", &["build", "v1.2.3"]),
            ("Containerfile.dockerignore", "", &["build", "v1.2.3"]),
            ("ca.pem", ca, &["release", "v1.2.3"]),
            (
                "auth.json",
                "",
                &[
                    "release",
                    "v1.2.3",
                    "--authfile",
                    "auth.json",
                    "--to",
                    "127.0.0.1:1/n",
                ],
            ),
        ] {
            project.write("rpub.toml", &toml(more));
            project.write("Containerfile", "FROM scratch\nCOPY text /text\n");
            let words = endless(&project.path(file), kind);
            // What leads out is refused before; here it may.
            let all = [args, &["--allow", "fs.read=/dev/zero"]].concat();
            let run = project.run(&all).await;
            let told = format!("{}{}", run.out, run.err);
            assert_ne!(run.code, Some(0), "{file} {kind} {args:?}: {told}");
            let known = told.contains(words) || told.contains("there is no file \"Containerfile\"");
            assert!(known, "{words:?} for {file} {kind} {args:?}: {told}");
            std::fs::remove_file(project.path(file)).unwrap();
        }
    }
}
