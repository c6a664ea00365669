//! Decides that COPY finds what is in the folder, as it is there, and what ignore files leave out is left out.
//! Must never assert a time.

use super::ways::{both, end, request};
use crate::support::engine::{Entry, Names, files_of, folder, podman};
use rpub::error::Kind;
use rpub::podman::{BuildRequest, Engine};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, symlink};
use tar::EntryType;

const COPY_ALL: &str = "FROM scratch\nCOPY . /\n";

#[tokio::test]
async fn podman_gets_links_modes_times_and_long_names_as_they_are() {
    let names = Names::new("shapes");
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let folder = folder(&[
        ("Containerfile", COPY_ALL),
        ("plain", "text"),
        ("run.sh", "#!/bin/sh"),
        ("empty/", ""),
        ("dir/ä ö", "x"),
        (&long, "long"),
    ]);
    let at = |name: &str| folder.path().join(name);
    symlink("plain", at("link")).unwrap();
    symlink("nowhere/./at//all", at("dangling")).unwrap();
    symlink("/etc/passwd", at("absolute")).unwrap();
    symlink(format!("{}/x", "t".repeat(150)), at("longlink")).unwrap();
    symlink("dir", at("dirlink")).unwrap();
    std::fs::hard_link(at("plain"), at("hard")).unwrap();
    std::fs::set_permissions(at("run.sh"), PermissionsExt::from_mode(0o751)).unwrap();
    std::fs::set_permissions(at("dir"), PermissionsExt::from_mode(0o700)).unwrap();
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    std::fs::File::options()
        .write(true)
        .open(at("plain"))
        .unwrap()
        .set_modified(then)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();

    let engines = both().await;
    for engine in &engines {
        let id = engine
            .build(&request(folder.path(), &names), &mut |_| {})
            .await
            .unwrap();
        have_their_shapes(&files_of(id.as_str()), &long, engine.is_own());
    }
    end(engines).await;
}

fn have_their_shapes(files: &BTreeMap<String, Entry>, long: &str, by_folder: bool) {
    for (name, target) in [
        ("link", "plain".to_owned()),
        ("dangling", "nowhere/./at//all".to_owned()),
        ("absolute", "/etc/passwd".to_owned()),
        ("longlink", format!("{}/x", "t".repeat(150))),
        ("dirlink", "dir".to_owned()),
    ] {
        assert_eq!(files[name].kind, EntryType::Symlink, "{name}");
        assert_eq!(
            files[name].link.as_deref(),
            Some(std::path::Path::new(&target))
        );
    }
    assert_eq!(files["run.sh"].mode & 0o777, 0o751);
    assert_eq!(files["dir"].mode & 0o777, 0o700);
    assert_eq!(files["plain"].mtime, 1_000_000_000);
    // In an archive they are two files; podman itself sees that they are one.
    let sizes = (files["plain"].size, files["hard"].size);
    let linked = |name: &str| files[name].kind == EntryType::Link;
    assert!(
        sizes == (4, 4) || by_folder && (linked("plain") || linked("hard")),
        "{sizes:?}"
    );
    assert_eq!(files["empty"].kind, EntryType::Directory);
    assert_eq!(files["dir/ä ö"].size, 1);
    assert_eq!(files[long].size, 4);
    assert!(!files.contains_key("socket") && !files.contains_key("fifo"));
}

#[tokio::test]
async fn podman_gets_a_containerfile_from_anywhere_and_copies_it_from_nowhere_else() {
    let names = Names::new("outside");
    let outside = folder(&[("Containerfile.x", COPY_ALL)]);
    let context = folder(&[
        ("a", ""),
        ("sub/kept/Build", COPY_ALL),
        ("sub/x", ""),
        ("other/Build", COPY_ALL),
        ("other/Build.dockerignore", "a\n"),
        (".containerignore", "sub\n.containerignore\n"),
        (".dockerignore", "a\n"),
    ]);
    symlink(
        outside.path().join("Containerfile.x"),
        context.path().join("linked"),
    )
    .unwrap();
    let engines = both().await;
    let all = ".dockerignore a linked other other/Build other/Build.dockerignore";
    let own_rules = ".containerignore .dockerignore linked other other/Build other/Build.dockerignore sub sub/kept sub/kept/Build sub/x";
    for (containerfile, expected) in [
        (outside.path().join("Containerfile.x"), all),
        ("linked".into(), all),
        ("sub/kept/Build".into(), all),
        (context.path().join("sub/kept/Build"), all),
        ("other/Build".into(), own_rules),
    ] {
        let request = BuildRequest {
            containerfile,
            ..request(context.path(), &names)
        };
        for engine in &engines {
            let id = engine.build(&request, &mut |_| {}).await.unwrap();
            let files: Vec<String> = files_of(id.as_str())
                .into_keys()
                .filter(|name| !is_podmans(name))
                .collect();
            assert_eq!(
                files.join(" "),
                expected,
                "{}, {engine:?}",
                request.containerfile.display()
            );
        }
    }
    end(engines).await;
}

/// What podman itself puts into a container that has nothing.
fn is_podmans(name: &str) -> bool {
    ["dev", "etc", "proc", "run", "sys", "", "."].contains(&name)
        || ["dev/", "etc/", "proc/", "run/", "sys/"]
            .iter()
            .any(|folder| name.starts_with(folder))
}

#[tokio::test]
async fn podman_reads_ignore_files_as_rpub_does() {
    let names = Names::new("ignore");
    let folder = folder(&[
        ("Containerfile", COPY_ALL),
        ("README.md", ""),
        ("a.txt", ""),
        ("b.txt", ""),
        (".env", ""),
        ("node/pkg/index.js", ""),
        ("node/pkg/deep/x.md", ""),
        ("node/keep.md", ""),
        ("src/main.rs", ""),
        ("src/main.rs.bk", ""),
        ("src/lib/a.rs", ""),
        ("src/lib/b.txt", ""),
        ("docs/a/b/c.md", ""),
        ("docs/a/b/c.txt", ""),
        ("docs/README.md", ""),
        ("with space/x", ""),
        ("empty/", ""),
        ("star*name", ""),
        ("äx", ""),
    ]);
    let cases = [
        "",
        "# a.txt\n",
        "a.txt",
        "/a.txt",
        "a.txt/",
        "./a.txt",
        "src",
        "src/",
        "/src/",
        "*.txt",
        "*/*.md",
        "**/*.md",
        "**/*.txt\n!docs/a/b/c.txt",
        "docs/**",
        "docs/**/c.md",
        "docs\n!docs/README.md",
        "docs\n!docs/a",
        "docs/*\n!docs/a/b/c.md",
        "*\n!src\n!Containerfile",
        "*\n!src/lib/*.rs",
        "**\n!src/**",
        "node/pkg\nnode/keep.md",
        "!a.txt\na.txt",
        "a.txt\n!a.txt",
        "?.txt",
        "[a-b].txt",
        "[^a].txt",
        "star\\*name",
        "with space",
        "with*",
        "src/../a.txt",
        "src//lib",
        "  a.txt  ",
        "a.txt\r\nsrc\r\n",
        "?x",
        "empty",
        "empty/*",
        ".env\n.*ignore",
        "**/lib",
        "src/*.rs*\n!src/main.rs",
        "**/*.[mr][ds]",
        "**/b.t[x]t\ndocs/**/*.md",
        "**/docs/**",
        "n*e/*/deep/**\n**/a/*/c.*",
        "Containerfile",
        ".containerignore",
        "nothing-like-it",
        ".",
        "/",
    ];
    let engines = both().await;
    for rules in cases {
        std::fs::write(folder.path().join(".containerignore"), rules).unwrap();
        let path = folder.path().display().to_string();
        let reference = names.tag("podman");
        podman(&[
            "build",
            "-q",
            "--no-cache",
            "--format",
            "docker",
            "-t",
            &reference,
            "--label",
            &names.label(),
            &path,
        ]);
        let request = request(folder.path(), &names);
        let names = |image: &str| files_of(image).into_keys().collect::<BTreeSet<_>>();
        for engine in &engines {
            let id = engine.build(&request, &mut |_| {}).await.unwrap();
            assert_eq!(
                names(id.as_str()),
                names(&reference),
                "{rules:?}, {engine:?}"
            );
        }
    }
    end(engines).await;
}

#[tokio::test]
async fn podman_reads_as_plain_what_it_would_take_for_a_regular_expression() {
    let names = Names::new("plain");
    let odd = ["odd+(a){b}|c^$", "odd(a){b}|c^$", "odda", "c"];
    let mut files = vec![("Containerfile", COPY_ALL)];
    files.extend(odd.map(|name| (name, "")));
    let folder = folder(&files);
    let engines = both().await;
    for (rules, left_out) in [("odd+(a)*", 1), ("**/odd+(a){b}|c^$", 1), ("odd*", 3)] {
        std::fs::write(folder.path().join(".dockerignore"), rules).unwrap();
        for engine in &engines {
            let request = request(folder.path(), &names);
            let id = engine.build(&request, &mut |_| {}).await.unwrap();
            let found = files_of(id.as_str());
            let found: Vec<bool> = odd.iter().map(|name| found.contains_key(*name)).collect();
            let expected: Vec<bool> = (0..odd.len()).map(|at| at >= left_out).collect();
            assert_eq!(found, expected, "{rules}, {engine:?}");
        }
    }
    end(engines).await;
}

#[tokio::test]
async fn podman_context_troubles_name_the_file() {
    let names = Names::new("troubles");
    let engines = both().await;
    for engine in &engines {
        tell_the_file(engine, &names).await;
    }
    end(engines).await;
}

async fn tell_the_file(engine: &Engine, names: &Names) {
    let closed_file = folder(&[("Containerfile", COPY_ALL), ("closed", "")]);
    let closed_folder = folder(&[("Containerfile", COPY_ALL), ("closed/x", "")]);
    for (folder, mode) in [(&closed_file, 0o000), (&closed_folder, 0o000)] {
        let closed = folder.path().join("closed");
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(mode)).unwrap();
        let request = request(folder.path(), names);
        let built = engine.build(&request, &mut |_| {}).await;
        if closed.is_file() && engine.is_own() {
            // podman is root among the user's own files.
            built.unwrap();
        } else {
            let error = built.unwrap_err();
            assert_eq!(error.kind, Kind::Build, "{error}");
            assert!(error.place.ends_with("/closed"), "{error}");
        }
        // Left out, it is not even looked at.
        std::fs::write(folder.path().join(".dockerignore"), "closed\n").unwrap();
        engine.build(&request, &mut |_| {}).await.unwrap();
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
    }
    let leading_out = folder(&[("Containerfile", COPY_ALL), ("dir/x", "")]);
    symlink("../../away", leading_out.path().join("dir/out")).unwrap();
    let request = request(leading_out.path(), names);
    let built = engine.build(&request, &mut |_| {}).await;
    if engine.is_own() {
        // Only an archive must not hold it. Else nothing here shows that the folder was read.
        let files = files_of(built.unwrap().as_str());
        assert_eq!(files["dir/out"].kind, EntryType::Symlink);
    } else {
        let error = built.unwrap_err();
        assert!(
            error.what.contains("out of the context") && error.place.ends_with("dir/out"),
            "{error}"
        );
    }
}
