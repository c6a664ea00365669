//! Decides what a `[[registry]]` may say: its host, namespace, authorities, and whose API stands beside it.
//! Must never let the file decide to which origin a credential goes, or which variable's value leaves this machine.

use super::mistakes::Mistakes;
use super::reader::{Table, Value};
use super::{Found, Kind, Outside};
use crate::model::{
    api::{self, ApiAddress, Refused},
    reference::{Host, RepositoryName},
    spec::{BadDestination, RegistrySpec, Service},
};

/// Variables whose values are names of accounts and projects, and no secrets.
const HARMLESS: &[&str] = &[
    "GITHUB_REPOSITORY_OWNER",
    "GITHUB_REPOSITORY",
    "GITHUB_ACTOR",
    "CI_PROJECT_NAMESPACE",
    "CI_PROJECT_ROOT_NAMESPACE",
    "CI_PROJECT_PATH",
    "CI_PROJECT_NAME",
];
/// Who sets a variable of such a name means it for rpub.toml.
const MEANT: &str = "RPUB_VAR_";

/// One `[[registry]]`.
pub(super) fn destination(
    mut table: Table<'_, '_>,
    mistakes: &Mistakes<'_>,
    outside: &Outside<'_>,
) -> Option<RegistrySpec> {
    let at = table.span();
    let host = table.required_parsed::<Host>("host");
    let namespace = table.string("namespace");
    let insecure = table.boolean("insecure").unwrap_or(false);
    let ca_file = table.string("ca_file");
    let service = table.parsed("service");
    let api = table.parsed::<ApiAddress>("api");
    if let Some(file) = &ca_file
        && let Found::Outside(what, hint) = (outside.look)(&file.text, Kind::FileIfAny)
    {
        table.mistake("ca_file", &format!("{:?} {what}", file.text), &hint);
    }
    let service = match (service, &host) {
        (Some(service), _) => service,
        (None, Some(host)) => Service::of(host),
        (None, None) => Service::Plain,
    };
    let api = host.as_ref().and_then(|host| {
        let typed = outside.apis.iter().find(|typed| typed.host == *host);
        if let Some(typed) = typed {
            return Some(typed.api.clone());
        }
        if let Err(refused) = api::check(host, insecure, service, api.as_ref()) {
            let key = if api.is_some() { "api" } else { "service" };
            table.mistake(key, &refused.to_string(), &remedy(&refused));
        }
        api
    });
    if let Some(host) = host.as_ref().filter(|host| api::is_well_known(host))
        && ca_file.is_some()
    {
        let refused = Refused::WellKnown(host.clone());
        table.mistake("ca_file", &refused.to_string(), "remove ca_file");
    }
    table.finish();
    let namespace = match namespace {
        Some(value) => Some(expand(&value, mistakes, outside.env)?),
        None => None,
    };
    let spec = RegistrySpec {
        service,
        host: host?,
        namespace,
        insecure,
        ca_file: ca_file.map(|file| file.text),
        api,
    };
    match spec.check() {
        Ok(spec) => Some(spec),
        Err(error) => {
            let hint = match error {
                BadDestination::Insecure(_) => "remove insecure = true",
                _ => "add namespace = \"OWNER\"",
            };
            mistakes.add(at, error.to_string(), hint);
            None
        }
    }
}

fn remedy(refused: &Refused) -> String {
    match refused {
        Refused::WellKnown(_) => "remove api".to_owned(),
        Refused::Elsewhere { host, api } => format!(
            "remove api; if the login may go there, say so on the command line: --registry-api {host}={api}"
        ),
        Refused::ForeignService(host) => format!(
            "remove service, or name the API on the command line: --registry-api {host}=URL"
        ),
    }
}

/// A namespace with its `${NAME}` filled in. A variable's value is lower-cased (GitHub owners have capitals, GHCR
/// refuses them); what stands in the file itself is not, so that nobody is surprised.
fn expand(
    value: &Value,
    mistakes: &Mistakes<'_>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<RepositoryName> {
    let mut out = String::new();
    let mut rest = value.text.as_str();
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            mistakes.add(
                value.span.clone(),
                "a } is missing".to_owned(),
                "write ${NAME}",
            );
            return None;
        };
        if !HARMLESS.contains(&name) && !name.starts_with(MEANT) {
            mistakes.add(
                value.span.clone(),
                format!("a namespace goes to the registry, and {name} may be a secret"),
                &format!(
                    "use {MEANT}…, a variable that is set for rpub.toml, or one of {}",
                    HARMLESS.join(", ")
                ),
            );
            return None;
        }
        let Some(found) = env(name).filter(|found| !found.is_empty()) else {
            mistakes.add(
                value.span.clone(),
                format!("the environment has no {name}"),
                &format!("set {name}, or write the namespace itself"),
            );
            return None;
        };
        out.push_str(before);
        out.push_str(&found.to_lowercase());
        rest = after;
    }
    out.push_str(rest);
    match out.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            let lower = out.to_lowercase();
            let hint = if lower.parse::<RepositoryName>().is_ok() {
                format!("did you mean {lower:?}?")
            } else {
                "use the name of the account or organisation, in lower case".to_owned()
            };
            mistakes.add(value.span.clone(), format!("namespace: {error}"), &hint);
            None
        }
    }
}
