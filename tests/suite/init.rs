//! Decides that `rpub init` makes a folder ready to release, and that this repository is one it made ready.
//! Must never look at what lies on this machine: logins and names are the tests' own.

mod pinned;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use tempfile::TempDir;

const TOML: &str = "rpub.toml";
const WORKFLOW: &str = ".github/workflows/release.yml";
const ACTION: &str = ".github/actions/rpub/action.yml";
const FROM: &[&str] = &["init", "--yes", "--rpub", "some-one/rpub"];

/// The checksums of rpub's release, where a test is not about them.
static SUMS: LazyLock<TempDir> = LazyLock::new(|| {
    let sums = pinned::sums("1", "2");
    folder(&[("SHA256SUMS", &sums)])
});

/// A folder with these files, `/` in a name making folders.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// It becomes a git repository, `branch` checked out.
fn git(folder: &TempDir, branch: &str, remote: Option<&str>) {
    let run = |args: &[&str]| {
        let mut git = Command::new("git");
        let status = git.args(args).current_dir(folder.path()).status().unwrap();
        assert!(status.success(), "git {args:?}");
    };
    run(&["init", "-q", "-b", branch]);
    if let Some(remote) = remote {
        run(&["remote", "add", "origin", remote]);
    }
}

fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear();
    command
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", folder)
        .env("RPUB_CHECKSUMS", SUMS.path().join("SHA256SUMS"));
    command
}

/// Exit code, stdout, stderr.
fn rpub(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = command(env!("CARGO_BIN_EXE_rpub"), folder);
    let output = command.args(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn read(folder: &TempDir, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap()
}

/// What `init` did, by its JSON: `path done`.
fn done(folder: &TempDir, args: &[&str]) -> Vec<String> {
    let (code, out, err) = rpub(folder.path(), &[args, &["--format", "json"]].concat());
    assert_eq!(code, 0, "{err}");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["schema"], 1);
    let files = document["files"].as_array().unwrap();
    let line = |file: &serde_json::Value| {
        format!(
            "{} {}",
            file["path"].as_str().unwrap(),
            file["done"].as_str().unwrap()
        )
    };
    files.iter().map(line).collect()
}

fn platforms(folder: &TempDir) -> Vec<String> {
    let (code, out, err) = rpub(folder.path(), &["plan", "v1.2.3", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let mut found = Vec::new();
    for image in document["images"].as_array().unwrap() {
        for platform in image["platforms"].as_array().unwrap() {
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            let place = text(&image["repositories"][1]);
            let (name, file) = (
                text(&platform["platform"]),
                text(&platform["containerfile"]),
            );
            found.push(format!("{place} {name} {file}"));
        }
    }
    found
}

#[test]
fn init_of_this_repository_gives_its_own_files() {
    let own = |name: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
    };
    let containerfiles = ["api", "worker.amd64", "worker.arm64"];
    let containerfiles = containerfiles.map(|name| format!("Containerfile.{name}"));
    let files: Vec<(&str, String)> = ["Cargo.toml", TOML, WORKFLOW, ACTION]
        .into_iter()
        .chain(containerfiles.iter().map(String::as_str))
        .map(|name| (name, own(name)))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let folder = folder(&files);
    git(&folder, "main", None);
    let same = [
        format!("{TOML} kept"),
        format!("{WORKFLOW} unchanged"),
        format!("{ACTION} unchanged"),
    ];
    assert_eq!(done(&folder, &["init", "--yes"]), same);
    std::fs::remove_dir_all(folder.path().join(".github")).unwrap();
    done(&folder, &["init", "--yes"]);
    for (name, text) in files {
        assert_eq!(read(&folder, name), text, "{name}");
    }
}

#[test]
fn init_of_a_fresh_repository_makes_it_ready() {
    let folder = folder(&[("Containerfile", "FROM scratch\n")]);
    git(
        &folder,
        "trunk",
        Some("git@github.com:Some-Owner/My.App.git"),
    );
    let all = [TOML, WORKFLOW, ACTION].map(|name| format!("{name} written"));
    assert_eq!(done(&folder, FROM), all);
    assert_eq!(
        platforms(&folder),
        [
            "docker.io/some-owner/my.app linux/amd64 Containerfile",
            "docker.io/some-owner/my.app linux/arm64 Containerfile"
        ]
    );
    assert!(read(&folder, TOML).contains("\"branch:trunk\""));
    let workflow = read(&folder, WORKFLOW);
    assert!(workflow.contains("branches: [trunk]"));
    assert!(read(&folder, ACTION).contains("/some-one/rpub/releases/"));
    let (_, out, _) = rpub(folder.path(), FROM);
    assert!(out.contains(&format!("unchanged {WORKFLOW}")), "{out}");
    assert!(
        out.contains("DOCKERHUB_TOKEN") && out.contains("rpub plan"),
        "{out}"
    );
    // What it wrote itself it writes again.
    std::fs::write(
        folder.path().join(ACTION),
        "# Written by `rpub init` of old\n",
    )
    .unwrap();
    assert_eq!(done(&folder, FROM)[2], format!("{ACTION} replaced"));
}

#[test]
fn init_takes_two_files_of_one_name_for_one_image_and_the_login_for_the_account() {
    let auth = "{\"auths\": {\"docker.io\": {\"auth\": \"aHVidXNlcjpwYXNz\"}}}";
    let folder = folder(&[
        ("Containerfile.worker.amd64", "FROM scratch\n"),
        ("Containerfile.worker.arm64", "FROM scratch\n"),
        (".docker/config.json", auth),
    ]);
    git(&folder, "main", Some("https://github.com/owner/app"));
    done(&folder, FROM);
    assert_eq!(
        platforms(&folder),
        [
            "docker.io/hubuser/worker linux/amd64 Containerfile.worker.amd64",
            "docker.io/hubuser/worker linux/arm64 Containerfile.worker.arm64"
        ]
    );
}

#[test]
fn init_leaves_what_it_did_not_write_but_for_force() {
    let folder = folder(&[
        ("Containerfile", "FROM scratch\n"),
        (ACTION, "name: mine\n"),
    ]);
    let (code, out, err) = rpub(folder.path(), FROM);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains(ACTION) && err.contains("--force"), "{err}");
    assert!(!folder.path().join(TOML).exists(), "nothing is written");
    assert!(!folder.path().join(".github/workflows").exists());
    assert_eq!(read(&folder, ACTION), "name: mine\n");
    let forced = [FROM, &["--force"]].concat();
    assert_eq!(done(&folder, &forced)[2], format!("{ACTION} replaced"));
    std::fs::write(
        folder.path().join(TOML),
        "[[image]]\nname = \"mine\"\nplatforms = [\"linux/amd64\"]\n",
    )
    .unwrap();
    assert_eq!(done(&folder, &forced)[0], format!("{TOML} kept"), "even so");
    assert!(
        !read(&folder, WORKFLOW).contains("secrets."),
        "it names no registry"
    );
}

#[test]
fn init_says_what_is_missing() {
    for (files, args, words) in [
        (&[][..], FROM, &["Containerfile", "next:"][..]),
        (
            &[("Containerfile", "")],
            &["init", "--rpub", "nonsense"],
            &["OWNER/NAME"],
        ),
        (
            &[("Containerfile", "")],
            &["init", "-c", "other.toml", "--rpub", "o/r"],
            &["--no-ci"],
        ),
        (
            &[(TOML, "[[imag]]\n"), ("Containerfile", "")],
            FROM,
            &["rpub.toml:1", "image"],
        ),
    ] {
        let folder = folder(files);
        let (code, out, err) = rpub(folder.path(), args);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(words.iter().all(|word| err.contains(word)), "{err}");
        assert!(!folder.path().join(".github").exists());
    }
    // A binary of a release knows where it is from; one that was built by hand does not.
    if option_env!("RPUB_REPOSITORY").is_none() {
        let folder = folder(&[("Containerfile", "")]);
        let (code, _, err) = rpub(folder.path(), &["init", "--yes"]);
        assert!(code == 2 && err.contains("--rpub OWNER/NAME"), "{err}");
    }
}

#[test]
fn init_within_a_repository_writes_no_workflow() {
    let folder = folder(&[("deep/Containerfile", "FROM scratch\n")]);
    git(&folder, "main", None);
    let deep = folder.path().join("deep");
    let (code, _, err) = rpub(&deep, FROM);
    assert!(code == 2 && err.contains("--no-ci"), "{err}");
    let (code, out, err) = rpub(&deep, &["init", "--yes", "--no-ci"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("rpub.toml") && !out.contains(".github"),
        "{out}"
    );
}

#[test]
fn init_without_git_leaves_the_owner_to_github() {
    let folder = folder(&[("Dockerfile.api", "FROM scratch\n")]);
    done(&folder, FROM);
    assert!(read(&folder, TOML).contains("${GITHUB_REPOSITORY_OWNER}"));
    let mut plan = command(env!("CARGO_BIN_EXE_rpub"), folder.path());
    plan.args(["plan", "v0.1.0"])
        .env("GITHUB_REPOSITORY_OWNER", "SomeOne");
    let out = String::from_utf8(plan.output().unwrap().stdout).unwrap();
    assert!(out.contains("ghcr.io/someone/api: 0.1.0"), "{out}");
}

/// On a terminal, which script(1) makes; the keys are typed at the first question. Its exit code, and what it showed.
fn typed(folder: &TempDir, keys: &str) -> (i32, String) {
    typed_after(folder, keys, || ())
}

/// The same; this is done while the first question is open.
fn typed_after(folder: &TempDir, keys: &str, meanwhile: impl FnOnce()) -> (i32, String) {
    let line = format!("exec {} init --rpub o/r", env!("CARGO_BIN_EXE_rpub"));
    let mut script = command("script", folder.path());
    script.args(["-qec", &line, "/dev/null"]);
    let script = script.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().unwrap();
    // Kept open: its end would be typed as Ctrl-D.
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    while !shown.ends_with(b"] ") {
        let mut byte = [0];
        assert_eq!(screen.read(&mut byte).unwrap(), 1, "{shown:?}");
        shown.extend(byte);
    }
    meanwhile();
    keyboard.write_all(keys.as_bytes()).unwrap();
    screen.read_to_end(&mut shown).unwrap();
    let code = child.wait().unwrap().code().unwrap();
    (code, String::from_utf8(shown).unwrap())
}

#[test]
fn init_asks_on_a_terminal() {
    let folder = folder(&[("Containerfile", "FROM scratch\n")]);
    git(&folder, "main", Some("https://github.com/owner/app"));
    // A name that is none is asked for again; nothing typed is the default.
    let (code, shown) = typed(&folder, "My Name\nserver\nno\n\nhub\n");
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("Name of the image from Containerfile? [app]"),
        "{shown}"
    );
    assert!(shown.contains("lower case"), "{shown}");
    let toml = read(&folder, TOML);
    assert!(
        toml.contains("name = \"server\"") && toml.contains("namespace = \"hub\""),
        "{toml}"
    );
    assert!(!toml.contains("ghcr.io"), "{toml}");
    assert!(!read(&folder, WORKFLOW).contains("packages: write"));
}

#[test]
fn init_writes_nothing_when_the_answers_end() {
    let folder = folder(&[("Containerfile", "FROM scratch\n")]);
    // Ctrl-D on an empty line ends the input; Ctrl-C ends rpub.
    for keys in ["server\n\u{4}", "\u{3}"] {
        let (code, shown) = typed(&folder, keys);
        assert_eq!(code, 5, "{shown}");
        assert!(shown.contains("interrupted"), "{shown}");
    }
    assert!(!folder.path().join(TOML).exists() && !folder.path().join(".github").exists());
}

#[test]
fn init_leaves_what_somebody_made_while_it_asked() {
    let folder = folder(&[("Containerfile", "FROM scratch\n")]);
    let theirs = "# theirs\n";
    let (code, shown) = typed_after(&folder, "\n\n\n\n\n", || {
        std::fs::write(folder.path().join(TOML), theirs).unwrap();
    });
    assert_eq!(code, 2, "{shown}");
    assert!(
        shown.contains("in the meantime") && shown.contains(" next:"),
        "{shown}"
    );
    assert_eq!(read(&folder, TOML), theirs);
    assert!(
        !folder.path().join(".github").exists(),
        "nothing is written"
    );
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "nothing is left beside it");
}

#[test]
fn init_explains_each_file_that_it_wrote() {
    let folder = folder(&[("Containerfile", "FROM scratch\n")]);
    git(&folder, "main", Some("https://github.com/owner/app"));
    let (code, out, err) = rpub(folder.path(), FROM);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<&str> = out.lines().collect();
    for (line, (path, word)) in lines.iter().zip([
        (TOML, "check first: names of images, platforms"),
        (WORKFLOW, "rpub init writes it again"),
        (ACTION, "brings rpub and podman"),
    ]) {
        let (head, words) = line.split_once(": ").unwrap();
        assert_eq!(head, format!("written   {path}"));
        assert!(words.contains(word), "{line}");
    }
    // The last words are what to type, in this order.
    let next: Vec<&str> = lines
        .iter()
        .skip_while(|line| **line != "next:")
        .copied()
        .collect();
    let at = |word: &str| next.iter().position(|line| line.contains(word)).unwrap();
    assert!(
        at("git add") < at("rpub plan") && at("rpub plan") < at("git tag v0.1.0"),
        "{out}"
    );
}
