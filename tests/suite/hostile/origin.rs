//! Decides that nothing in a repository says to which origin a credential goes, or which secret stands in a URL.
//! Must never send anything off this machine: hosts that are not of it are named only where rpub must stop before it asks.

use super::listener::Listener;
use crate::support::{
    engine::native,
    project::{BASIC, PASSWORD, Project, USER},
    registries::{Auth, RegistryProcess},
};
use rpub::config;

const TOKEN: &str = "ghs_topsecret0123456789";

/// An rpub.toml with this registry.
fn toml(project: &Project, registry: &str) -> String {
    let (image, platform) = (project.image(), native());
    format!(
        "[[registry]]\n{registry}\n[[image]]\nname = \"{image}\"\nplatforms = [\"{platform}\"]\n"
    )
}

/// Every kind of command that asks registries.
const COMMANDS: [&[&str]; 4] = [
    &["doctor"],
    &["prune", "--sweep", "--yes"],
    &["release", "v1.2.3"],
    &["verify", "v1.2.3"],
];

/// Runs all of them; each must end with a mistake in rpub.toml that names this.
async fn refused(project: &Project, registry: &str, words: &str) {
    project.write("rpub.toml", &toml(project, registry));
    let authfile = project.path("auth.json").display().to_string();
    for args in COMMANDS {
        let all = [args, &["--authfile", &authfile]].concat();
        let mut command = project.command(&all);
        for name in ["GITHUB_TOKEN", "DOCKERHUB_TOKEN", "RPUB_VAR"] {
            command.env(name, TOKEN);
        }
        command.env("DOCKERHUB_USERNAME", USER);
        let run = crate::support::project::Running::start(command)
            .finish()
            .await;
        assert_eq!(run.code, Some(2), "{args:?} {registry}: {}", run.err);
        let told = format!("{}{}", run.out, run.err);
        assert!(told.contains(words), "{words:?} for {registry}: {told}");
        for secret in [TOKEN, PASSWORD, BASIC] {
            assert!(
                !told.to_lowercase().contains(&secret.to_lowercase()),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn no_file_decides_where_a_login_goes() {
    let registry = RegistryProcess::start(&Auth::None);
    let evil = Listener::start().await;
    let (host, api) = (registry.host(), &evil.host);
    let project = Project::plain("origin");
    project.login(&[
        host.as_str(),
        "ghcr.io",
        "docker.io",
        "registry.example.com",
    ]);
    let here = format!("host = \"{host}\"\ninsecure = true\nnamespace = \"acme\"\n");
    for service in ["ghcr", "docker-hub"] {
        for address in [format!("http://{api}"), format!("http://{api}/api/v3")] {
            let named = format!("{here}service = \"{service}\"\napi = \"{address}\"");
            refused(
                &project,
                &named,
                &format!("--registry-api {host}={address}"),
            )
            .await;
        }
        let usual = format!("{here}service = \"{service}\"");
        refused(&project, &usual, "--registry-api").await;
        for known in ["ghcr.io", "ghcr.io:443", "docker.io", "index.docker.io"] {
            let named = format!(
                "host = \"{known}\"\nnamespace = \"acme\"\nservice = \"{service}\"\napi = \"http://{api}\""
            );
            refused(&project, &named, "remove api").await;
        }
    }
    let named = "host = \"ghcr.io\"\nnamespace = \"acme\"\nservice = \"docker-hub\"";
    refused(&project, named, "remove service").await;
    // A file's authorities are not for those whom everybody's certify.
    std::fs::write(project.path("ca.pem"), "").unwrap();
    for known in ["ghcr.io", "docker.io", "registry-1.docker.io"] {
        let named = format!("host = \"{known}\"\nnamespace = \"acme\"\nca_file = \"ca.pem\"");
        refused(&project, &named, "remove ca_file").await;
    }
    // Nor is a variable's value for a URL.
    for name in ["GITHUB_TOKEN", "DOCKERHUB_TOKEN", "RPUB_VAR", "HOME"] {
        let named = format!("host = \"{api}\"\ninsecure = true\nnamespace = \"a/${{{name}}}\"");
        refused(&project, &named, name).await;
    }
    assert_eq!(evil.heard(), "");
}

#[tokio::test]
async fn who_types_where_an_api_is_sends_the_login_there() {
    let registry = RegistryProcess::start(&Auth::None);
    let api = Listener::start().await;
    let host = registry.host();
    let project = Project::plain("typed");
    let authfile = project.login(&[host.as_str()]);
    for service in ["ghcr", "docker-hub"] {
        let table = format!(
            "host = \"{host}\"\ninsecure = true\nnamespace = \"acme\"\nservice = \"{service}\""
        );
        project.write("rpub.toml", &toml(&project, &table));
        let named = format!("{host}=http://{}", api.host);
        let args = ["doctor", "--authfile", &authfile, "--registry-api", &named];
        project.run(&args).await;
        let mut command = project.command(&["prune", "--sweep", "--yes", "--authfile", &authfile]);
        command.env("RPUB_REGISTRY_API", &named);
        crate::support::project::Running::start(command)
            .finish()
            .await;
    }
    // The listener hears logins where it should: what it did not hear above was not sent.
    let heard = api.heard();
    assert!(
        heard.contains(&format!("authorization: Bearer {PASSWORD}")),
        "{heard}"
    );
    assert!(heard.contains("POST /v2/auth/token"), "{heard}");
}

/// The same rule, over every pair: what the reader takes leads nowhere but to the registry's own host, as URLs are read.
#[test]
fn what_is_taken_of_an_api_is_of_the_registrys_host() {
    let names = [
        "ghcr.io",
        "docker.io",
        "evil.test",
        "a.evil.test",
        "registry.example.com",
        "example.com",
        "registry.example.com.evil.test",
        "evilexample.com",
        "127.0.0.1",
        "10.0.0.1",
        "0.0.1",
        "0x7f.1",
        "localhost",
        "a.localhost",
        "[::1]",
        "com",
        "example.com.",
    ];
    let before = [
        "https://",
        "http://",
        "https://ghcr.io@",
        "https://example.com\\\\@",
        "//",
        "",
    ];
    let after = [
        "",
        ":443",
        ":5000",
        ":80",
        "/api/v3",
        "/@evil.test",
        "?@evil.test",
        "#@evil.test",
    ];
    let mut taken = 0;
    for (host, port) in names
        .iter()
        .flat_map(|host| ["", ":5000"].map(|port| (host, port)))
    {
        for name in names {
            for (before, after) in before.iter().flat_map(|b| after.map(|a| (b, a))) {
                let api = format!("{before}{name}{after}");
                let text = format!(
                    "[[registry]]\nhost = \"{host}{port}\"\nservice = \"ghcr\"\nnamespace = \"n\"\napi = \"{api}\"\n\
                     [[image]]\nname = \"app\"\nplatforms = [\"linux/amd64\"]\n"
                );
                let Ok(mut spec) = config::parse(&text, "rpub.toml", &|_| None, &|_, _| true)
                else {
                    continue;
                };
                let spec = spec.registries_mut().next().unwrap();
                let url = spec.api.as_ref().unwrap().as_str();
                let registry = reqwest::Url::parse(&format!("https://{host}{port}"));
                let (Ok(url), Ok(registry)) = (reqwest::Url::parse(url), registry) else {
                    continue;
                };
                let (real, own) = (url.host_str().unwrap(), registry.host_str().unwrap());
                let of = |inner: &str, outer: &str| {
                    inner == outer || inner.ends_with(&format!(".{outer}")) && outer.contains('.')
                };
                assert!(
                    of(real, own) || of(own, real),
                    "{host}{port}: {api} is {url}"
                );
                assert!(
                    !host.ends_with("ghcr.io") && !host.ends_with("docker.io"),
                    "{host}: {api}"
                );
                let ports = [port.trim_start_matches(':').parse().ok(), Some(443)];
                assert!(
                    ports.contains(&url.port_or_known_default()),
                    "{host}{port}: {api}"
                );
                taken += 1;
            }
        }
    }
    assert!(taken > 50, "{taken}");
}
