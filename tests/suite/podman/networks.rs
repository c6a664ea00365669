//! Decides that a build step reaches nothing of this machine's loopback, and all of it where rpub.toml says so.
//! Must never ask more of a server than whether it answers.

use super::ways::{both, end, request};
use crate::support::engine::{Names, PlainRegistry, folder_with_shell, podman};
use crate::support::loopback::Loopback;
use rpub::error::Kind;
use rpub::model::spec::Network;
use rpub::podman::{BuildRequest, Engine, Isolation};
use std::collections::BTreeMap;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Tells what answers at these ports, by any name that this machine has in a network, and whether the socket is to be seen.
const TRY: &str = "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\nARG HOSTS\nARG PORTS\nARG SOCKET\n\
    RUN gateway=$(busybox ip route | busybox awk '/^default/ { print $3 }'); \
    for host in $(echo $HOSTS | busybox sed s/gateway/$gateway/); do for port in $PORTS; do \
    (echo 'GET /v2/ HTTP/1.0'; echo 'Host: localhost'; echo) | busybox nc -w 1 $host $port 2>/dev/null | busybox grep -q HTTP && echo reached $port; done; done; \
    busybox grep -q @$SOCKET /proc/net/unix && echo reached @$SOCKET; echo tried\n";

#[tokio::test]
async fn podman_keeps_steps_from_the_relay_registries_and_sockets_of_this_machine() {
    let names = Names::new("networks");
    let (relay, registry) = (Loopback::alone().await, PlainRegistry::start());
    let socket = format!("rpub-test-{}", std::process::id());
    let _listens =
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&socket).unwrap()).unwrap();
    let ports = [
        relay.relay.address().port().to_string(),
        registry.address().rsplit_once(':').unwrap().1.to_owned(),
    ];
    let folder = folder_with_shell(TRY);
    let engines = both().await;
    for network in [Network::Private, Network::Host] {
        for engine in &engines {
            let request = BuildRequest {
                network,
                args: BTreeMap::from([
                    ("HOSTS".to_owned(), hosts(engine).to_owned()),
                    ("PORTS".to_owned(), ports.join(" ")),
                    ("SOCKET".to_owned(), socket.clone()),
                ]),
                ..request(folder.path(), &names)
            };
            let mut lines = Vec::new();
            let mut hear = |line: &str| lines.push(line.to_owned());
            engine.build(&request, &mut hear).await.unwrap();
            assert!(lines.iter().any(|line| line == "tried"), "{lines:?}");
            for what in [&ports[0], &ports[1], &format!("@{socket}")] {
                let reached = lines.contains(&format!("reached {what}"));
                let expected = network == Network::Host;
                assert_eq!(reached, expected, "{network} {what}, {engine:?}: {lines:?}");
            }
        }
    }
    end(engines).await;
}

/// Addresses that may lead to this machine's loopback.
fn hosts(engine: &Engine) -> &'static str {
    match engine.isolation() {
        Isolation::Whole => {
            "127.0.0.1 127.0.0.2 ::1 169.254.1.1 169.254.1.2 host.containers.internal 10.0.2.2 gateway"
        }
        // rpub warns of 10.0.2.2, which is the gateway there.
        Isolation::Leaky => "127.0.0.1 127.0.0.2 ::1 host.containers.internal",
        Isolation::None(why) => panic!("{why}"),
    }
}

#[tokio::test]
async fn podman_that_rpub_starts_isolates_and_another_says_whether_it_does() {
    let engines = both().await;
    let [own, other] = &engines;
    assert_eq!(own.isolation(), &Isolation::Whole);
    let old = ["4.3.", "4.4.", "4.5."];
    let leaky = old.iter().any(|start| other.version().starts_with(start));
    let expected = if leaky {
        Isolation::Leaky
    } else {
        Isolation::Whole
    };
    assert_eq!(other.isolation(), &expected);
    end(engines).await;
}

#[tokio::test]
async fn podman_builds_no_step_that_asks_for_this_machines_network() {
    let names = Names::new("breakout");
    let folder = folder_with_shell(
        "FROM scratch\nCOPY busybox /bin/sh\nARG N=host\nRUN --network=$N echo out\n",
    );
    let hidden = folder_with_shell(
        "# syntax=x\n# escape=`\nFROM scratch\nCOPY busybox /bin/sh\nRUN true `\nRUN --network=host echo out\n",
    );
    // What a base brings along: podman knows it from its own config.
    let base = folder_with_shell(
        "FROM scratch\nCOPY busybox /bin/sh\nONBUILD RUN --network=host echo out\n",
    );
    let path = base.path().display().to_string();
    let tag = names.tag("base");
    let label = names.label();
    podman(&[
        "build",
        "-q",
        "--format=docker",
        "-t",
        &tag,
        "--label",
        &label,
        &path,
    ]);
    let onbuild = folder_with_shell(&format!("FROM {tag}\nRUN echo out\n"));
    let engines = both().await;
    // Older ones do not know the option, and refuse it themselves.
    let knows = !["4.3.", "4.4."]
        .iter()
        .any(|start| engines[0].version().starts_with(start));
    for engine in &engines {
        let mut lines = Vec::new();
        let mut hear = |line: &str| lines.push(line.to_owned());
        let error = engine
            .build(&request(folder.path(), &names), &mut hear)
            .await;
        let error = error.unwrap_err();
        assert_eq!(
            (error.kind, &*error.place),
            (Kind::Build, "Containerfile:4")
        );
        assert!(lines.is_empty(), "podman was asked: {lines:?}");
        // podman takes no escape behind another directive, so that the second RUN is a step of its own.
        let hidden = request(hidden.path(), &names);
        let error = engine.build(&hidden, &mut |_| {}).await.unwrap_err();
        assert_eq!(error.place, "Containerfile:6");
        let request_of_it = request(onbuild.path(), &names);
        let mut remember = |line: &str| names.remember(line);
        let built = engine.build(&request_of_it, &mut remember).await;
        let error = built.unwrap_err();
        if knows {
            let says = "asks for this machine's network";
            assert!(error.what.contains(says), "{error}");
            let request = BuildRequest {
                network: Network::Host,
                ..request_of_it
            };
            engine.build(&request, &mut |_| {}).await.unwrap();
        }
    }
    end(engines).await;
}
