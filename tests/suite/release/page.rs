//! Decides that the HTML report says what the registries have, after releases that went well and after others.
//! Must never take rpub's word for it: digests, sizes and tags are asked of the registries.

use super::{blob, manifest, to, two_registries};
use crate::support::{
    faults::{Fault, Rule},
    project::{Outcome, Project, Running},
    proxy::Proxy,
    registries::{Auth, RegistryProcess},
};
use rpub::model::{digest::Digest, manifest::Body};
use serde_json::Value;

/// Two layers, and a label that would like to be markup.
const IMAGE: &str = "FROM scratch
COPY busybox /bin/sh
COPY text /text
LABEL org.example.evil=\"<script>alert(1)</script>\"
HEALTHCHECK CMD [\"/x\"]
";
const EVIL: &str = "</dd><script>alert(2)</script>";

fn page(project: &Project, file: &str) -> String {
    let page = std::fs::read_to_string(project.path(file)).unwrap();
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert!(page.ends_with("</html>"), "whole");
    assert!(
        !page.contains("<script") && !page.contains("<img"),
        "{page}"
    );
    page
}

fn says(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part:?} in {page}");
    }
}

/// A project with a hostile description and a login, and the arguments that release a version of it and leave a report.
fn project(test: &str, containerfile: &str) -> Project {
    let project = Project::new(test, containerfile);
    let toml = std::fs::read_to_string(project.path("rpub.toml")).unwrap();
    project.write("rpub.toml", &format!("{toml}description = \"{EVIL}\"\n"));
    project
}

async fn release(project: &Project, version: &str, to: &str) -> Outcome {
    let login = project.login(&["127.0.0.1:1"]);
    let (places, page) = (
        ["--to", to, "--authfile", &login],
        ["--report", "page.html"],
    );
    let args = [
        &["release", version],
        &places[..],
        &page,
        &["--format", "json"],
    ]
    .concat();
    project.run(&args).await
}

async fn well(project: &Project, version: &str, to: &str) -> Value {
    let run = release(project, version, to).await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    project.is_clean_after(&run);
    serde_json::from_str(&run.out).unwrap()
}

fn latest(registries: &[RegistryProcess; 2], name: &str) -> [Digest; 2] {
    registries.each_ref().map(|one| one.tags(name)["latest"])
}

#[tokio::test]
async fn release_leaves_a_page_that_says_what_the_registries_have() {
    let registries = two_registries();
    let slow = Rule::on("PUT", "/blobs/uploads/", Fault::status(503));
    let proxy = Proxy::before(registries[1].host()).rule(slow).start().await;
    let hosts = [registries[0].host(), proxy.host()];
    let (project, to) = (project("page", IMAGE), to(&hosts, "ns"));
    let name = format!("ns/{}", project.image());
    // So that the layers are the same in both releases.
    let built = project.run(&["build", "v1.2.3"]).await;
    assert_eq!(built.code, Some(0), "{}", built.err);
    let pushed = project
        .run(&["push", "v1.2.3", "--to", "./out", "--report", "pushed.html"])
        .await;
    assert_eq!(pushed.code, Some(0), "{}", pushed.err);
    says(
        &page(&project, "pushed.html"),
        &["✓</span> pushed by digest", "oci:./out/"],
    );

    let first = well(&project, "v1.2.3", &to).await;
    let page_of_first = page(&project, "page.html");
    let digest = latest(&registries, &name)[0];
    let list = manifest(&hosts[0], &name, "latest").await.unwrap();
    assert_eq!(list.digest(), digest);
    let child = list.children()[0].digest;
    let child = manifest(&hosts[1], &name, &child.to_string())
        .await
        .unwrap();
    let Body::Image { config, layers } = child.body() else {
        panic!("no image");
    };
    let told = &first["images"][0]["platforms"][0];
    assert_eq!(told["config"], config.digest.to_string());
    assert_eq!(told["layers"].as_array().unwrap().len(), 2);
    for (layer, told) in layers.iter().zip(told["layers"].as_array().unwrap()) {
        assert_eq!(told["digest"], layer.digest.to_string());
        let stored = blob(&hosts[0], &name, layer.digest).await;
        assert_eq!(told["size"], stored.len());
        says(&page_of_first, &[&layer.digest.short()]);
    }
    assert_eq!(told["layers"][1]["created_by"], "COPY file in /text");
    says(
        &page_of_first,
        &[
            "✓</span> released",
            &format!(">{digest}<"),
            &format!(">{}<", child.digest()),
            &format!("podman pull --tls-verify=false {}/{name}:1.2.3", hosts[0]),
            "COPY file in /text",
            "1 request was tried again",
            "&lt;script&gt;alert(2)",
            "uploaded in ",
            "latest named nothing before",
            "<span class=\"how uploaded\">new</span>",
        ],
    );
    assert_eq!(first["moves"].as_array().unwrap().len(), 6, "{first}");

    let second = well(&project, "v1.2.4", &to).await;
    let page = page(&project, "page.html");
    let now = latest(&registries, &name);
    assert_eq!(now[0], now[1]);
    assert_ne!(now[0], digest);
    let of_latest = |one: &&Value| one["tag"] == "latest";
    let moves: Vec<&Value> = second["moves"]
        .as_array()
        .unwrap()
        .iter()
        .filter(of_latest)
        .collect();
    for one in &moves {
        assert_eq!(one["from"], digest.to_string());
        assert_eq!(one["to"], now[0].to_string());
        assert_eq!(one["progress"], "done");
    }
    assert_eq!(moves.len(), 2);
    // 1.2.3 names the list still, and the layers were there. From 5.6 on a new commit's date is in its layers' files.
    let podman: semver::Version = second["podman"].as_str().unwrap().parse().unwrap();
    let layers = if (podman.major, podman.minor) >= (5, 6) {
        "<span class=\"how uploaded\">uploaded in "
    } else {
        "<span class=\"how there\">there</span>"
    };
    says(
        &page,
        &[
            &format!(">{digest}<"),
            &format!(">{}<", now[0]),
            "<span class=\"how uploaded\">moved</span>",
            layers,
            "1.2.3 still points at it: kept",
        ],
    );
}

#[tokio::test]
async fn release_that_is_rolled_back_or_fails_leaves_a_page_too() {
    let registries = two_registries();
    let no = Rule::on("PUT", "/manifests/latest", Fault::status(403))
        .nth(2)
        .onwards();
    let proxy = Proxy::before(registries[1].host()).rule(no).start().await;
    let to = to(&[registries[0].host(), proxy.host()], "ns");
    let project = project("rolled", IMAGE);
    let name = format!("ns/{}", project.image());
    well(&project, "v1.2.3", &to).await;
    let before = registries.each_ref().map(|one| one.tags(&name));
    project.write("text", "another");
    let run = release(&project, "v1.2.4", &to).await;
    project.failed(&run, 8, "rolled back", "", "");
    let after = latest(&registries, &name);
    assert_eq!(after, [before[0]["latest"], before[1]["latest"]]);
    let rolled = page(&project, "page.html");
    says(
        &rolled,
        &[
            "↺</span> rolled back",
            "users see what they saw before",
            "<span class=\"how mounted\">taken back</span>",
            &format!(">{}<", after[0]),
            "COPY file in /text",
            "Warning: ",
        ],
    );
    let line = run
        .err
        .lines()
        .find_map(|line| line.strip_prefix(" next: "));
    says(&rolled, &[line.unwrap()]);

    let failing =
        "FROM scratch\nCOPY busybox /bin/sh\nRUN echo '<script>alert(3)</script>'; exit 7\n";
    project.write("Containerfile", failing);
    let run = release(&project, "v1.2.5", &to).await;
    project.failed(&run, 3, "exit status 7", "STEP 3/", "mend that step");
    says(
        &page(&project, "page.html"),
        &[
            "✗</span> a build failed",
            "No tag has moved",
            "&lt;script&gt;alert(3)",
            "mend that step",
            "did not end",
        ],
    );
}

#[tokio::test]
async fn release_that_prunes_leaves_a_page_that_says_what_went() {
    let registry = RegistryProcess::start(&Auth::None);
    let to = to(&[registry.host()], "ns");
    let project = project("pruned", IMAGE);
    let name = format!("ns/{}", project.image());
    well(&project, "refs/heads/main", &to).await;
    let before: Vec<Digest> = registry.manifests(&name).into_keys().collect();
    project.write("text", "another");
    well(&project, "refs/heads/main", &to).await;
    let there = registry.manifests(&name);
    let page = page(&project, "page.html");
    says(&page, &["What was superseded", "latest named it before"]);
    assert_eq!(before.len(), 2);
    for gone in before {
        assert!(!there.contains_key(&gone));
        says(&page, &[&format!(">{gone}<")]);
    }
    let deleted = "<span class=\"how missing\">deleted</span>";
    assert_eq!(page.matches(deleted).count(), 2, "{page}");
}

#[tokio::test]
async fn release_whose_page_cannot_be_written_says_so_before_or_is_none_the_worse() {
    let project = project("unwritable", IMAGE);
    let args = ["release", "v1.2.3", "--to", "./out"];
    for file in ["gone/page.html", ".", "text/page.html"] {
        let run = project
            .run(&[&args[..], &["--report", file]].concat())
            .await;
        project.failed(&run, 2, "report", file, "--report FILE");
        assert!(!run.err.contains("==>"), "{}", run.err);
    }
    std::fs::create_dir(project.path("there")).unwrap();
    let mut command = project.command(&args);
    command.env("RPUB_REPORT", "there/page.html");
    let mut run = Running::start(command);
    run.until("==> build").await;
    std::fs::remove_dir(project.path("there")).unwrap();
    let run = run.finish().await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    let told = "warning: cannot write the report";
    assert!(run.err.contains(told), "{}", run.err);
    project.is_clean_after(&run);
}
