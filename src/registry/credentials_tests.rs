//! Decides that logins are found where people keep them, in the order that is promised.
//! Must never read the real environment or home.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn host(text: &str) -> Host {
    text.parse().unwrap()
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn entry(user: &str) -> String {
    format!(
        r#"{{"auth":"{}"}}"#,
        STANDARD.encode(format!("{user}:s3cret:x"))
    )
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

async fn user(source: &CredentialSource, host_text: &str, name_text: &str) -> Option<String> {
    match source
        .find(&host(host_text), &name(name_text))
        .await
        .unwrap()?
    {
        Credential::Login { user, password } => {
            assert_eq!(password.expose_secret(), "s3cret:x");
            Some(user)
        }
        Credential::RefreshToken(_) => Some("<token>".to_owned()),
    }
}

#[tokio::test]
async fn the_places_are_asked_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    let text = |path: &str| at(path).display().to_string();
    let files = [
        "explicit.json",
        "registry.json",
        "docker/config.json",
        "run/containers/auth.json",
        "home/.config/containers/auth.json",
        "home/.docker/config.json",
    ];
    for file in files {
        let user = file.replace(['/', '.'], "-");
        write(
            &at(file),
            &format!(r#"{{"auths":{{"ghcr.io":{}}}}}"#, entry(&user)),
        );
    }
    let environment = Environment::of([
        ("REGISTRY_AUTH_FILE", text("registry.json")),
        ("DOCKER_CONFIG", text("docker")),
        ("XDG_RUNTIME_DIR", text("run")),
        ("HOME", text("home")),
        ("GITHUB_TOKEN", "s3cret:x".to_owned()),
        ("GITHUB_ACTOR", "actor".to_owned()),
    ]);
    let source = CredentialSource::new(Some(at("explicit.json")), environment).unwrap();
    for file in files {
        let expected = file.replace(['/', '.'], "-");
        assert_eq!(user(&source, "ghcr.io", "o/n").await, Some(expected));
        fs::remove_file(at(file)).unwrap();
    }
    assert_eq!(
        user(&source, "ghcr.io", "o/n").await.as_deref(),
        Some("actor")
    );
    assert_eq!(user(&source, "docker.io", "o/n").await, None);
}

#[tokio::test]
async fn the_longest_key_wins_and_docker_hub_has_many_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("auth.json");
    let text = format!(
        r#"{{"auths":{{"ghcr.io":{},"ghcr.io/o":{},"ghcr.io/o/n":{},"https://index.docker.io/v1/":{},"quay.io":{{}},
            "id.io":{{"identitytoken":"t","auth":"eDp5"}},"plain.io":{{"username":"plain","password":"s3cret:x"}}}}}}"#,
        entry("host"),
        entry("owner"),
        entry("repo"),
        entry("hub")
    );
    write(&path, &text);
    let source = CredentialSource::new(Some(path), Environment::of::<&str, &str>([])).unwrap();
    for (host, name, expected) in [
        ("ghcr.io", "o/n", Some("repo")),
        ("ghcr.io", "o/other", Some("owner")),
        ("ghcr.io", "on/n", Some("host")),
        ("docker.io", "o/n", Some("hub")),
        ("registry-1.docker.io", "library/n", Some("hub")),
        ("quay.io", "o/n", None),
        ("id.io", "o/n", Some("<token>")),
        ("plain.io", "o/n", Some("plain")),
        ("example.com", "o/n", None),
    ] {
        assert_eq!(
            user(&source, host, name).await.as_deref(),
            expected,
            "{host}/{name}"
        );
    }
}

#[tokio::test]
async fn helpers_are_asked_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let helper = dir.path().join("docker-credential-mine");
    write(
        &helper,
        r#"#!/bin/sh
read -r server
case "$server" in
  ghcr.io) echo '{"ServerURL":"ghcr.io","Username":"helped","Secret":"s3cret:x"}' ;;
  https://index.docker.io/v1/) echo '{"Username":"<token>","Secret":"t"}' ;;
  bad.io) echo 'topsecret' ;;
  *) echo "credentials not found in native keychain"; exit 1 ;;
esac
"#,
    );
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("auth.json");
    write(
        &path,
        r#"{"auths":{"ghcr.io":{}},"credHelpers":{"ghcr.io":"mine","gone.io":"gone","evil.io":"../mine"},"credsStore":"mine"}"#,
    );
    let environment = Environment::of([("PATH", dir.path().display().to_string())]);
    let source = CredentialSource::new(Some(path), environment).unwrap();
    assert_eq!(
        user(&source, "ghcr.io", "o/n").await.as_deref(),
        Some("helped")
    );
    assert_eq!(
        user(&source, "docker.io", "o/n").await.as_deref(),
        Some("<token>")
    );
    assert_eq!(user(&source, "other.io", "o/n").await, None);
    for broken in ["gone.io", "evil.io", "bad.io"] {
        let fault = source.find(&host(broken), &name("o/n")).await.unwrap_err();
        assert_eq!(fault.class, Class::Auth, "{broken}");
        assert!(
            !format!("{fault} {fault:?}").contains("topsecret"),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn ci_variables_serve_where_no_file_does() {
    let environment = Environment::of([
        ("GITHUB_TOKEN", "s3cret:x"),
        ("DOCKERHUB_USERNAME", "hub"),
        ("DOCKERHUB_TOKEN", "s3cret:x"),
    ]);
    let source = CredentialSource::new(None, environment).unwrap();
    assert_eq!(
        user(&source, "ghcr.io", "o/n").await.as_deref(),
        Some("github-actions")
    );
    assert_eq!(
        user(&source, "docker.io", "o/n").await.as_deref(),
        Some("hub")
    );
    assert_eq!(user(&source, "quay.io", "o/n").await, None);
}

#[tokio::test]
async fn a_broken_file_is_named_and_not_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("auth.json");
    let missing = CredentialSource::new(Some(path.clone()), Environment::of_process()).unwrap_err();
    assert!(missing.place.contains("auth.json"));
    assert_eq!(missing.kind.exit_code(), 2);
    for text in [
        "topsecret",
        r#"{"auths":{"ghcr.io":"topsecret"}}"#,
        r#"{"auths":["topsecret"]}"#,
    ] {
        write(&path, text);
        let error =
            CredentialSource::new(Some(path.clone()), Environment::of_process()).unwrap_err();
        assert_eq!(error.kind.exit_code(), 2);
        let environment = Environment::of([("REGISTRY_AUTH_FILE", path.display().to_string())]);
        let source = CredentialSource::new(None, environment).unwrap();
        let fault = source
            .find(&host("ghcr.io"), &name("o/n"))
            .await
            .unwrap_err();
        assert!(fault.detail.contains("auth.json"), "{fault}");
        assert!(!format!("{error} {error:?} {fault} {fault:?}").contains("topsecret"));
    }
}

#[test]
fn secrets_do_not_print() {
    let source = CredentialSource::login("u", "topsecret".to_owned().into());
    let token = Credential::RefreshToken("topsecret".to_owned().into());
    assert!(!format!("{source:?} {token:?}").contains("topsecret"));
}
