//! Decides that the schema of rpub.toml and the reader of it know the same keys, defaults, bounds and forms.
//! Must never hold a list of the keys: each is compared with the other.

use rpub::config;
use serde_json::{Map, Value, json};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

const IMAGE: &str = "[[image]]\nname = \"app\"\nplatforms = [\"linux/amd64\"]\n";

pub(crate) fn schema() -> Value {
    serde_json::from_str(&config::schema()).unwrap()
}

fn env(name: &str) -> Option<String> {
    (name == "GITHUB_REPOSITORY_OWNER").then(|| "SomeOne".to_owned())
}

/// What the reader says, mistakes and remedies in one; `Ok` where it takes the text.
fn read(text: &str) -> Result<rpub::model::spec::Spec, String> {
    let spec = config::parse(text, "rpub.toml", &env, &|_, _| true);
    spec.map_err(|e| format!("{}; {}\n{}", e.what, e.hint, e.tail.join("\n")))
}

/// What the schema says against a text.
fn complaints(text: &str) -> Vec<String> {
    let document: toml::Table = text.parse().unwrap();
    let document = serde_json::to_value(document).unwrap();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    validator
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// A schema's own keys, behind its `$ref`.
pub(crate) fn resolved<'s>(whole: &'s Value, schema: &'s Value) -> &'s Value {
    match schema["$ref"].as_str() {
        Some(place) => whole.pointer(place.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// Every table that the schema describes: its path, and its keys.
pub(crate) fn tables(whole: &Value) -> Vec<(String, &Map<String, Value>)> {
    let mut found = Vec::new();
    let mut left = vec![(String::new(), whole)];
    while let Some((path, schema)) = left.pop() {
        let schema = resolved(whole, schema);
        let any = schema["anyOf"].as_array();
        left.extend(any.into_iter().flatten().map(|one| (path.clone(), one)));
        if !schema["items"].is_null() {
            left.push((path.clone(), &schema["items"]));
        }
        let Some(keys) = schema["properties"].as_object() else {
            continue;
        };
        // Not the half of one that says which keys go together.
        if schema["additionalProperties"] != json!(false) {
            continue;
        }
        let below = |key: &String| format!("{path}.{key}").trim_start_matches('.').to_owned();
        left.extend(keys.iter().map(|(key, schema)| (below(key), schema)));
        found.push((path, keys));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// The head of a table, and a text with which the whole is right.
fn head(path: &str) -> (&'static str, &'static str) {
    match path {
        "" => ("", IMAGE),
        "tags" => ("[tags]\n", IMAGE),
        "retry" => ("[retry]\n", IMAGE),
        "prune" => ("[prune]\n", IMAGE),
        "registry" => ("[[registry]]\nhost = \"ghcr.io\"\n", IMAGE),
        "image" => (IMAGE, ""),
        _ => panic!("how is [{path}] written?"),
    }
}

#[test]
fn keys_of_the_schema_are_those_of_the_reader() {
    let schema = schema();
    let tables = tables(&schema);
    let paths: Vec<&str> = tables.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["", "image", "prune", "registry", "retry", "tags"]);
    for (path, keys) in tables {
        let (head, rest) = head(&path);
        // Nothing is near to it, so that the reader lists what it knows.
        let told = read(&format!("{head}zzzzzzzzzzzzzzzz = 1\n{rest}")).unwrap_err();
        let (_, list) = told.split_once("known keys here: ").unwrap();
        let mut known: Vec<&str> = list.lines().next().unwrap().split(", ").collect();
        known.sort_unstable();
        let mut own: Vec<&str> = keys.keys().map(String::as_str).collect();
        own.sort_unstable();
        assert_eq!(own, known, "[{path}]");
        for (key, schema) in keys {
            let words = schema["description"].as_str().unwrap_or_default();
            assert!(!words.is_empty(), "[{path}] {key} has no description");
        }
    }
}

fn toml_of(value: &Value) -> String {
    toml::Value::try_from(value).unwrap().to_string()
}

#[test]
fn keys_have_the_defaults_that_the_schema_says() {
    let schema = schema();
    let mut text = String::new();
    let mut said = 0;
    for (path, keys) in tables(&schema) {
        let mut lines = String::new();
        for (key, schema) in keys {
            if let Some(default) = schema.get("default") {
                writeln!(lines, "{key} = {}", toml_of(default)).unwrap();
                said += 1;
            }
        }
        text += head(&path).0;
        text += &lines;
    }
    assert!(said > 10, "{said}");
    let plain = format!("[[registry]]\nhost = \"ghcr.io\"\n{IMAGE}");
    // Debug is how a Spec can be compared, as a whole.
    let spec = |text: &str| format!("{:?}", read(text).unwrap());
    assert_eq!(spec(&text), spec(&plain), "{text}");
}

#[test]
fn keys_have_the_bounds_that_the_schema_says() {
    let schema = schema();
    let mut seen = 0;
    for (path, keys) in tables(&schema) {
        for (key, schema) in keys.iter().filter(|(_, s)| s["type"] == "integer") {
            let (head, rest) = head(&path);
            let bound = |name: &str| schema[name].as_i64().unwrap();
            let (least, most) = (bound("minimum"), bound("maximum"));
            for (value, right) in [
                (least, true),
                (most, true),
                (least - 1, false),
                (most + 1, false),
            ] {
                let text = format!("{head}{key} = {value}\n{rest}");
                assert_eq!(read(&text).is_ok(), right, "{text}");
                assert_eq!(complaints(&text).is_empty(), right, "{text}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 6 * 4);
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What the documents show as rpub.toml, each made whole with an image where it has none.
fn shown() -> Vec<(String, String)> {
    let mut files = vec![root("README.md")];
    let docs = std::fs::read_dir(root("docs")).unwrap();
    files.extend(
        docs.map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file()),
    );
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let rest = if block.contains("[[image]]") {
                ""
            } else {
                IMAGE
            };
            found.push((file.display().to_string(), format!("{block}{rest}")));
        }
    }
    for file in ["rpub.toml", "examples/hello/rpub.toml"] {
        found.push((
            file.to_owned(),
            std::fs::read_to_string(root(file)).unwrap(),
        ));
    }
    found
}

#[test]
fn keys_of_all_that_is_shown_are_right_for_reader_and_schema() {
    let shown = shown();
    assert!(shown.len() >= 5, "they are found");
    let mut all = shown;
    for text in RIGHT {
        all.push(("here".to_owned(), format!("{text}{IMAGE}")));
    }
    for (file, text) in all {
        // An unset variable, or a certificate that is not there, is not the file's mistake.
        read(&text).unwrap_or_else(|told| panic!("{file}: {told}\n{text}"));
        assert_eq!(complaints(&text), Vec::<String>::new(), "{file}:\n{text}");
    }
}

/// Forms that are easily forgotten.
const RIGHT: &[&str] = &[
    "prune = false\n",
    "prune = true\n",
    "[prune]\ngrace = \"1d 12h\"\n",
    "[tags]\nrelease = []\nlatest = []\nmanual = []\n",
    "[tags]\nrelease = [\"v{{ version }}\", \"{{major}}\", \"{{patch}}-{{sha}}\"]\nmanual = [\"{{branch}}\"]\n",
    "[tags]\nlatest = [\"branch:feature/x\"]\n",
    "[[registry]]\nhost = \"[::1]:5000\"\ninsecure = true\n",
    "[[registry]]\nhost = \"localhost:5000\"\nnamespace = \"a/b-${GITHUB_REPOSITORY_OWNER}/c__d\"\n",
    "[[registry]]\nhost = \"reg.example.org\"\nservice = \"docker-hub\"\napi = \"https://hub.reg.example.org\"\n",
    "[[image]]\nname = \"a.b/c--d/e_f\"\nplatforms = [\"linux/arm/v7\", \"linux/arm64\"]\n",
    "[[image]]\nname = \"x\"\ncontainerfile = { \"linux/s390x\" = \"F\" }\n",
    "[[image]]\nname = \"x\"\ncontainerfile = \"F\"\nplatforms = [\"linux/386\"]\nargs = {}\n",
];

/// Texts that neither takes.
const WRONG: &[&str] = &[
    "licenses = \"\"\n",
    "licenses = 1\n",
    "license = \"MIT\"\n",
    "prune = \"no\"\n",
    "compression_level = \"6\"\n",
    "compression_level = 1.5\n",
    "[prune]\nkeep = 1.5\n",
    "[prune]\ngrace = \"soon\"\n",
    "[prune]\ngrave = \"7d\"\n",
    "[retry]\ntries = \"3\"\n",
    "[tags]\nrelease = \"{{version}}\"\n",
    "[tags]\nrelease = [\"{{majr}}\"]\n",
    "[tags]\nrelease = [\"-{{sha}}\"]\n",
    "[tags]\nlatest = [\"main\"]\n",
    "[registry]\nhost = \"ghcr.io\"\n",
    "[[registry]]\nnamespace = \"owner\"\n",
    "[[registry]]\nhost = \"https://ghcr.io\"\n",
    "[[registry]]\nhost = \"GHCR.io\"\n",
    "[[registry]]\nhost = \"ghcr.io\"\nnamespace = \"Owner\"\n",
    "[[registry]]\nhost = \"ghcr.io\"\nservice = \"hub\"\n",
    "[[registry]]\nhost = \"ghcr.io\"\ninsecure = \"no\"\n",
    "[[image]]\nplatforms = [\"linux/amd64\"]\n",
    "[[image]]\nname = \"x\"\n",
    "[[image]]\nname = \"x\"\ncontainerfile = \"F\"\n",
    "[[image]]\nname = \"X\"\nplatforms = [\"linux/amd64\"]\n",
    "[[image]]\nname = \"a..b\"\nplatforms = [\"linux/amd64\"]\n",
    "[[image]]\nname = \"x\"\nplatforms = []\n",
    "[[image]]\nname = \"x\"\nplatforms = [\"linux/x86_64\"]\n",
    "[[image]]\nname = \"x\"\nplatforms = [\"linux/amd64\", \"linux/amd64\"]\n",
    "[[image]]\nname = \"x\"\ncontainerfile = { \"amd64\" = \"F\" }\n",
    "[[image]]\nname = \"x\"\ncontainerfile = { \"linux/amd64\" = 1 }\n",
    "[[image]]\nname = \"x\"\nplatforms = [\"linux/amd64\"]\nargs = { A = 1 }\n",
    "[[image]]\nname = \"x\"\nplatforms = [\"linux/amd64\"]\nlabels = { \"rpub.run\" = \"x\" }\n",
    "[[image]]\nname = \"x\"\nplatforms = [\"linux/amd64\"]\nlabels = { \"org.opencontainers.image.created\" = \"x\" }\n",
];

#[test]
fn keys_with_a_mistake_are_refused_by_reader_and_schema() {
    for text in WRONG {
        let text = format!("{text}{IMAGE}");
        assert!(read(&text).is_err(), "{text}");
        assert_ne!(complaints(&text), Vec::<String>::new(), "{text}");
    }
    let none = "licenses = \"MIT\"\n";
    assert!(read(none).is_err() && !complaints(none).is_empty());
}
