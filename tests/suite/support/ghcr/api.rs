//! Decides what GitHub's API says of packages and does to them (facts from its published reference and from what it refuses).
//! Must never have a version that is not a manifest in the real registry: what is listed is what that really has.

use super::super::loopback::client;
use super::super::registries::RegistryProcess;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use rpub::model::{digest::Digest, manifest::media_type, reference::Host};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tokio::{net::TcpListener, task::JoinHandle};

/// The owner that is an organisation; all others are users.
pub(crate) const ORGANISATION: &str = "acme";

const POPULAR: &str = "Publicly visible package versions with more than 5000 downloads cannot be deleted. \
                       Contact GitHub support for further assistance.";
const LAST: &str =
    "You cannot delete the last tagged version of a package. You must delete the package instead.";

/// What a version was when it was deleted.
struct Grave {
    repository: String,
    digest: Digest,
    kind: String,
    bytes: Vec<u8>,
    tags: Vec<String>,
}

struct Known {
    /// Ids by repository and digest. What is pushed again after it was deleted is another version.
    ids: BTreeMap<(String, Digest), u64>,
    last_id: u64,
    /// How many days old a version is; 0 where it is not here.
    ages: BTreeMap<Digest, i64>,
    popular: BTreeSet<Digest>,
    graves: BTreeMap<u64, Grave>,
    may_delete: bool,
    page: usize,
    /// How many days its clock is behind this machine's.
    behind: i64,
}

struct Shared {
    url: String,
    token: String,
    registry: Arc<RegistryProcess>,
    known: Mutex<Known>,
}

/// GitHub's API for packages; it ends when this is dropped.
pub(crate) struct Api {
    pub(super) host: Host,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

type Answer = Result<Response, Response>;

impl Api {
    pub(super) async fn start(registry: Arc<RegistryProcess>, token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            url: format!("http://{host}/api/v3"),
            token: token.to_owned(),
            registry,
            known: Mutex::new(Known {
                ids: BTreeMap::new(),
                last_id: 1000,
                ages: BTreeMap::new(),
                popular: BTreeSet::new(),
                graves: BTreeMap::new(),
                may_delete: true,
                page: 100,
                behind: 0,
            }),
        });
        let package = "/api/v3/{kind}/{owner}/packages/container/{name}/versions";
        let router = Router::new()
            .route("/api/v3/users/{login}", get(owner))
            .route(package, get(versions))
            .route(&format!("{package}/{{id}}"), get(version).delete(delete))
            .route(&format!("{package}/{{id}}/restore"), post(restore))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Api {
            host: host.parse().unwrap(),
            shared,
            server,
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.shared.known.lock().unwrap()
    }

    /// From now on this version is so many days old.
    pub(crate) fn age(&self, digest: Digest, days: i64) {
        self.known().ages.insert(digest, days);
    }

    /// From now on this version has more than 5000 downloads.
    pub(crate) fn popular(&self, digest: Digest) {
        self.known().popular.insert(digest);
    }

    /// From now on the token may delete, or not.
    pub(crate) fn may_delete(&self, may: bool) {
        self.known().may_delete = may;
    }

    /// From now on a page has no more versions than this.
    pub(crate) fn page(&self, most: usize) {
        self.known().page = most;
    }

    /// From now on its clock is so many days behind this machine's.
    pub(crate) fn clock_is_behind(&self, days: i64) {
        self.known().behind = days;
    }

    /// What is there, by digest.
    pub(crate) fn package(&self, repository: &str) -> BTreeMap<Digest, BTreeSet<String>> {
        self.shared.versions(repository)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn versions(&self, repository: &str) -> BTreeMap<Digest, BTreeSet<String>> {
        let manifests = self.registry.manifests(repository).into_keys();
        let mut versions: BTreeMap<Digest, BTreeSet<String>> =
            manifests.map(|digest| (digest, BTreeSet::new())).collect();
        for (tag, digest) in self.registry.tags(repository) {
            versions.entry(digest).or_default().insert(tag);
        }
        versions
    }

    /// The repository that a path means, where it asks as it should.
    fn asked(
        &self,
        headers: &HeaderMap,
        (kind, owner, name): (&str, &str, &str),
    ) -> Result<String, Response> {
        let token = headers
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().unwrap());
        if token != Some(&format!("Bearer {}", self.token)) {
            return Err(error(401, "Bad credentials"));
        }
        let version = headers.get("x-github-api-version");
        assert_eq!(
            version.map(|value| value.to_str().unwrap()),
            Some("2022-11-28")
        );
        let right = if owner == ORGANISATION {
            "orgs"
        } else {
            "users"
        };
        let repository = format!("{owner}/{name}");
        if kind != right || self.versions(&repository).is_empty() && !self.has_graves(&repository) {
            return Err(error(404, "Package not found."));
        }
        Ok(repository)
    }

    fn has_graves(&self, repository: &str) -> bool {
        let known = self.known.lock().unwrap();
        known
            .graves
            .values()
            .any(|grave| grave.repository == repository)
    }

    fn id(&self, repository: &str, digest: Digest) -> u64 {
        let known = &mut *self.known.lock().unwrap();
        let new = || {
            known.last_id += 1;
            known.last_id
        };
        let key = (repository.to_owned(), digest);
        *known.ids.entry(key).or_insert_with(new)
    }

    /// A version as GitHub lists it.
    fn document(
        &self,
        repository: &str,
        id: u64,
        (digest, tags): (Digest, &BTreeSet<String>),
    ) -> Value {
        let known = self.known.lock().unwrap();
        let days = known.ages.get(&digest).copied().unwrap_or_default();
        let days = days + known.behind;
        let pushed = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
        // In whole seconds, as the Date of its answers.
        let pushed = pushed.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let url = format!("{}/packages/{repository}/versions/{id}", self.url);
        let page = format!("https://github.com/{repository}/pkgs/container/{id}");
        json!({
            "id": id, "name": digest, "url": url, "package_html_url": page, "html_url": page,
            "created_at": pushed, "updated_at": pushed,
            "metadata": {"package_type": "container", "container": {"tags": tags}},
        })
    }

    /// A version by its id.
    fn find(&self, repository: &str, id: u64) -> Option<(Digest, BTreeSet<String>)> {
        let versions = self.versions(repository);
        let known = self.known.lock().unwrap();
        let is_it = |digest: &Digest| known.ids.get(&(repository.to_owned(), *digest)) == Some(&id);
        versions.into_iter().find(|(digest, _)| is_it(digest))
    }
}

fn error(status: u16, message: &str) -> Response {
    let body = json!({
        "message": message, "status": status.to_string(),
        "documentation_url": "https://docs.github.com/rest/packages/packages",
    });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn owner(
    State(shared): State<Arc<Shared>>,
    Path(login): Path<String>,
    headers: HeaderMap,
) -> Response {
    let token = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap());
    if token != Some(&format!("Bearer {}", shared.token)) {
        return error(401, "Bad credentials");
    }
    let kind = if login == ORGANISATION {
        "Organization"
    } else {
        "User"
    };
    Json(json!({"login": login, "id": 1, "type": kind, "site_admin": false})).into_response()
}

type Of = Path<(String, String, String)>;

async fn versions(
    State(shared): State<Arc<Shared>>,
    Path((kind, owner, name)): Of,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let repository = shared.asked(&headers, (&kind, &owner, &name))?;
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query: BTreeMap<String, String> = query.into_owned().collect();
    let number =
        |key: &str, usual: usize| query.get(key).map_or(usual, |text| text.parse().unwrap());
    let (page, asked) = (number("page", 1), number("per_page", 30).min(100));
    let per_page = asked.min(shared.known.lock().unwrap().page);
    let state = query.get("state").map_or("active", String::as_str);
    let all: Vec<(u64, Digest, BTreeSet<String>)> = match state {
        "active" => {
            let versions = shared.versions(&repository).into_iter();
            versions
                .map(|(digest, tags)| (shared.id(&repository, digest), digest, tags))
                .collect()
        }
        "deleted" => {
            let known = shared.known.lock().unwrap();
            let of = |(_, grave): &(&u64, &Grave)| grave.repository == repository;
            let graves = known.graves.iter().filter(of);
            graves
                .map(|(id, grave)| (*id, grave.digest, BTreeSet::new()))
                .collect()
        }
        other => panic!("what is state={other}?"),
    };
    let listed = all.iter().skip((page - 1) * per_page).take(per_page);
    let listed =
        listed.map(|(id, digest, tags)| shared.document(&repository, *id, (*digest, tags)));
    let listed: Vec<Value> = listed.collect();
    let mut answer = Json(listed).into_response();
    let behind = jiff::SignedDuration::from_hours(24 * shared.known.lock().unwrap().behind);
    let now = (jiff::Timestamp::now() - behind).strftime("%a, %d %b %Y %H:%M:%S GMT");
    let date = now.to_string().parse().unwrap();
    answer.headers_mut().insert(header::DATE, date);
    if all.len() > page * per_page {
        // As GitHub's own links: of the host that was asked.
        let host = headers[header::HOST].to_str().unwrap();
        let name = name.replace('/', "%2F");
        let next = page + 1;
        let link = format!(
            "<http://{host}/api/v3/{kind}/{owner}/packages/container/{name}/versions?per_page={asked}&state={state}&page={next}>; rel=\"next\""
        );
        answer
            .headers_mut()
            .insert(header::LINK, link.parse().unwrap());
    }
    Ok(answer)
}

type OfOne = Path<(String, String, String, u64)>;

async fn version(
    State(shared): State<Arc<Shared>>,
    Path((kind, owner, name, id)): OfOne,
    headers: HeaderMap,
) -> Answer {
    let repository = shared.asked(&headers, (&kind, &owner, &name))?;
    let found = shared.find(&repository, id);
    let (digest, tags) = found.ok_or_else(|| error(404, "Not Found"))?;
    Ok(Json(shared.document(&repository, id, (digest, &tags))).into_response())
}

async fn delete(
    State(shared): State<Arc<Shared>>,
    Path((kind, owner, name, id)): OfOne,
    headers: HeaderMap,
) -> Answer {
    let repository = shared.asked(&headers, (&kind, &owner, &name))?;
    if !shared.known.lock().unwrap().may_delete {
        return Err(error(404, "Package not found."));
    }
    let found = shared.find(&repository, id);
    let (digest, tags) = found.ok_or_else(|| error(404, "Not Found"))?;
    if shared.known.lock().unwrap().popular.contains(&digest) {
        return Err(error(400, POPULAR));
    }
    let versions = shared.versions(&repository);
    let tagged = versions.values().filter(|tags| !tags.is_empty()).count();
    if !tags.is_empty() && tagged == 1 {
        return Err(error(400, LAST));
    }
    let url = format!(
        "http://{}/v2/{repository}/manifests/{digest}",
        shared.registry.host()
    );
    let read = client()
        .get(&url)
        .header("Accept", media_type::ALL.join(", "));
    let read = read.send().await.unwrap();
    let kind = read.headers()["content-type"].to_str().unwrap().to_owned();
    let bytes = read.bytes().await.unwrap().to_vec();
    assert_eq!(client().delete(&url).send().await.unwrap().status(), 202);
    let key = (repository.clone(), digest);
    let grave = Grave {
        repository,
        digest,
        kind,
        bytes,
        tags: tags.into_iter().collect(),
    };
    let mut known = shared.known.lock().unwrap();
    known.ids.remove(&key);
    known.graves.insert(id, grave);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn restore(
    State(shared): State<Arc<Shared>>,
    Path((kind, owner, name, id)): OfOne,
    headers: HeaderMap,
) -> Answer {
    let repository = shared.asked(&headers, (&kind, &owner, &name))?;
    let grave = shared.known.lock().unwrap().graves.remove(&id);
    let grave = grave.filter(|grave| grave.repository == repository);
    let grave = grave.ok_or_else(|| error(404, "Not Found"))?;
    let key = (repository.clone(), grave.digest);
    shared.known.lock().unwrap().ids.insert(key, id);
    let names = std::iter::once(grave.digest.to_string()).chain(grave.tags);
    for name in names {
        let url = format!(
            "http://{}/v2/{repository}/manifests/{name}",
            shared.registry.host()
        );
        let put = client()
            .put(url)
            .header("Content-Type", &grave.kind)
            .body(grave.bytes.clone());
        assert_eq!(put.send().await.unwrap().status(), 201);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
