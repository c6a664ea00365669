//! Decides that the emulator answers as GitHub's published schema says, and that rpub asks for what is in it.
//! Must never pass without that schema: npm brings it, and where it cannot, the test fails.

use super::*;
use crate::support::deletions::deletion_of;
use crate::support::loopback::client as http;
use crate::support::proxy::Seen;
use rpub::model::retention::Deleted;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// GitHub's `OpenAPI` description, as Octokit makes its clients from it.
const PACKAGE: &str = "@octokit/openapi@23.0.2";
const FILE: &str = "package/generated/api.github.com.json";
const VERSIONS: &str = "/packages/{package_type}/{package_name}/versions";

fn run(program: &str, args: &[&str], folder: &Path) {
    let mut command = Command::new(program);
    let output = command.args(args).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program} starts: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
}

/// The description. It is fetched once, and kept where every user that runs tests may write.
fn published() -> Value {
    let kept = std::env::temp_dir().join("rpub-octokit-openapi-23.0.2.json");
    if !kept.exists() {
        let folder = tempfile::tempdir().unwrap();
        run("npm", &["pack", "--silent", PACKAGE], folder.path());
        let archive = "octokit-openapi-23.0.2.tgz";
        run("tar", &["-xzf", archive, FILE], folder.path());
        // Whole or not at all, should another test fetch it at the same time.
        std::fs::rename(folder.path().join(FILE), &kept).unwrap();
    }
    let mut all: Value = serde_json::from_slice(&std::fs::read(kept).unwrap()).unwrap();
    // Of 13 MB no more than what is about packages and their owners: each check goes through all that is left.
    let mut some = serde_json::json!({"paths": all["paths"].take()});
    let own = |path: &str| path.contains("/packages/") || path == "/users/{username}";
    let paths = some["paths"].as_object_mut().unwrap();
    paths.retain(|path, _| own(path));
    for part in ["schemas", "responses", "parameters"] {
        some["components"][part] = all["components"][part].take();
    }
    some
}

/// GitHub's description, and schemas out of it.
struct Published(Value);

impl Published {
    fn operation(&self, method: &str, path: &str) -> &Value {
        let operation = &self.0["paths"][path][method.to_ascii_lowercase()];
        assert!(operation.is_object(), "there is no {method} {path}");
        operation
    }

    /// Where the schema of an answer is; none where it has no body.
    fn answer(&self, method: &str, path: &str, status: u16) -> Option<String> {
        let answer = &self.operation(method, path)["responses"][status.to_string()];
        assert!(answer.is_object(), "{method} {path} answers no {status}");
        let own = || {
            let escaped = path.replace('/', "~1");
            let method = method.to_ascii_lowercase();
            format!("#/paths/{escaped}/{method}/responses/{status}")
        };
        let place = answer["$ref"].as_str().map_or_else(own, str::to_owned);
        let answer = self.0.pointer(&place[1..]).unwrap();
        let json = answer["content"].is_object();
        json.then(|| format!("{place}/content/application~1json/schema"))
    }

    /// What the schema at `place` says against a document.
    ///
    /// All of the description is the schema's document, so that what it refers to is found.
    fn complaints(&mut self, place: &str, document: &Value) -> Vec<String> {
        // A reference is a URL, where braces are escaped.
        self.0["$ref"] = place.replace('{', "%7B").replace('}', "%7D").into();
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&self.0)
            .unwrap();
        let errors = validator.iter_errors(document);
        errors
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    /// Checks an answer against the operation's schema.
    fn check(&mut self, operation: (&str, &str), (status, body): (u16, Value)) {
        let (method, path) = operation;
        let Some(place) = self.answer(method, path, status) else {
            assert_eq!(body, Value::Null, "{operation:?} {status}");
            return;
        };
        let complaints = self.complaints(&place, &body);
        assert_eq!(complaints, Vec::<String>::new(), "{operation:?} {body}");
    }

    /// The parameters that an operation takes in its query.
    fn query(&self, method: &str, path: &str) -> BTreeSet<&str> {
        let all = self.operation(method, path)["parameters"].as_array();
        let all = all.unwrap().iter().map(|one| match one["$ref"].as_str() {
            Some(place) => self.0.pointer(&place[1..]).unwrap(),
            None => one,
        });
        let query = all.filter(|one| one["in"] == "query");
        query.map(|one| one["name"].as_str().unwrap()).collect()
    }

    /// The path of the operation that a request is.
    fn path_of(&self, path: &str) -> &str {
        let asked: Vec<&str> = path.split('/').collect();
        let fits = |known: &&String| {
            let known: Vec<&str> = known.split('/').collect();
            let mut words = known.iter().zip(&asked);
            known.len() == asked.len()
                && words.all(|(known, asked)| known.starts_with('{') || known == asked)
        };
        let known = self.0["paths"].as_object().unwrap();
        let found: Vec<&String> = known.keys().filter(fits).collect();
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        found[0]
    }

    fn knows(&self, seen: &Seen) {
        let target = seen.target.strip_prefix("/api/v3").unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let known = self.path_of(path);
        self.operation(&seen.method, known);
        // Its known error: lists of a user's versions have pages and states, too, and it does not say so.
        let known = known.replace("/users/{username}/packages", "/orgs/{org}/packages");
        let takes = self.query(&seen.method, &known);
        for (name, _) in form_urlencoded::parse(query.as_bytes()) {
            assert!(takes.contains(&*name), "{seen:?}: it takes {takes:?}");
        }
    }
}

/// Status and body of what the emulator answers; null where it has none.
async fn ask(ghcr: &Ghcr, token: &str, method: &str, path: &str) -> (u16, Value) {
    let url = format!("{}{path}", ghcr.api());
    let asked = http().request(method.parse().unwrap(), url);
    let asked = asked
        .bearer_auth(token)
        .header("X-GitHub-Api-Version", "2022-11-28");
    let answer = asked.send().await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.bytes().await.unwrap();
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).unwrap()
    };
    (status, body)
}

/// What the emulator says of one package, right and wrong.
async fn check_package(github: &mut Published, ghcr: &Ghcr, owner: (&str, &str), other: &str) {
    let (place, kind) = owner;
    let list = format!("{place}/packages/container/app/versions");
    let all = format!("{kind}{VERSIONS}");
    let one = format!("{all}/{{package_version_id}}");
    let back = format!("{one}/restore");
    let (status, versions) = ask(ghcr, PASSWORD, "GET", &list).await;
    assert_eq!((status, versions.as_array().unwrap().len()), (200, 3));
    let untagged =
        |version: &&Value| version["metadata"]["container"]["tags"] == Value::Array(vec![]);
    let id = versions.as_array().unwrap().iter().find(untagged).unwrap()["id"].clone();
    github.check(("GET", &all), (status, versions));
    let it = format!("{list}/{id}");
    let deleted = format!("{list}?state=deleted");
    for (token, method, path, operation, expected) in [
        (PASSWORD, "GET", &it, &one, 200),
        (PASSWORD, "DELETE", &it, &one, 204),
        (PASSWORD, "GET", &deleted, &all, 200),
        (PASSWORD, "DELETE", &it, &one, 404),
        (PASSWORD, "POST", &format!("{it}/restore"), &back, 204),
        (PASSWORD, "POST", &format!("{it}/restore"), &back, 404),
        (PASSWORD, "GET", &list.replace("app", "none"), &all, 404),
        (PASSWORD, "GET", &list.replace(place, other), &all, 404),
        ("wrong", "GET", &list, &all, 401),
        ("wrong", "DELETE", &it, &one, 401),
        ("wrong", "POST", &format!("{it}/restore"), &back, 401),
    ] {
        let answer = ask(ghcr, token, method, path).await;
        assert_eq!(answer.0, expected, "{method} {path}: {}", answer.1);
        github.check((method, operation), answer);
    }
}

/// What the description does not list: the refusals that have status 400, and whose they are.
async fn check_errors(github: &mut Published, ghcr: &Ghcr, popular: Digest) {
    let error = "#/components/schemas/basic-error";
    let list = "/orgs/acme/packages/container/app/versions";
    let (_, versions) = ask(ghcr, PASSWORD, "GET", list).await;
    ghcr.packages().popular(popular);
    let mut refusals = 0;
    for version in versions.as_array().unwrap() {
        let tagged = version["metadata"]["container"]["tags"] != Value::Array(vec![]);
        if tagged || version["name"] == popular.to_string() {
            let path = format!("{list}/{}", version["id"]);
            let (status, body) = ask(ghcr, PASSWORD, "DELETE", &path).await;
            assert_eq!(status, 400);
            assert_eq!(github.complaints(error, &body), Vec::<String>::new());
            assert!(body["message"].is_string(), "{body}");
            refusals += 1;
        }
    }
    assert_eq!(refusals, 2);
    let (status, body) = ask(ghcr, PASSWORD, "GET", &format!("{list}/7")).await;
    assert_eq!(status, 404);
    assert_eq!(github.complaints(error, &body), Vec::<String>::new());
}

/// It tells only some of what GitHub tells of an owner; nothing of it may be something else.
async fn check_owner(github: &mut Published, ghcr: &Ghcr, login: &str) {
    let (status, owner) = ask(ghcr, PASSWORD, "GET", &format!("/users/{login}")).await;
    assert_eq!(status, 200);
    let schema = &mut github.0["components"]["schemas"]["public-user"];
    schema.as_object_mut().unwrap().remove("required");
    let place = "#/components/schemas/public-user";
    assert_eq!(github.complaints(place, &owner), Vec::<String>::new());
    assert_eq!(owner["login"], login);
}

/// The checks would find what is wrong.
fn refuses_what_is_wrong(github: &mut Published) {
    let right = serde_json::json!({
        "id": 1, "name": "n", "url": "u", "package_html_url": "p",
        "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
        "metadata": {"package_type": "container", "container": {"tags": ["latest"]}},
    });
    let place = "#/components/schemas/package-version";
    assert_eq!(github.complaints(place, &right), Vec::<String>::new());
    for (pointer, value) in [
        ("/id", Value::from("1")),
        ("/name", Value::Null),
        ("/updated_at", Value::from("today")),
        ("/metadata/package_type", Value::from("image")),
        ("/metadata/container", serde_json::json!({})),
        ("/metadata/container/tags", Value::from("latest")),
    ] {
        let mut wrong = right.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        let complaints = github.complaints(place, &wrong);
        assert_eq!(complaints.len(), 1, "{pointer}: {complaints:?}");
    }
}

#[tokio::test]
async fn ghcr_answers_and_is_asked_as_github_has_published() {
    let mut github = Published(published());
    refuses_what_is_wrong(&mut github);
    let (ghcr, manifests) = filled(3).await;
    fill(&ghcr, "o/app", 3).await;
    let (org, user) = (
        ("/orgs/acme", "/orgs/{org}"),
        ("/users/o", "/users/{username}"),
    );
    check_package(&mut github, &ghcr, org, "/users/acme").await;
    check_package(&mut github, &ghcr, user, "/orgs/o").await;
    check_errors(&mut github, &ghcr, manifests[1].digest()).await;
    for login in [ORGANISATION, "o"] {
        check_owner(&mut github, &ghcr, login).await;
    }
    let before = ghcr.api_proxy.seen().len();
    ghcr.packages().page(1);
    for name in [APP, "o/app"] {
        let deletion = deletion_of(manifests[2].digest());
        let deleted = at(&ghcr, name).delete(&deletion).await.unwrap();
        assert_eq!(deleted, Deleted::Now);
        assert!(at(&ghcr, name).restore(deletion.digest()).await.unwrap());
    }
    let seen = ghcr.api_proxy.seen();
    assert!(seen.len() > before);
    for seen in &seen[before..] {
        github.knows(seen);
    }
}
