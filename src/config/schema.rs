//! Decides what editors are told of rpub.toml: every key, its meaning, its default, its form.
//! Must never be what reads the file: `tests/suite/keys.rs` holds it to the reader, key by key.
#![expect(dead_code, reason = "these types are only looked at")]

use super::{LATEST, MANUAL, RELEASE};
use crate::model::{
    compression::CompressionLevel, fault::Policy, platform::Platform, spec::PruneRules,
};
use schemars::{
    JsonSchema, Schema,
    transform::{RecursiveTransform, Transform as _},
};
use std::collections::BTreeMap;

const NAME: &str = "^[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*$";
const NAMESPACE: &str = "^([a-z0-9._/-]|\\$\\{[^}]+\\})+$";
const HOST: &str = "^(\\[[0-9A-Fa-f:.]+\\]|[a-z0-9][a-z0-9.-]*)(:[0-9]{1,5})?$";
const API: &str = "^https?://";
/// Not only white space.
const SOMETHING: &str = "\\S";
const TEMPLATE: &str = "^([A-Za-z0-9_]|\\{\\{ *(version|major|minor|patch|sha|branch) *\\}\\})([A-Za-z0-9_.-]|\\{\\{ *(version|major|minor|patch|sha|branch) *\\}\\})*$";
const LATEST_RULE: &str = "^(release|branch:.+)$";
const MADE_LABELS: &str = "^(rpub\\..*|org\\.opencontainers\\.image\\.(title|source|revision|version|created|description|licenses))$";

/// The schema, as JSON with a newline.
pub fn text() -> String {
    let mut schema = schemars::schema_for!(File);
    RecursiveTransform(never_null).transform(&mut schema);
    // Texts, numbers and lists of them, which JSON always can say.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// TOML has no null: a key that may be left out is left out.
fn never_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if let Some(serde_json::Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            object.insert("type".to_owned(), one);
        }
    }
    let Some(serde_json::Value::Array(any)) = object.get_mut("anyOf") else {
        return;
    };
    any.retain(|one| one.get("type").is_none_or(|name| name != "null"));
    if let [serde_json::Value::Object(one)] = any.as_slice() {
        let one = one.clone();
        object.remove("anyOf");
        object.extend(one);
    }
}

/// What rpub publishes, and where.
#[derive(JsonSchema)]
#[schemars(title = "rpub.toml", deny_unknown_fields)]
struct File {
    /// The label org.opencontainers.image.source: where the images come from. Without it, git's remote "origin".
    #[schemars(regex(pattern = SOMETHING))]
    source: Option<String>,
    /// The label org.opencontainers.image.licenses: an SPDX expression.
    #[schemars(regex(pattern = SOMETHING), example = &"MIT")]
    licenses: Option<String>,
    /// How hard podman compresses new layers: 1 is quick, 9 is small. Another level is another digest: the same on every
    /// machine. Default 3; podman before 4.6 takes none.
    #[schemars(range(min = *CompressionLevel::RANGE.start(), max = *CompressionLevel::RANGE.end()))]
    compression_level: Option<i64>,
    /// Which tags a ref gives.
    tags: Option<Tags>,
    /// How requests to registries are tried again.
    retry: Option<Retry>,
    /// Whether a release removes what it superseded, and what of it stays. `false`: a release removes nothing.
    prune: Option<Prune>,
    /// Where images go, each the same digests. Without any, into the directory store ./rpub-out.
    registry: Option<Vec<Registry>>,
    /// What is published.
    #[schemars(length(min = 1))]
    image: Vec<Image>,
}

/// Which tags a ref gives.
#[derive(JsonSchema)]
#[schemars(rename = "tags", deny_unknown_fields)]
struct Tags {
    /// The tags of a version (v1.2.3). A pre-release has its own version alone.
    #[schemars(inner(regex(pattern = TEMPLATE)), extend("default" = RELEASE))]
    release: Option<Vec<String>>,
    /// What moves the tag latest: "release" is a version, "branch:NAME" a push to that branch.
    #[schemars(inner(regex(pattern = LATEST_RULE)), extend("default" = LATEST))]
    latest: Option<Vec<String>>,
    /// The tags of any other ref.
    #[schemars(inner(regex(pattern = TEMPLATE)), extend("default" = MANUAL))]
    manual: Option<Vec<String>>,
}

/// How requests to registries are tried again.
#[derive(JsonSchema)]
#[schemars(rename = "retry", deny_unknown_fields)]
struct Retry {
    /// Tries of a request, the first included.
    #[schemars(range(min = 1, max = 20), extend("default" = Policy::default().tries))]
    tries: Option<i64>,
    /// Seconds before the second try. The delay doubles from try to try; half of it is random.
    #[schemars(range(min = 0, max = 600), extend("default" = Policy::default().first_delay.as_secs()))]
    first_delay: Option<i64>,
    /// The longest delay in seconds, unless a registry asks for more.
    #[schemars(range(min = 1, max = 3600), extend("default" = Policy::default().cap.as_secs()))]
    cap: Option<i64>,
    /// Seconds that a release may wait for next tries in all, before tags begin to move.
    #[schemars(range(min = 0, max = 86400), extend("default" = Policy::default().budget.as_secs()))]
    budget: Option<i64>,
}

/// `false`, or what of the superseded stays.
#[derive(JsonSchema)]
#[schemars(rename = "prune", untagged)]
enum Prune {
    ByRelease(bool),
    Rules(PruneTable),
}

/// What of the superseded stays.
#[derive(JsonSchema)]
#[schemars(rename = "prune-rules", deny_unknown_fields)]
struct PruneTable {
    /// So many of the lists that latest named before stay.
    #[schemars(range(min = 0, max = 100), extend("default" = PruneRules::default().keep))]
    keep: Option<i64>,
    /// What was pushed so lately stays: days, hours or minutes.
    #[schemars(regex(pattern = "[0-9]"), extend("default" = "7d"), example = &"12h")]
    grace: Option<String>,
}

/// A registry.
#[derive(JsonSchema)]
#[schemars(rename = "registry", deny_unknown_fields)]
struct Registry {
    /// Its host, with the port where it has one.
    #[schemars(regex(pattern = HOST), example = &"ghcr.io", example = &"docker.io")]
    host: String,
    /// What stands before every image's name: the account or organisation, in lower case. ${NAME} is a variable of the
    /// environment, whose value is lower-cased: of an account or a project, or `RPUB_VAR_…`. Docker Hub wants one.
    #[schemars(regex(pattern = NAMESPACE), example = &"${GITHUB_REPOSITORY_OWNER}")]
    namespace: Option<String>,
    /// Plain HTTP: for a registry on this machine alone.
    #[schemars(extend("default" = false))]
    insecure: Option<bool>,
    /// A file of further certificate authorities, PEM; not for ghcr.io and docker.io.
    #[schemars(regex(pattern = SOMETHING))]
    ca_file: Option<String>,
    /// Who runs it, where the host does not tell: what can be asked and deleted there depends on it.
    service: Option<Service>,
    /// That service's own API, where it is not at its usual place: https, or plain HTTP on this machine. Its host is the
    /// registry's, or one is within the other's domain; any other is named by --registry-api. Not for ghcr.io and docker.io.
    #[schemars(regex(pattern = API), example = &"https://github.example.com/api/v3")]
    api: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename = "service", rename_all = "kebab-case")]
enum Service {
    /// GitHub's container registry.
    Ghcr,
    /// Docker Hub.
    DockerHub,
    /// A registry and nothing beside it.
    Plain,
}

/// An image.
#[derive(JsonSchema)]
#[schemars(
    rename = "image",
    deny_unknown_fields,
    extend("anyOf" = [
        {"required": ["platforms"]},
        {"required": ["containerfile"], "properties": {"containerfile": {"type": "object"}}},
    ])
)]
struct Image {
    /// Its name, which stands behind each registry's namespace.
    #[schemars(regex(pattern = NAME), length(max = 255))]
    name: String,
    /// The label org.opencontainers.image.description.
    #[schemars(regex(pattern = SOMETHING))]
    description: Option<String>,
    /// The build context: a folder, relative to rpub.toml. Outside of the repository it needs --allow.
    #[schemars(regex(pattern = SOMETHING), extend("default" = "."))]
    context: Option<String>,
    /// What builds it, relative to rpub.toml; one for all platforms, or one for each.
    #[schemars(extend("default" = "Containerfile"))]
    containerfile: Option<Containerfile>,
    /// What it is built for. May be left out where containerfile names one for each.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    platforms: Option<Vec<KnownPlatform>>,
    /// The stage to publish; without it, the last one.
    #[schemars(regex(pattern = SOMETHING))]
    target: Option<String>,
    /// The network of its build steps: one of their own, or this machine's, its loopback included.
    #[schemars(extend("default" = "private"))]
    network: Option<Network>,
    /// Build arguments. No place for secrets: every user of the machine can read them, and they stay in the image.
    args: Option<BTreeMap<String, String>>,
    /// Labels beside those that rpub makes, which it keeps for itself.
    #[schemars(extend("propertyNames" = {"not": {"pattern": MADE_LABELS}}))]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(JsonSchema)]
#[schemars(rename = "network", rename_all = "kebab-case")]
enum Network {
    /// One of their own.
    Private,
    /// This machine's.
    Host,
}

#[derive(JsonSchema)]
#[schemars(rename = "containerfile", untagged)]
enum Containerfile {
    /// One for all platforms.
    One(String),
    /// One for each platform.
    #[schemars(extend("propertyNames" = {"enum": Platform::KNOWN}))]
    Each(BTreeMap<String, String>),
}

/// A platform, as os/arch or os/arch/variant.
#[derive(JsonSchema)]
#[schemars(rename = "platform", extend("enum" = Platform::KNOWN))]
struct KnownPlatform(String);
