//! Decides that digest records which are not exactly this release's are refused by name, and make nothing visible.
//! Must never change what is good but in one way at a time.

use super::{SMALL, tags, to, two_registries};
use crate::support::{
    machine::{Machine, Project},
    registries::RegistryProcess,
};
use serde_json::{Value, json};
use std::path::Path;

const AMD: &str = "app.linux-amd64.json";
const ARM: &str = "app.linux-arm64.json";

/// What is done to the folder of good records; a part of what is said, and of where.
type Case = (&'static str, fn(&Path), &'static str, &'static str);

fn edit(folder: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(file);
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut record);
    std::fs::write(&path, record.to_string()).unwrap();
}

fn set(folder: &Path, file: &str, key: &str, value: Value) {
    edit(folder, file, |record| record[key] = value);
}

fn get(folder: &Path, file: &str, key: &str) -> Value {
    let mut found = Value::Null;
    edit(folder, file, |record| found = record[key].clone());
    found
}

fn run(id: &str, attempt: u32) -> Value {
    json!({"id": id, "attempt": attempt, "url": ""})
}

const CASES: &[Case] = &[
    (
        "missing",
        |f| std::fs::remove_file(f.join(ARM)).unwrap(),
        "there is no digest record",
        ARM,
    ),
    (
        "none at all",
        |f| {
            std::fs::remove_file(f.join(ARM)).unwrap();
            std::fs::remove_file(f.join(AMD)).unwrap();
        },
        "there is no digest record",
        AMD,
    ),
    (
        "a copy under another name",
        |f| {
            std::fs::copy(f.join(AMD), f.join("x.json")).unwrap();
        },
        "is called app.linux-amd64.json",
        "x.json",
    ),
    (
        "two of one platform",
        |f| {
            set(f, ARM, "platform", json!("linux/amd64"));
        },
        "is called app.linux-amd64.json",
        ARM,
    ),
    (
        "another image",
        |f| {
            set(f, ARM, "image", json!("other"));
            std::fs::rename(f.join(ARM), f.join("other.linux-arm64.json")).unwrap();
        },
        "none of this plan's",
        "other.linux-arm64.json",
    ),
    (
        "another platform",
        |f| {
            set(f, ARM, "platform", json!("linux/s390x"));
            std::fs::rename(f.join(ARM), f.join("app.linux-s390x.json")).unwrap();
        },
        "none of this plan's",
        "app.linux-s390x.json",
    ),
    (
        "another commit",
        |f| set(f, ARM, "revision", json!("f".repeat(40))),
        "another revision",
        ARM,
    ),
    (
        "no commit",
        |f| set(f, ARM, "revision", json!(null)),
        "another revision: none",
        ARM,
    ),
    (
        "another version",
        |f| set(f, AMD, "version", json!("1.2.4")),
        "another version",
        AMD,
    ),
    (
        "another ref",
        |f| set(f, AMD, "ref", json!("refs/heads/main")),
        "another ref",
        AMD,
    ),
    (
        "another run",
        |f| set(f, ARM, "run", run("76", 1)),
        "another run: 76",
        ARM,
    ),
    (
        "a later attempt",
        |f| set(f, ARM, "run", run("77", 3)),
        "another run: 77 (attempt 3)",
        ARM,
    ),
    (
        "no run",
        |f| set(f, ARM, "run", json!(null)),
        "another run: none",
        ARM,
    ),
    (
        "another repository",
        |f| set(f, ARM, "repositories", json!(["evil.example/ns/app"])),
        "another repository",
        ARM,
    ),
    (
        "another schema",
        |f| set(f, ARM, "schema", json!(2)),
        "another schema",
        ARM,
    ),
    (
        "a digest of nothing",
        |f| {
            set(
                f,
                ARM,
                "digest",
                json!(format!("sha256:{}", "0".repeat(64))),
            );
        },
        "is not there",
        ARM,
    ),
    (
        "the other's digest",
        |f| {
            let other = get(f, AMD, "digest");
            set(f, ARM, "digest", other);
        },
        "the same manifest",
        ARM,
    ),
    (
        "digests exchanged",
        |f| {
            let (amd, arm) = (get(f, AMD, "digest"), get(f, ARM, "digest"));
            set(f, AMD, "digest", arm);
            set(f, ARM, "digest", amd);
        },
        "podman's list does not name",
        "app",
    ),
    (
        "another size",
        |f| set(f, ARM, "size", json!(7)),
        "says 7 bytes",
        ARM,
    ),
    (
        "another media type",
        |f| set(f, ARM, "media_type", json!("text/html")),
        "of text/html",
        ARM,
    ),
    (
        "no digest",
        |f| set(f, ARM, "digest", json!("sha256:7")),
        "no digest record",
        ARM,
    ),
    (
        "an unknown key",
        |f| set(f, ARM, "more", json!(1)),
        "unknown field `more`",
        ARM,
    ),
    (
        "half of it",
        |f| {
            let text = std::fs::read(f.join(ARM)).unwrap();
            std::fs::write(f.join(ARM), &text[..text.len() / 2]).unwrap();
        },
        "no digest record",
        ARM,
    ),
    (
        "empty",
        |f| std::fs::write(f.join(ARM), "").unwrap(),
        "no digest record",
        ARM,
    ),
    (
        "endless",
        |f| std::fs::write(f.join(ARM), " ".repeat(1 << 20)).unwrap(),
        "longer than 64 KiB",
        ARM,
    ),
    (
        "no text",
        |f| std::fs::write(f.join(ARM), [0xff, 0]).unwrap(),
        "no digest record",
        ARM,
    ),
    (
        "a folder",
        |f| {
            std::fs::remove_file(f.join(ARM)).unwrap();
            std::fs::create_dir(f.join(ARM)).unwrap();
        },
        "no ordinary file",
        ARM,
    ),
    (
        "a link",
        |f| {
            std::fs::remove_file(f.join(ARM)).unwrap();
            std::os::unix::fs::symlink("/dev/zero", f.join(ARM)).unwrap();
        },
        "no ordinary file",
        ARM,
    ),
    (
        "unreadable",
        |f| {
            use std::os::unix::fs::PermissionsExt as _;
            let nobody = std::fs::Permissions::from_mode(0o000);
            std::fs::set_permissions(f.join(ARM), nobody).unwrap();
        },
        "cannot read the digest record",
        ARM,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_of_bad_records_is_refused_by_name() {
    let registries = two_registries();
    let hosts = registries.each_ref().map(RegistryProcess::host);
    let to = to(&hosts, "ns");
    let (machine, project) = (
        Machine::new(),
        Project::new(&["linux/amd64", "linux/arm64"], SMALL),
    );
    project.write("file", "content");
    let good = tempfile::tempdir().unwrap();
    let records = good.path().to_str().unwrap();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let in_ci = [
        ("GITHUB_SHA", commit),
        ("GITHUB_RUN_ID", "77"),
        ("GITHUB_RUN_ATTEMPT", "2"),
    ];
    let rpub = |args: &[&str]| machine.rpub_with(project.path(), args, &in_ci);
    let both = ["--platform", "linux/amd64,linux/arm64", "--to", &to];
    rpub(&[&["build", "v1.2.3"][..], &both].concat()).well();
    rpub(&[&["push", "v1.2.3", "--digests", records][..], &both].concat()).well();
    for (name, spoil, what, place) in CASES {
        let bad = tempfile::tempdir().unwrap();
        for file in [AMD, ARM] {
            std::fs::copy(good.path().join(file), bad.path().join(file)).unwrap();
        }
        spoil(bad.path());
        let folder = bad.path().to_str().unwrap();
        let ran = rpub(&["release", "v1.2.3", "--to", &to, "--digests", folder]);
        let err = &ran.stderr;
        assert!(!ran.status.success(), "{name}: {err}");
        let line = |start: &str| err.lines().find(|line| line.starts_with(start)).unwrap();
        assert!(line("error: ").contains(what), "{name}: {err}");
        assert!(line("   at: ").contains(place), "{name}: {err}");
        for host in &hosts {
            assert_eq!(tags(host, "ns/app").await, Vec::<String>::new(), "{name}");
        }
    }
    // The good ones, of an earlier attempt of the same run, are a release.
    rpub(&["release", "v1.2.3", "--to", &to, "--digests", records]).well();
}
