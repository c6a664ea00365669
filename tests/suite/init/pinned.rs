//! Decides that a workflow takes the programs whose checksums `rpub init` read, and that there is no workflow without them.
//! Must never ask a machine but this one.

use super::{ACTION, TOML, WORKFLOW, command, folder, git, read};
use crate::support::faults::{Fault, Rule};
use crate::support::proxy::Proxy;
use rpub::model::{checksums::asset, digest::Digest};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const TAG: &str = concat!("v", env!("CARGO_PKG_VERSION"));
/// Not loopback by its name; nothing that is sent there would leave this machine, though.
const NEVER: &str = "http://0.0.0.0:1/";

/// SHA256SUMS of a release whose programs have checksums of these digits alone.
pub(super) fn sums(x86_64: &str, aarch64: &str) -> String {
    let line = |digit: &str, arch| format!("{}  {}\n", digit.repeat(64), asset(arch));
    line(x86_64, "x86_64") + &line(aarch64, "aarch64")
}

fn answer(body: &str) -> Fault {
    Fault::status(200).body(body)
}

/// What stands in for GitHub: it answers by rules alone, and 404 where none fits.
async fn github(rules: Vec<Rule>, tls: bool) -> Proxy {
    // Nothing listens there.
    let nobody = Proxy::before("127.0.0.1:1".parse().unwrap());
    let mut all = if tls { nobody.tls() } else { nobody };
    for rule in rules {
        all = all.rule(rule);
    }
    let missing = Rule::on("GET", "", Fault::status(404)).always();
    all.rule(missing).start().await
}

/// Exit code and stderr of `rpub init` with this GitHub.
fn init(folder: &TempDir, server: &str, args: &[&str], env: &[(&str, &Path)]) -> (i32, String) {
    let mut command = command(env!("CARGO_BIN_EXE_rpub"), folder.path());
    command
        .args([&["init", "--yes"], args].concat())
        .env_remove("RPUB_CHECKSUMS")
        .env("RPUB_REPOSITORY", "some-one/rpub")
        .env("GITHUB_SERVER_URL", server)
        .envs(env.iter().copied());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), err)
}

fn project() -> TempDir {
    let folder = folder(&[("Containerfile", "FROM scratch\n")]);
    git(&folder, "main", None);
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_holds_the_workflow_to_the_checksums_that_it_read_once() {
    let release = format!("/some-one/rpub/releases/download/{TAG}/SHA256SUMS");
    // GitHub keeps a release's files elsewhere, too.
    let rules = vec![
        Rule::on(
            "GET",
            release.clone() + "$",
            Fault::status(302).header("Location", "/elsewhere?x=y"),
        )
        .always(),
        Rule::on("GET", "/elsewhere?x=y$", answer(&sums("1", "2"))),
        // From then on it is another release.
        Rule::on("GET", "/elsewhere?x=y$", answer(&sums("3", "4"))).always(),
    ];
    let github = github(rules, false).await;
    let (folder, server) = (project(), format!("http://{}", github.host()));
    let (code, err) = init(&folder, &server, &[], &[]);
    assert_eq!(code, 0, "{err}");
    // What is trusted from here on is told.
    assert!(err.contains(TAG) && err.contains(&release), "{err}");
    let written = read(&folder, ACTION);
    for digit in ["1", "2"] {
        assert!(written.contains(&digit.repeat(64)), "{written}");
    }
    assert!(!read(&folder, WORKFLOW).contains("SHA256SUMS"));
    // What it holds it keeps: nothing is asked, so nothing can change.
    let (code, err) = init(&folder, &server, &[], &[]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(read(&folder, ACTION), written);
    assert_eq!(github.count("GET", "SHA256SUMS"), 1);
    // Another repository's program is another one.
    let (code, err) = init(&folder, &server, &["--rpub", "no/one"], &[]);
    assert!(code == 1 && err.contains(TAG), "{err}");
    assert_eq!(read(&folder, ACTION), written);
    // Nor is one kept where the user says so.
    let here = format!("{server}{release}");
    let (code, err) = init(&folder, NEVER, &["--checksums", &here], &[]);
    assert_eq!(code, 0, "{err}");
    assert!(read(&folder, ACTION).contains(&"4".repeat(64)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_writes_no_workflow_without_both_checksums() {
    let both = sums("1", "2");
    let longer = format!("{both}{}", "#".repeat(5000));
    let moved = |to: &str| Fault::status(302).header("Location", to);
    let rules = vec![
        Rule::on("GET", "/one$", answer(both.lines().next().unwrap())),
        Rule::on("GET", "/more$", answer(&format!("{both}{both}"))),
        Rule::on("GET", "/longer$", answer(&longer)),
        Rule::on("GET", "/html$", Fault::html(200)),
        Rule::on("GET", "/fails$", Fault::status(503)),
        Rule::on("GET", "/plain$", moved(NEVER)),
        Rule::on("GET", "/circle$", moved("/circle")).always(),
    ];
    let github = github(rules, false).await;
    let server = format!("http://{}", github.host());
    for (path, word) in [
        ("one", "missing"),
        ("more", "line 3"),
        ("longer", "longer than"),
        ("html", "line 1"),
        ("fails", "503"),
        ("gone", "404"),
        ("plain", "not https"),
        ("circle", "too many redirects"),
    ] {
        refused(&server, &format!("{server}/{path}"), &[], word);
    }
    refused(&server, NEVER, &[], "https only");
    refused(&server, "not-there", &[], "not-there");
    // Where nothing is said, the release itself is asked; nothing listens there.
    let folder = project();
    let (code, err) = init(&folder, "http://127.0.0.1:1", &[], &[]);
    assert!(code == 1 && err.contains("--checksums FILE"), "{err}");
    assert!(!folder.path().join(TOML).exists(), "nothing is written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_leaves_https_for_nothing() {
    let plain = github(
        vec![Rule::on("GET", "/here$", answer(&sums("1", "2"))).always()],
        false,
    )
    .await;
    let to = format!("http://{}/here", plain.host());
    let moved = Fault::status(302).header("Location", to);
    let right = Rule::on("GET", "/right$", answer(&sums("1", "2")));
    let github = github(vec![Rule::on("GET", "/moved$", moved), right], true).await;
    let server = format!("https://{}", github.host());
    let ca = github.ca_file().unwrap();
    let trusted = [("SSL_CERT_FILE", ca.as_path())];
    refused(&server, &format!("{server}/moved"), &trusted, "not https");
    assert!(plain.seen().is_empty());
    // Its certificate is looked at.
    refused(&server, &format!("{server}/right"), &[], "TLS");
    let folder = project();
    let here = format!("{server}/right");
    let (code, err) = init(&folder, NEVER, &["--checksums", &here], &trusted);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn init_reads_no_file_of_the_repository_that_never_ends() {
    let folder = project();
    let endless = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    };
    endless(ACTION);
    endless("Cargo.toml");
    let sums = super::SUMS.path().join("SHA256SUMS");
    let args = ["--checksums", sums.to_str().unwrap()];
    let (code, err) = init(&folder, NEVER, &args, &[]);
    assert!(code == 1 && err.contains("no ordinary file"), "{err}");
    assert!(!folder.path().join(WORKFLOW).exists());
}

fn refused(server: &str, checksums: &str, env: &[(&str, &Path)], word: &str) {
    let folder = project();
    let (code, err) = init(&folder, server, &["--checksums", checksums], env);
    assert!(code == 1 || code == 2, "{checksums}: {err}");
    assert!(err.contains(word) && err.contains(" next:"), "{err}");
    for name in [TOML, ".github"] {
        assert!(!folder.path().join(name).exists(), "{checksums}: {name}");
    }
}

/// Runs the action's script as GitHub does, `uname -m` saying `arch`; what it did, and what is on the PATH then.
fn acted(action: &Value, server: &str, arch: &str, ca: &Path) -> (Output, String) {
    let [step] = action["runs"]["steps"].as_array().unwrap().as_slice() else {
        panic!("one step: {action}");
    };
    assert_eq!(step["shell"], "bash");
    let uname = format!("#!/bin/sh\necho {arch}\n");
    let runner = folder(&[
        ("bin/uname", uname.as_str()),
        ("path", ""),
        ("script", step["run"].as_str().unwrap()),
    ]);
    let at = |name: &str| runner.path().join(name);
    let status = Command::new("chmod")
        .arg("+x")
        .arg(at("bin/uname"))
        .status();
    assert!(status.unwrap().success());
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-eo", "pipefail"])
        .arg(at("script"))
        .current_dir(runner.path())
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", at("bin").display()))
        .env("RUNNER_TEMP", at("temp"))
        .env("GITHUB_PATH", at("path"))
        .env("CURL_CA_BUNDLE", ca);
    for (name, value) in step["env"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        let value = value.replace("${{ github.server_url }}", server);
        assert!(!value.contains("${{"), "{value}");
        bash.env(name, value);
    }
    let output = bash.output().unwrap();
    let path = std::fs::read_to_string(at("path")).unwrap();
    let program = Path::new(path.trim_end()).join("rpub");
    let said = if path.is_empty() {
        String::new()
    } else {
        let run = Command::new(program).output().unwrap();
        String::from_utf8(run.stdout).unwrap()
    };
    (output, said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn action_takes_the_program_that_was_there_when_it_was_written_and_no_other() {
    const OURS: &str = "#!/bin/sh\necho ours\n";
    const THEIRS: &str = "#!/bin/sh\necho theirs\n";
    let lines = |program: &str| {
        let hex = Digest::of(program.as_bytes()).hex();
        ["x86_64", "aarch64"].map(|arch| format!("{hex}  {}\n", asset(arch)))
    };
    let sums = folder(&[("SHA256SUMS", &lines(OURS).concat())]);
    let project = project();
    let file = sums.path().join("SHA256SUMS");
    let file = file.to_str().unwrap();
    let (code, err) = init(&project, NEVER, &["--checksums", file], &[]);
    assert_eq!(code, 0, "{err}");
    let action: Value = serde_saphyr::from_str(&read(&project, ACTION)).unwrap();

    let path = |name: &str| format!("/some-one/rpub/releases/download/{TAG}/{name}$");
    // Whoever may change the release changes its checksums as well.
    let release = |program| {
        let sums = answer(&lines(program).concat());
        let of = |arch| Rule::on("GET", path(&asset(arch)), answer(program)).always();
        vec![
            of("x86_64"),
            of("aarch64"),
            Rule::on("GET", path("SHA256SUMS"), sums).always(),
        ]
    };
    let github = github(release(OURS), true).await;
    let (server, ca) = (
        format!("https://{}", github.host()),
        github.ca_file().unwrap(),
    );
    for arch in ["x86_64", "aarch64"] {
        let (output, said) = acted(&action, &server, arch, &ca);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(said, "ours\n");
    }
    let (output, said) = acted(&action, &server, "riscv64", &ca);
    assert!(!output.status.success() && said.is_empty());
    assert!(String::from_utf8_lossy(&output.stdout).contains("::error::"));

    github.heal();
    for rule in release(THEIRS) {
        github.break_also(rule);
    }
    for arch in ["x86_64", "aarch64"] {
        let (output, said) = acted(&action, &server, arch, &ca);
        assert!(!output.status.success(), "{output:?}");
        assert_eq!(said, "");
    }
}
