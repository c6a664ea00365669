//! Decides how a registry is asked whether a release could publish there: name, connection, login, rights.
//! Must never push, and delete nothing that could be there.

use super::super::{context::Context, targets};
use crate::{
    error::Error,
    model::{
        doctor::{
            Finding,
            registry::{self as judge, Delete, Seen},
        },
        fault::{Class, Fault, Policy, one_line},
        reference::RepositoryName,
        spec::{Destination, RegistrySpec},
    },
    registry::Remote,
    retry::Patience,
    target::Target as _,
};
use futures::future::join_all;
use std::{path::Path, time::Duration};

/// To a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// For all that a registry is asked.
const ALL: Duration = Duration::from_mins(1);
/// Once: a doctor tells what is, not what will be after the third try.
const ONCE: Policy = Policy {
    tries: 1,
    first_delay: Duration::ZERO,
    cap: Duration::ZERO,
    budget: Duration::ZERO,
};

pub(super) async fn look(context: &Context, config: &Path, found: &mut Vec<Finding>) {
    let mut specs: Vec<&RegistrySpec> = Vec::new();
    for destination in &context.spec.destinations {
        if let Destination::Registry(spec) = destination {
            specs.push(spec);
        }
    }
    let asks = specs.into_iter().map(|spec| one(context, config, spec));
    for findings in join_all(asks).await {
        found.extend(findings);
    }
}

async fn one(context: &Context, config: &Path, spec: &RegistrySpec) -> Vec<Finding> {
    let mut registry = judge::Registry {
        host: spec.host.to_string(),
        insecure: spec.insecure,
        config: line_of(config, spec.host.as_str()),
        login: None,
        seen: Seen::NoConnection(format!("no answer in {} s", ALL.as_secs())),
    };
    let asking = async {
        registry.seen = match unreachable(context, spec).await {
            Some(seen) => seen,
            None => ask(context, spec, &mut registry.login).await,
        };
    };
    // Out of time: what it was set to says so.
    let _ = tokio::time::timeout(ALL, asking).await;
    judge::findings(&registry)
}

/// `rpub.toml:7`, where a text stands in it.
fn line_of(config: &Path, text: &str) -> String {
    let path = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let shown = path.display().to_string();
    let all = crate::files::text(&path).unwrap_or_default();
    match all.lines().position(|line| line.contains(text)) {
        Some(line) => format!("{shown}:{}", line + 1),
        None => shown,
    }
}

/// Why no connection can be made; not asked where a proxy stands between.
async fn unreachable(context: &Context, spec: &RegistrySpec) -> Option<Seen> {
    let proxies = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    if !spec.host.is_loopback() && proxies.iter().any(|name| (context.env)(name).is_some()) {
        return None;
    }
    let endpoint = spec.host.endpoint();
    let has_port = endpoint
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let usual = if spec.insecure { 80 } else { 443 };
    let address = if has_port {
        endpoint.to_owned()
    } else {
        format!("{endpoint}:{usual}")
    };
    let found = tokio::time::timeout(CONNECT, tokio::net::lookup_host(&address)).await;
    let addresses: Vec<_> = match found {
        Err(_) => return Some(Seen::NoName("the resolver does not answer".to_owned())),
        Ok(Err(error)) => return Some(Seen::NoName(one_line(&error.to_string()))),
        Ok(Ok(addresses)) => addresses.collect(),
    };
    let connecting = tokio::net::TcpStream::connect(&addresses[..]);
    match tokio::time::timeout(CONNECT, connecting).await {
        Err(_) => Some(Seen::NoConnection(format!(
            "no answer in {} s",
            CONNECT.as_secs()
        ))),
        Ok(Err(error)) => Some(Seen::NoConnection(one_line(&error.to_string()))),
        Ok(Ok(_)) => None,
    }
}

async fn ask(context: &Context, spec: &RegistrySpec, login: &mut Option<judge::Login>) -> Seen {
    let refused = |fault: Fault| Seen::Answers {
        read: Err(fault),
        push: Ok(()),
        delete: Delete::Unknown,
    };
    let names = context
        .spec
        .images
        .iter()
        .map(|image| image.name.within(spec.namespace.as_ref()));
    let names: Vec<RepositoryName> = names.flatten().collect();
    let Some(first) = names.first() else {
        return refused(Fault::new(
            Class::Refused,
            spec.host.as_str(),
            "",
            "the namespace and the image's name are too long",
        ));
    };
    let opened = targets::registry(context, spec, ONCE, &Patience::new(Duration::ZERO));
    let registry = match opened {
        Ok(registry) => registry,
        Err(Error { what, place, .. }) => {
            let detail = format!("{place}: {what}");
            return refused(Fault::new(Class::Auth, spec.host.as_str(), "", detail));
        }
    };
    match registry.login(first).await {
        Ok(found) => *login = found,
        Err(fault) => return refused(fault),
    }
    let remotes: Vec<Remote> = names
        .into_iter()
        .map(|name| registry.repository(name))
        .collect();
    let mut delete = Delete::Unknown;
    let mut read = Ok(());
    let mut push = Ok(());
    if let Some(remote) = remotes.first() {
        read = remote.tags().await.map(drop);
    }
    for remote in &remotes {
        if let Err(fault) = remote.may_push().await {
            push = Err((remote.repository().to_string(), fault));
            break;
        }
    }
    if let Some(remote) = remotes.first().filter(|_| push.is_ok()) {
        delete = remote.may_delete().await;
    }
    Seen::Answers { read, push, delete }
}
