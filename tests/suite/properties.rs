//! Decides that no text, however odd, makes a parser panic: configuration, manifests, auth files, words of the user.
//! Must never need more than memory and a folder of its own.

use proptest::prelude::*;
use rpub::{
    config,
    error::Error,
    model::{
        manifest::{ImageConfig, RawManifest},
        platform::Platform,
        record::Record,
        reference::{Host, RepositoryName, Tag},
        spec::{Destination, Spec},
        version::{GitRef, Version},
    },
    registry::{CredentialSource, Environment},
};

fn parse(text: &str) -> Result<Spec, Error> {
    let env = |name: &str| (name != "NOTHING").then(|| format!("A{name}"));
    config::parse(text, "rpub.toml", &env, &|path, _| path != "missing")
}

/// A mistake is told on one line each, with its place and what to do.
fn told(error: &Error) {
    assert_eq!(error.kind.exit_code(), 2);
    assert!(error.place.starts_with("rpub.toml"), "{error}");
    assert!(!error.what.is_empty() && !error.hint.is_empty(), "{error}");
}

/// Keys that rpub.toml knows, and some that it does not.
fn key() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "source",
        "licenses",
        "tags",
        "retry",
        "registry",
        "image",
        "name",
        "namespace",
        "host",
        "insecure",
        "ca_file",
        "containerfile",
        "context",
        "platforms",
        "target",
        "args",
        "labels",
        "description",
        "release",
        "latest",
        "manual",
        "tries",
        "first_delay",
        "cap",
        "nam",
        "\"linux/amd64\"",
        "\"\"",
        "'a b'",
    ];
    prop::sample::select(KNOWN).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        Just("0xffffffffffff".to_owned()),
        prop::sample::select(
            &[
                "\"\"",
                "\"{{version}}\"",
                "\"{{\"",
                "\"}}{{x}}\"",
                "\"${GITHUB}\"",
                "\"${\"",
                "\"${NOTHING}\"",
                "\"linux/amd64\"",
                "\"ghcr.io\"",
                "\"branch:\"",
                "\"missing\"",
                "\"ä/\\u0000\\n\"",
            ][..]
        )
        .prop_map(str::to_owned),
        "[^\"\\\\\\p{C}]{0,12}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key(), inner), 0..4).prop_map(|rows| {
                let rows: Vec<String> = rows.iter().map(|(k, v)| format!("{k} = {v}")).collect();
                format!("{{ {} }}", rows.join(", "))
            }),
        ]
    })
}

/// Text that nearly is an rpub.toml.
fn document() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => key().prop_map(|key| format!("[{key}]")),
        2 => key().prop_map(|key| format!("[[{key}]]")),
        1 => Just("[[image]]".to_owned()),
        1 => Just("[[registry]]\nhost = \"ghcr.io\"\nnamespace = \"o\"".to_owned()),
    ];
    prop::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"))
}

/// JSON with the keys of manifests, configs and auth files.
fn json() -> impl Strategy<Value = String> {
    const KEYS: &[&str] = &[
        "schemaVersion",
        "mediaType",
        "config",
        "layers",
        "manifests",
        "digest",
        "size",
        "platform",
        "os",
        "architecture",
        "Labels",
        "Healthcheck",
        "Test",
        "auths",
        "auth",
        "credHelpers",
        "credsStore",
        "ghcr.io",
        "identitytoken",
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("1e999".to_owned()),
        Just("\"application/vnd.oci.image.index.v1+json\"".to_owned()),
        Just(
            "\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""
                .to_owned()
        ),
        Just("\"dXNlcjpwYXNz\"".to_owned()),
        "[a-z:@/=]{0,9}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let row = (prop::sample::select(KEYS), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(row, 0..5).prop_map(|rows| {
                let rows: Vec<String> = rows.iter().map(|(k, v)| format!("{k:?}:{v}")).collect();
                format!("{{{}}}", rows.join(","))
            }),
        ]
    })
}

fn read_manifest(bytes: &[u8], content_type: &str) {
    if let Ok(manifest) = RawManifest::parse(bytes.to_vec(), content_type) {
        // What is kept is what came, byte for byte.
        assert_eq!(manifest.bytes(), bytes);
        let _ = (manifest.blobs(), manifest.children(), manifest.digest());
    }
    if let Ok(config) = ImageConfig::parse(bytes) {
        let _ = (config.labels(), config.has_healthcheck());
    }
    let _ = serde_json::from_slice::<Record>(bytes);
}

fn read_auth_file(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    std::fs::write(&path, text).unwrap();
    let environment = Environment::of::<String, String>([]);
    match CredentialSource::new(Some(path), environment) {
        Ok(source) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let host: Host = "ghcr.io".parse().unwrap();
            let found = runtime.block_on(source.find(&host, &"o/app".parse().unwrap()));
            if let Err(fault) = found {
                assert!(!fault.to_string().contains("cGFzc3dvcmQ="), "{fault}");
            }
        }
        Err(error) => assert_eq!(error.kind.exit_code(), 2),
    }
}

/// More than proptest's 256: once in 1,500 documents names a list of images without an image.
fn many() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(4096),
        failure_persistence: None,
        ..default
    }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn properties_any_text_is_a_configuration_or_a_mistake(text in any::<String>()) {
        if let Err(error) = parse(&text) {
            told(&error);
        }
    }

    #[test]
    fn properties_nearly_a_configuration_is_one_or_a_mistake(text in document()) {
        match parse(&text) {
            Ok(spec) => prop_assert!(!spec.images.is_empty() && !spec.destinations.is_empty()),
            Err(error) => told(&error),
        }
    }

    #[test]
    fn properties_any_bytes_are_a_manifest_or_none(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        content_type in any::<String>(),
    ) {
        read_manifest(&bytes, &content_type);
    }

    #[test]
    fn properties_nearly_a_manifest_is_one_or_none(text in json(), content_type in "[a-z/+.]{0,20}") {
        read_manifest(text.as_bytes(), &content_type);
    }

    #[test]
    fn properties_any_auth_file_is_read_or_refused(text in prop_oneof![any::<String>(), json()]) {
        read_auth_file(&text);
    }

    #[test]
    fn properties_any_word_is_a_name_or_none(text in prop_oneof![any::<String>(), "[a-zA-Z0-9./:@_+v-]{0,40}"]) {
        let _ = text.parse::<RepositoryName>();
        let _ = text.parse::<Host>();
        let _ = text.parse::<Platform>();
        let _ = text.parse::<Destination>();
        let _ = Version::of_git_tag(&text);
        let _ = GitRef::parse(&text);
        if let Ok(tag) = text.parse::<Tag>() {
            prop_assert_eq!(tag.to_string(), text);
        }
    }
}
