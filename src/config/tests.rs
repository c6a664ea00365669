//! Decides that every mistake in rpub.toml is told with its line, its key and the nearest right one.
//! Must never accept a file that only looks right.

use super::*;
use crate::model::reference::RepositoryName;

const GOOD: &str = r#"
source   = "https://github.com/OWNER/REPO"
licenses = "MIT"

[tags]
release = ["{{version}}", "{{major}}.{{minor}}"]
latest  = ["release", "branch:main"]
manual  = ["manual-{{sha}}"]

[[registry]]
host = "ghcr.io"
namespace = "${GITHUB_REPOSITORY_OWNER}"

[[registry]]
host = "docker.io"
namespace = "owner"

[[image]]
name = "api"
containerfile = "Containerfile.api"
platforms = ["linux/amd64", "linux/arm64"]

[[image]]
name = "worker"
containerfile = { "linux/amd64" = "Containerfile.worker.amd64", "linux/arm64" = "Containerfile.worker.arm64" }
args = { VERSION = "1" }
"#;

fn env(name: &str) -> Option<String> {
    (name == "GITHUB_REPOSITORY_OWNER").then(|| "SteinBeck".to_owned())
}

fn parse_all_there(text: &str) -> Result<Spec> {
    parse(text, "rpub.toml", &env, &|_, _| true)
}

#[test]
fn the_defaults_are_valid() {
    let spec = parse_all_there("[[image]]\nname = \"a\"\nplatforms = [\"linux/amd64\"]\n").unwrap();
    assert_eq!(spec.tags.release.len(), 2);
    assert_eq!(spec.tags.latest.len(), 2);
    assert_eq!(spec.tags.manual.len(), 1);
    assert_eq!(
        spec.destinations,
        [Destination::Directory(DEFAULT_STORE.to_owned())]
    );
    assert_eq!(spec.images[0].platforms[0].1, "Containerfile");
}

#[test]
fn the_designs_file_is_read() {
    let spec = parse_all_there(GOOD).unwrap();
    let image: RepositoryName = "api".parse().unwrap();
    let repositories: Vec<String> = spec
        .destinations
        .iter()
        .map(|d| d.repository(&image).unwrap().to_string())
        .collect();
    assert_eq!(
        repositories,
        ["ghcr.io/steinbeck/api", "docker.io/owner/api"]
    );
    assert_eq!(spec.images[1].platforms.len(), 2);
    assert_eq!(spec.images[1].platforms[1].1, "Containerfile.worker.arm64");
    assert_eq!(spec.images[1].args["VERSION"], "1");
}

/// Each: what is changed in the good file, to what, the line of the mistake, and what must be named.
const MISTAKES: &[(&str, &str, usize, &[&str])] = &[
    (
        "platforms = ",
        "platfroms = ",
        21,
        &["image.platfroms", "platforms"],
    ),
    ("licenses =", "license =", 3, &["license", "licenses"]),
    ("[tags]", "[tag]", 5, &["tag", "tags"]),
    (
        "host = \"ghcr.io\"",
        "hostname = \"ghcr.io\"",
        11,
        &["registry.hostname", "host"],
    ),
    (
        "containerfile = \"Containerfile.api\"",
        "containrfile = \"Containerfile.api\"",
        20,
        &["image.containrfile", "mean \"containerfile\""],
    ),
    (
        "\"linux/arm64\"]",
        "\"linux/aarch64\"]",
        21,
        &["image.platforms", "linux/aarch64", "linux/arm64"],
    ),
    (
        "[\"linux/amd64\", \"linux/arm64\"]",
        "[]",
        21,
        &["image.platforms", "empty"],
    ),
    (
        "[\"linux/amd64\", \"linux/arm64\"]",
        "[\"linux/amd64\", \"linux/amd64\"]",
        21,
        &["linux/amd64", "twice"],
    ),
    (
        "name = \"worker\"",
        "name = \"api\"",
        24,
        &["api", "two images"],
    ),
    (
        "name = \"api\"",
        "name = \"Api\"",
        19,
        &["image.name", "lower case", "\"api\""],
    ),
    (
        "namespace = \"owner\"",
        "namespace = \"Owner\"",
        16,
        &["namespace", "lower case", "\"owner\""],
    ),
    ("${GITHUB_REPOSITORY_OWNER}", "${NOBODY}", 12, &["NOBODY"]),
    (
        "{{major}}.{{minor}}",
        "{{majr}}",
        6,
        &["tags.release", "majr", "{{major}}"],
    ),
    (
        "manual-{{sha}}",
        "manual-{{version}}",
        8,
        &["tags.manual", "{{sha}}"],
    ),
    (
        "\"{{version}}\", ",
        "\"{{branch}}\", ",
        6,
        &["tags.release", "branch"],
    ),
    ("branch:main", "main", 7, &["tags.latest", "branch:main"]),
    (
        "\"linux/arm64\" = \"Containerfile.worker.arm64\"",
        "\"arm64\" = \"x\"",
        25,
        &["arm64", "linux/arm64"],
    ),
    (
        "host = \"ghcr.io\"",
        "host = \"https://ghcr.io\"",
        11,
        &["registry.host", "scheme"],
    ),
    (
        "host = \"ghcr.io\"",
        "host = 1",
        11,
        &["registry.host", "text"],
    ),
    (
        "[[image]]\nname = \"api\"",
        "[image]\nname = \"api\"",
        23,
        &["image"],
    ),
    ("licenses = \"MIT\"", "licenses = ", 3, &[]),
    (
        "licenses = \"MIT\"",
        "licenses = \"\"",
        3,
        &["licenses", "empty"],
    ),
];

#[test]
fn every_mistake_names_line_key_and_the_nearest_right_one() {
    for (from, to, line, words) in MISTAKES {
        assert!(GOOD.contains(from), "{from}");
        let text = GOOD.replacen(from, to, 1);
        let error = parse_all_there(&text).expect_err(to);
        assert_eq!(error.kind.exit_code(), 2, "{to}");
        assert_eq!(error.place, format!("rpub.toml:{line}"), "{to}: {error}");
        let said = format!("{} {} {}", error.what, error.hint, error.tail.join(" "));
        for word in *words {
            assert!(said.contains(word), "{to}: {word:?} is not in: {said}");
        }
    }
}

#[test]
fn what_is_pruned_is_said_by_a_word_or_a_table() {
    let image = "[[image]]\nname = \"a\"\nplatforms = [\"linux/amd64\"]\n";
    let rules = |text: &str| parse_all_there(&format!("{text}{image}")).map(|spec| spec.prune);
    let usual = PruneRules::default();
    let off = PruneRules {
        by_release: false,
        ..usual
    };
    let hours = |hours| Duration::from_hours(hours);
    for (text, expected) in [
        ("", usual),
        ("prune = true\n", usual),
        ("prune = false\n", off),
        ("[prune]\nkeep = 3\n", PruneRules { keep: 3, ..usual }),
        (
            "[prune]\ngrace = \"36h\"\n",
            PruneRules {
                grace: hours(36),
                ..usual
            },
        ),
        (
            "[prune]\ngrace = \"1d 2h\"\n",
            PruneRules {
                grace: hours(26),
                ..usual
            },
        ),
        (
            "[prune]\ngrace = \"2w\"\n",
            PruneRules {
                grace: hours(14 * 24),
                ..usual
            },
        ),
    ] {
        assert_eq!(rules(text).unwrap(), expected, "{text}");
    }
    for (text, words) in [
        ("prune = 1\n", "true or false"),
        ("[prune]\nkeep = -1\n", "0 to 100"),
        ("[prune]\ngrace = \"soon\"\n", "such as 7d"),
        ("[prune]\ngrace = \"1 month\"\n", "such as 7d"),
        ("[prune]\ngrace = \"-7d\"\n", "such as 7d"),
        ("[prune]\ngrave = \"7d\"\n", "grace"),
    ] {
        let error = rules(text).unwrap_err();
        let told = format!("{error} {}", error.hint);
        assert!(told.contains(words), "{text}: {told}");
    }
}

#[test]
fn a_compression_level_is_one_of_gzips() {
    let level = |text: &str| {
        let spec = parse_all_there(&format!("{text}{GOOD}"));
        spec.map(|spec| spec.compression_level)
    };
    assert_eq!(level("").unwrap(), None);
    for number in [1, 9] {
        let read = level(&format!("compression_level = {number}\n")).unwrap();
        assert_eq!(read, CompressionLevel::new(number));
        assert!(read.is_some());
    }
    for (text, words) in [
        ("compression_level = 0\n", "1 to 9"),
        ("compression_level = 10\n", "1 to 9"),
        ("compression_level = \"6\"\n", "1 to 9"),
        (
            "compresion_level = 6\n",
            "did you mean \"compression_level\"?",
        ),
    ] {
        let error = level(text).unwrap_err();
        let told = format!("{error} {}", error.hint);
        assert!(told.contains(words), "{text}: {told}");
    }
}

#[test]
fn rules_between_keys_are_told() {
    let insecure = GOOD.replacen(
        "host = \"ghcr.io\"",
        "host = \"ghcr.io\"\ninsecure = true",
        1,
    );
    assert!(
        parse_all_there(&insecure)
            .unwrap_err()
            .what
            .contains("plain HTTP")
    );
    let hub = GOOD.replacen("namespace = \"owner\"", "", 1);
    assert!(
        parse_all_there(&hub)
            .unwrap_err()
            .what
            .contains("namespace")
    );
    let other = GOOD.replacen(
        "args =",
        "platforms = [\"linux/amd64\", \"linux/s390x\"]\nargs =",
        1,
    );
    let error = parse_all_there(&other).unwrap_err();
    assert!(
        error.what.contains("linux/s390x") || error.what.contains("linux/arm64"),
        "{error}"
    );
    assert_eq!(error.tail.len(), 1, "both mistakes are told: {error:?}");
    for empty in ["licenses = \"MIT\"", "image = []"] {
        let none = parse_all_there(empty).unwrap_err();
        assert!(none.what.contains("there is no [[image]]"), "{none}");
    }
}

#[test]
fn what_the_file_names_must_be_there() {
    let error = parse(GOOD, "rpub.toml", &env, &|path, _| {
        path != "Containerfile.api"
    })
    .unwrap_err();
    assert_eq!(error.place, "rpub.toml:20");
    assert!(error.what.contains("Containerfile.api"));
}

#[test]
fn labels_that_rpub_makes_are_refused_with_their_line() {
    let image = "[[image]]\nname = \"a\"\nplatforms = [\"linux/amd64\"]\n";
    for (key, hint) in [
        (
            "org.opencontainers.image.title",
            "remove it: the title is the image's name",
        ),
        (
            "org.opencontainers.image.source",
            "use the key source, above the tables",
        ),
        (
            "org.opencontainers.image.revision",
            "remove it: rpub asks git",
        ),
        (
            "org.opencontainers.image.version",
            "remove it: rpub asks git",
        ),
        (
            "org.opencontainers.image.created",
            "remove it: rpub asks git",
        ),
        (
            "org.opencontainers.image.description",
            "use the image's key description",
        ),
        (
            "org.opencontainers.image.licenses",
            "use the key licenses, above the tables",
        ),
        ("rpub.run", "use a name that does not begin with rpub."),
    ] {
        let text =
            format!("{image}[image.labels]\n\"org.example.x\" = \"y\"\n{key:?} = \"forged\"\n");
        let error = parse_all_there(&text).unwrap_err();
        assert_eq!(error.what, format!("labels: rpub makes {key:?} itself"));
        assert_eq!(error.place, "rpub.toml:6", "{key}");
        assert_eq!(error.hint, hint);
    }
    let others = format!("{image}labels = {{ \"org.opencontainers.image.vendor\" = \"x\" }}\n");
    assert_eq!(parse_all_there(&others).unwrap().images[0].labels.len(), 1);
}
