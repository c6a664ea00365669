//! Decides that doctor finds what keeps rpub from a registry: name, connection, certificate, login, rights; and mends it.
//! Must never let a password be seen.

use crate::gate;
use crate::machine::Machine;
use crate::support::proxy::Proxy;
use crate::support::registries::{Auth, RegistryProcess};

const PASSWORD: &str = "t0p-secret-word";

/// A machine with a project that goes to a registry.
fn machine(registry: &str) -> Machine {
    let machine = Machine::start();
    let image = "[[image]]\nname = \"app\"\nplatforms = [\"linux/amd64\"]\n";
    machine.write(
        "rpub.toml",
        &format!("[[registry]]\n{registry}\nnamespace = \"ns\"\n{image}"),
    );
    machine.write("Containerfile", "FROM scratch\n");
    machine
}

fn plain(host: &impl std::fmt::Display) -> String {
    format!("host = \"{host}\"\ninsecure = true")
}

fn registry_with_login() -> RegistryProcess {
    RegistryProcess::start(&Auth::Basic {
        user: "me",
        password: PASSWORD,
    })
}

/// podman asks on a terminal: a person types there.
fn typing(user: &str, password: &str) -> String {
    format!(
        "podman() {{ if [ \"$1\" = login ]; then {{ sleep 1; echo {user}; sleep 1; echo {password}; sleep 1; }} | \
         script -qec \"/usr/bin/podman $*\" /dev/null; else /usr/bin/podman \"$@\"; fi; }}"
    )
}

fn log_in(machine: &Machine, host: &impl std::fmt::Display, user: &str, password: &str) {
    let auth = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("{user}:{password}"),
    );
    machine.root("install -d -o patient -g patient /run/user/4242/containers");
    let text = format!(r#"{{"auths": {{"{host}": {{"auth": "{auth}"}}}}}}"#);
    machine.root(&format!(
        "echo '{text}' >/run/user/4242/containers/auth.json && chown patient: /run/user/4242/containers/auth.json"
    ));
}

#[test]
fn a_registry_as_it_should_be() {
    let registry = registry_with_login();
    let machine = machine(&plain(&registry.host()));
    log_in(&machine, &registry.host(), "me", PASSWORD);
    let said = machine.doctor("", "");
    assert_eq!(said.code, 0, "{:#}", said.document);
    for check in ["registry-login", "registry-push", "registry-delete"] {
        assert_eq!(said.severity(check), "ok", "{:#}", said.document);
    }
    let log = registry.access_log();
    assert!(!log.contains("http.request.method=PUT"), "{log}");
}

#[test]
fn a_registry_that_deletes_nothing() {
    let registry = RegistryProcess::without_deletion(&Auth::None);
    let machine = machine(&plain(&registry.host()));
    let said = machine.doctor("", "");
    assert_eq!(
        (said.severity("registry-delete"), said.code),
        ("note", 0),
        "{:#}",
        said.document
    );
    let found = said.of("registry-delete").unwrap()["found"]
        .as_str()
        .unwrap();
    assert!(found.contains("deletes nothing"), "{found}");
}

#[test]
fn a_registry_that_is_down() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let machine = machine(&plain(&format!("127.0.0.1:{port}")));
    let said = machine.doctor("", "");
    assert_eq!(
        (said.severity("registry-connection"), said.code),
        ("broken", 4),
        "{:#}",
        said.document
    );
    // No command of ours starts a registry of theirs.
    assert!(said.of("registry-connection").unwrap()["remedy"].is_null());
}

#[test]
fn a_registry_whose_name_is_nobodys() {
    let registry = RegistryProcess::start(&Auth::None);
    let machine = machine("host = \"registry.invalid\"");
    let lines = "chmod +x editor; export EDITOR=./editor";
    let right = plain(&registry.host()).replace('\n', "\\n");
    machine.write(
        "editor",
        &format!(
            "#!/bin/sh\nexec sed -i \"${{1#+}}c {}\" \"$2\"\n",
            right.replace('"', "\\\"")
        ),
    );
    machine.heals("registry-name", 4, lines);
}

#[test]
fn no_login_where_one_is_needed() {
    let registry = registry_with_login();
    let machine = machine(&plain(&registry.host()));
    machine.heals("registry-login", 7, &typing("me", PASSWORD));
}

#[test]
fn a_wrong_password() {
    let registry = registry_with_login();
    let machine = machine(&plain(&registry.host()));
    let wrong = "wr0ng-secret-word";
    log_in(&machine, &registry.host(), "me", wrong);
    let said = machine.doctor("", "");
    let found = said.of("registry-login").unwrap()["found"]
        .as_str()
        .unwrap();
    assert!(
        found.contains("/run/user/4242/containers/auth.json"),
        "{found}"
    );
    let all = format!("{}{}", said.document, said.stderr);
    let encoded = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("me:{wrong}"),
    );
    assert!(!all.contains(wrong) && !all.contains(&encoded), "{all}");
    machine.heals("registry-login", 7, &typing("me", PASSWORD));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_may_only_read() {
    let registry = RegistryProcess::start(&Auth::None);
    let host = gate::start(registry.host()).await;
    tokio::task::spawn_blocking(move || {
        let machine = machine(&plain(&host));
        log_in(&machine, &host, "reader", gate::PASSWORD);
        machine.heals("registry-push", 7, &typing("writer", gate::PASSWORD));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_nobody_trusts() {
    let registry = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(registry.host()).tls().start().await;
    let certificate = proxy.ca_file().unwrap();
    let host = proxy.host();
    tokio::task::spawn_blocking(move || {
        let machine = machine(&format!("host = \"{host}\""));
        machine.write("ca.pem", &std::fs::read_to_string(certificate).unwrap());
        machine.write(
            "editor",
            "#!/bin/sh\nexec sed -i \"${1#+}a ca_file = \\\"ca.pem\\\"\" \"$2\"\n",
        );
        machine.heals("registry-tls", 4, "chmod +x editor; export EDITOR=./editor");
    })
    .await
    .unwrap();
}
