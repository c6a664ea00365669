//! Decides that shells, man and the environment know every command and option that rpub has.
//! Must never hold a list of them: clap's own tree is what they are compared with.

use clap::{Arg, Command, CommandFactory as _};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    process::{self, Stdio},
};

/// Options of several commands that mean the same in each, by their variable.
const SHARED: &[&str] = &[
    "RPUB_CACHE_FROM",
    "RPUB_CACHE_TO",
    "RPUB_COMPRESSION_LEVEL",
    "RPUB_DIGESTS",
    "RPUB_FORCE",
    "RPUB_PLATFORM",
    "RPUB_REPORT",
];

fn tree() -> Command {
    rpub::cli::Cli::command().disable_help_subcommand(true)
}

/// A command's own options, help and version apart.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    let own =
        |arg: &&Arg| !arg.is_positional() && !matches!(arg.get_id().as_str(), "help" | "version");
    command.get_arguments().filter(own)
}

/// rpub in an environment that says nothing but this.
fn rpub(args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let image = "[[image]]\nname = \"app\"\nplatforms = [\"linux/amd64\"]\n";
    std::fs::write(folder.path().join("rpub.toml"), image).unwrap();
    std::fs::write(folder.path().join("Containerfile"), "FROM scratch\n").unwrap();
    let output = process::Command::new(env!("CARGO_BIN_EXE_rpub"))
        .args(args)
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", folder.path())
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// What a program says of a text on its stdin; it must end well.
fn fed(program: &str, args: &[&str], text: &str) -> (String, String) {
    let mut child = process::Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let err = said(&output.stderr);
    assert!(output.status.success(), "{program}: {err}");
    (said(&output.stdout), err)
}

#[test]
fn env_every_option_has_a_variable_and_none_means_two_things() {
    let tree = tree();
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for command in std::iter::once(&tree).chain(tree.get_subcommands()) {
        for option in options(command) {
            let long = option.get_long().unwrap().to_owned();
            let variable = option.get_env().map(|name| name.to_str().unwrap());
            let variable = variable.unwrap_or_else(|| panic!("{} --{long}", command.get_name()));
            assert!(variable.starts_with("RPUB_"), "{variable}");
            seen.entry(variable.to_owned()).or_default().push(long);
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
    let shared: Vec<&String> = seen
        .iter()
        .filter(|(_, l)| l.len() > 1)
        .map(|(v, _)| v)
        .collect();
    assert_eq!(
        shared, SHARED,
        "named here once it is sure that they mean the same"
    );
    for (variable, longs) in &seen {
        let different: BTreeSet<&String> = longs.iter().collect();
        assert_eq!(different.len(), 1, "{variable}: {longs:?}");
    }
}

#[test]
fn env_switches_are_true_or_false_and_what_is_typed_counts_more() {
    let stages = |env| {
        let (code, out, err) = rpub(&["plan", "v1.2.3"], env);
        assert_eq!(code, 0, "{err}");
        (out, err)
    };
    let (out, _) = stages(&[
        ("RPUB_FORMAT", "json"),
        ("RPUB_QUIET", "false"),
        ("RPUB_VERBOSE", "1"),
    ]);
    assert!(out.starts_with('{'), "{out}");
    let (code, out, _) = rpub(
        &["--format", "human", "plan", "v1.2.3"],
        &[("RPUB_FORMAT", "json")],
    );
    assert!(code == 0 && !out.starts_with('{'), "{out}");
    for (env, code, words) in [
        (&[("RPUB_QUIET", "perhaps")][..], 2, "true or false"),
        (&[("RPUB_VERBOSE", "loud")], 2, "loud"),
        (
            &[("RPUB_QUIET", "1"), ("RPUB_VERBOSE", "1")],
            2,
            "cannot be used",
        ),
        (&[("RPUB_QUIET", ""), ("RPUB_VERBOSE", "2")], 0, ""),
    ] {
        let (found, _, err) = rpub(&["plan", "v1.2.3"], env);
        assert_eq!(found, code, "{err}");
        assert!(err.contains(words), "{err}");
    }
    // Typed, the one ends the other.
    for (args, env) in [
        (["-q", "plan", "v1.2.3"], ("RPUB_VERBOSE", "1")),
        (["-v", "plan", "v1.2.3"], ("RPUB_QUIET", "1")),
    ] {
        assert_eq!(rpub(&args, &[env]).0, 0);
    }
    let (code, _, err) = rpub(&["prune"], &[("RPUB_SWEEP_YES", "true")]);
    assert!(code == 2 && err.contains("--sweep"), "{err}");
    let (code, _, err) = rpub(&["prune"], &[("RPUB_DRY_RUN", "2")]);
    assert!(code == 2 && err.contains("--dry-run"), "{err}");
}

#[test]
fn completions_of_every_shell_name_every_command_and_option() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, err) = rpub(&["completions", shell], &[]);
        assert_eq!((code, err.as_str()), (0, ""));
        for command in tree().get_subcommands() {
            assert!(
                script.contains(command.get_name()),
                "{shell}: {}",
                command.get_name()
            );
            for option in options(command) {
                let long = option.get_long().unwrap();
                assert!(script.contains(long), "{shell}: {long}");
            }
        }
    }
    let (code, out, err) = rpub(&["completions", "csh"], &[]);
    assert!(code == 2 && out.is_empty() && err.contains("bash"), "{err}");
}

/// What bash offers for the last of these words.
fn offered(script: &str, words: &[&str]) -> BTreeSet<String> {
    let list: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let at = words.len() - 1;
    let line = words.join(" ");
    let text = format!(
        "{script}\n\
         complete -p rpub >&2 || exit 7\n\
         COMP_WORDS=({}); COMP_CWORD={at}; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}\n\
         entry=$(complete -p rpub); entry=${{entry#*-F }}; entry=${{entry%% *}}\n\
         \"$entry\" rpub '{}' '{}'\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        list.join(" "),
        words[at],
        words[at - 1],
    );
    let (out, err) = fed("bash", &["--norc"], &text);
    assert!(err.contains("complete"), "{err}");
    out.lines().map(str::to_owned).collect()
}

#[test]
fn completions_work_in_bash() {
    let (_, script, _) = rpub(&["completions", "bash"], &[]);
    fed("bash", &["-n"], &script);
    let set = |words: &[&str]| {
        words
            .iter()
            .map(|w| (*w).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(offered(&script, &["rpub", "rel"]), set(&["release"]));
    assert_eq!(
        offered(&script, &["rpub", "p"]),
        set(&["plan", "prune", "push"])
    );
    assert_eq!(
        offered(&script, &["rpub", "prune", "--dry"]),
        set(&["--dry-run"])
    );
    assert_eq!(
        offered(&script, &["rpub", "plan", "--format", "j"]),
        set(&["json"])
    );
    assert_eq!(
        offered(&script, &["rpub", "completions", ""])
            .intersection(&set(&["bash", "zsh", "fish", "elvish", "powershell"]))
            .count(),
        5
    );
}

#[test]
fn man_has_a_page_for_every_command_that_groff_reads_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/man1");
    let (code, said, err) = rpub(&["man", "--out", out.to_str().unwrap()], &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    let mut expected: BTreeSet<String> = tree()
        .get_subcommands()
        .map(|command| format!("rpub-{}.1", command.get_name()))
        .collect();
    expected.insert("rpub.1".to_owned());
    let found: BTreeSet<String> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, expected);
    assert_eq!(said.lines().count(), found.len());
    for name in &found {
        let text = std::fs::read_to_string(out.join(name)).unwrap();
        let (shown, warnings) = fed("groff", &["-man", "-Tutf8", "-ww", "-z"], &text);
        assert_eq!((shown.as_str(), warnings.as_str()), ("", ""), "{name}");
        let (shown, _) = fed("groff", &["-man", "-Tascii", "-P-c"], &text);
        assert!(
            shown.contains("NAME") && shown.contains("Examples:"),
            "{name}: {shown}"
        );
    }
    for command in tree().get_subcommands() {
        let page = format!("rpub-{}.1", command.get_name());
        let text = std::fs::read_to_string(out.join(&page)).unwrap();
        for option in options(command) {
            let variable = option.get_env().unwrap().to_str().unwrap();
            assert!(text.contains(variable), "{page}: {variable}");
        }
    }
    let (code, main, _) = rpub(&["man"], &[]);
    assert_eq!(code, 0);
    assert_eq!(main, std::fs::read_to_string(out.join("rpub.1")).unwrap());
}

#[test]
fn man_says_where_it_cannot_write() {
    let (code, _, err) = rpub(&["man", "--out", "Containerfile/x"], &[]);
    assert!(code == 1 && err.contains("Containerfile/x"), "{err}");
    assert!(err.contains(" next:"), "{err}");
}

#[test]
fn version_with_verbose_is_what_a_report_of_a_bug_needs() {
    let secret = ("CONTAINER_HOST", "ssh://me:hunter2@host/run/x.sock");
    for args in [
        &["-vV"][..],
        &["--version", "--verbose"],
        &["-V", "-v"],
        &["plan", "-v", "-V"],
    ] {
        let (code, out, err) = rpub(args, &[secret]);
        assert_eq!((code, err.as_str()), (0, ""));
        let names: Vec<&str> = out
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        let all = [
            "rpub", "commit", "target", "rustc", "system", "podman", "socket", "config",
        ];
        assert_eq!(names, all, "{out}");
        assert!(
            out.contains(env!("CARGO_PKG_VERSION")) && out.contains("/rpub.toml (there)"),
            "{out}"
        );
        assert!(!out.contains("hunter2"), "{out}");
    }
    let (_, out, _) = rpub(&["-V"], &[]);
    assert_eq!(out, format!("rpub {}\n", env!("CARGO_PKG_VERSION")));
}

/// A podman that never answers is not waited for without end.
#[test]
fn version_with_verbose_says_what_is_wrong_with_podman() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let podman = folder.path().join("podman");
    let path = folder.path().to_str().unwrap();
    for (script, word) in [
        (None, "podman not found"),
        (Some("#!/bin/sh\nexit 1\n"), "podman does not work"),
        (
            Some("#!/bin/sh\nexec sleep 600\n"),
            "podman does not answer",
        ),
        (
            Some("#!/bin/sh\necho podman version 9.8.7\n"),
            "podman 9.8.7",
        ),
    ] {
        if let Some(script) = script {
            std::fs::write(&podman, script).unwrap();
            std::fs::set_permissions(&podman, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = if script.is_some() {
            format!("{path}:/usr/bin:/bin")
        } else {
            path.to_owned()
        };
        let (code, out, _) = rpub(&["-vV"], &[("PATH", path.as_str())]);
        assert_eq!(code, 0);
        assert!(out.lines().any(|line| line == word), "{out}");
    }
}

#[test]
fn a_wrong_word_is_an_annotation_in_github_actions() {
    let actions = ("GITHUB_ACTIONS", "true");
    let (code, out, err) = rpub(&["plan", "--formt", "x\n::error::evil"], &[actions]);
    assert_eq!((code, out.as_str()), (2, ""));
    let last = err.lines().last().unwrap();
    assert!(last.starts_with("::error title="), "{err}");
    assert!(
        last.contains("--formt") && last.contains("%0Anext: a similar argument"),
        "{err}"
    );
    let commands = err
        .lines()
        .filter(|line| line.trim_start().starts_with("::"));
    assert_eq!(commands.count(), 1, "{err}");
    let (code, _, err) = rpub(&["plan", "--formt"], &[]);
    assert!(code == 2 && !err.contains("::error"), "{err}");
    // Help is no mistake.
    let (code, out, err) = rpub(&["--help"], &[actions]);
    assert!(
        code == 0 && out.contains("Usage") && err.is_empty(),
        "{err}"
    );
}
