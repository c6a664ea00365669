//! Decides that a registry that fails, refuses or lies ends with exit 4 or 7, and with no tag on it nor on the others.
//! Must never let a fault go unseen: each test checks that its rule was met.

use super::{registry, tags};
use crate::support::{
    faults::{Fault, Rule},
    project::{Project, USER},
    proxy::Proxy,
    registries::{Auth, RegistryProcess},
};

/// The same fault at every request.
fn every(fault: &Fault) -> Vec<Rule> {
    ["HEAD", "GET", "POST", "PATCH", "PUT"]
        .map(|method| Rule::on(method, "/v2/", fault.clone()).always())
        .into()
}

/// Releases to a registry that works and to one with these faults; checks how it fails, and that no tag is anywhere.
async fn fails(test: &str, rules: Vec<Rule>, code: i32, what: &str, next: &str) {
    let (good, bad) = (registry(), registry());
    let mut proxy = Proxy::before(bad.host());
    for rule in rules {
        proxy = proxy.rule(rule);
    }
    let proxy = proxy.start().await;
    let project = Project::plain(test);
    let hosts = [good.host(), proxy.host()];
    let run = project
        .release(&[hosts[0].as_str(), hosts[1].as_str()])
        .await;
    project.failed(&run, code, what, proxy.host().as_str(), next);
    assert!(!proxy.seen().is_empty());
    for registry in [&good, &bad] {
        assert_eq!(tags(registry, &project).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn bad_input_registry_that_is_down_is_told() {
    let good = registry();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let down = port.local_addr().unwrap().to_string();
    drop(port);
    let project = Project::plain("down");
    let run = project.release(&[good.host().as_str(), &down]).await;
    project.failed(&run, 4, "the connection failed", &down, "can be reached");
    assert_eq!(tags(&good, &project).await, Vec::<String>::new());
}

/// Found out before minutes are spent on building.
#[tokio::test]
async fn bad_input_registry_that_may_be_read_only_is_told_before_the_build() {
    let (good, bad) = (registry(), registry());
    let denied = r#"{"errors":[{"code":"DENIED","message":"permission_denied: write_package"}]}"#;
    let rule = Rule::on("POST", "/blobs/uploads/", Fault::status(403).body(denied)).always();
    let proxy = Proxy::before(bad.host()).rule(rule).start().await;
    let project = Project::plain("read-only");
    let hosts = [good.host(), proxy.host()];
    let run = project
        .release(&[hosts[0].as_str(), hosts[1].as_str()])
        .await;
    let place = proxy.host();
    project.failed(&run, 7, "write_package", place.as_str(), "may push");
    assert!(!run.err.contains("==> build"), "{}", run.err);
}

#[tokio::test]
async fn bad_input_registry_that_refuses_the_password_is_told() {
    let (good, strict) = (
        registry(),
        RegistryProcess::start(&Auth::Basic {
            user: USER,
            password: "another",
        }),
    );
    let project = Project::plain("password");
    let hosts = [good.host(), strict.host()];
    let args = project.release_args(&[hosts[0].as_str(), hosts[1].as_str()]);
    // The words of the debug log, too, must be free of it.
    let run = project.run(&[&args.each()[..], &["-vv"]].concat()).await;
    let login = format!("podman login {}", strict.host());
    project.failed(
        &run,
        7,
        "does not accept the credentials",
        strict.host().as_str(),
        &login,
    );
    assert_eq!(tags(&good, &project).await, Vec::<String>::new());
}

#[tokio::test]
async fn bad_input_registry_that_wants_a_login_and_gets_none_is_told() {
    let (good, strict) = (registry(), registry());
    let project = Project::plain("login");
    let hosts = [good.host(), strict.host()];
    let args = project.release_args(&[hosts[0].as_str(), hosts[1].as_str()]);
    project.login(&[good.host().as_str()]);
    let run = project.run(&args.each()).await;
    project.failed(&run, 7, "", strict.host().as_str(), "podman login");
    for registry in [&good, &strict] {
        assert_eq!(tags(registry, &project).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn bad_input_token_service_that_refuses_is_told() {
    let bad = RegistryProcess::start(&Auth::None);
    let proxy = Proxy::before(bad.host())
        .tokens(USER, "another")
        .start()
        .await;
    let project = Project::plain("token");
    let run = project.release(&[proxy.host().as_str()]).await;
    project.failed(
        &run,
        7,
        "the token service refuses",
        proxy.host().as_str(),
        "podman login",
    );
}

#[tokio::test]
async fn bad_input_registry_that_answers_with_a_web_page_is_told() {
    let page = "answered with something else";
    fails("page", every(&Fault::html(200)), 4, page, "is a registry").await;
}

#[tokio::test]
async fn bad_input_registry_that_cuts_every_connection_is_told() {
    let cut = "the connection failed";
    fails("cut", every(&Fault::Reset), 4, cut, "can be reached").await;
}

#[tokio::test]
async fn bad_input_registry_that_breaks_off_every_answer_is_told() {
    fails("half", every(&Fault::HalfAnswer), 4, "", "").await;
}

#[tokio::test]
async fn bad_input_registry_that_fails_for_good_is_told() {
    let status = every(&Fault::status(503));
    fails("server", status, 4, "the registry failed: 503", "later").await;
}

#[tokio::test]
async fn bad_input_registry_that_asks_for_too_much_patience_is_told() {
    let wait = every(&Fault::status(429).header("Retry-After", "86400"));
    fails("patience", wait, 4, "fewer requests", "wait some minutes").await;
}

#[tokio::test]
async fn bad_input_registry_that_permits_no_push_is_told() {
    let body = r#"{"errors":[{"code":"DENIED","message":"read only"}]}"#;
    let denied = Rule::on("POST", "/blobs/uploads", Fault::status(403).body(body)).always();
    fails(
        "denied",
        vec![denied],
        7,
        "does not permit this: 403 DENIED",
        "may push there",
    )
    .await;
}

/// A byte more reaches the registry than was sent: it finds another digest, and says so.
#[tokio::test]
async fn bad_input_blob_that_is_changed_on_its_way_is_told() {
    let changed = ["PUT", "PATCH"]
        .map(|method| Rule::on(method, "/blobs/uploads/", Fault::AlterBody).always());
    fails("blob", changed.into(), 4, "", "").await;
}

#[tokio::test]
async fn bad_input_manifest_that_is_changed_on_its_way_is_told() {
    let changed = Rule::on("PUT", "/manifests/", Fault::AlterBody).always();
    fails("manifest", vec![changed], 4, "", "").await;
}

#[tokio::test]
async fn bad_input_registry_that_stored_something_else_is_told() {
    let lies = Rule::on("PUT", "/manifests/", Fault::WrongDigest).always();
    fails("lies", vec![lies], 4, "", "").await;
}

#[tokio::test]
async fn bad_input_registry_that_shows_something_else_is_told() {
    let lies = Rule::on("GET", "/manifests/", Fault::html(200)).always();
    fails("shows", vec![lies], 4, "", "").await;
}
