//! Decides that a layer cache in a registry spares an empty machine what did not change, and never fails a build.
//! Must never pass where a step ran that could have come from the cache: every RUN writes a value of chance.

/// A cache that fails, refuses or lies.
mod bad;

use crate::support::{
    project::{Outcome, PASSWORD, Project, Running, USER},
    proxy::Proxy,
    registries::{Auth, RegistryProcess},
};

/// Steps that write what nobody can guess.
const RUNS: usize = 8;

/// COPY, `RUNS` times RUN, COPY of `text`, RUN.
fn many_layers() -> String {
    let run = |name: &str| {
        format!(
            "RUN [\"/busybox\", \"sh\", \"-c\", \"/busybox head -c 16 /dev/urandom >/{name}\"]\n"
        )
    };
    let mut text = "FROM scratch\nCOPY busybox /busybox\n".to_owned();
    for number in 0..RUNS {
        text += &run(&format!("r{number}"));
    }
    text + "COPY text /text\n" + &run("last") + "HEALTHCHECK CMD [\"/busybox\", \"true\"]\n"
}

fn registry() -> RegistryProcess {
    RegistryProcess::start(&Auth::Basic {
        user: USER,
        password: PASSWORD,
    })
}

/// A machine that has nothing: the same image in a storage of its own.
fn empty(test: &str) -> Project {
    Project::new(test, &many_layers())
}

/// Runs rpub as of a commit of this time, with the cache on this host and the login for all of `hosts`.
async fn run(project: &Project, time: &str, args: &[&str], cache: &str, hosts: &[&str]) -> Outcome {
    let login = project.login(hosts);
    // As GitHub's variables have an owner.
    let place = format!("http://{cache}/Cache/Owner");
    let mut command = project.command(args);
    command.args(["--authfile", &login]);
    command
        .env("RPUB_CACHE_FROM", &place)
        .env("RPUB_CACHE_TO", &place);
    command.env("SOURCE_DATE_EPOCH", time);
    Running::start(command).finish().await
}

/// `rpub build` that succeeds and leaves nothing behind; what it printed.
async fn built(project: &Project, time: &str, cache: &str) -> Outcome {
    let outcome = run(project, time, &["build", "v1.2.3"], cache, &[cache]).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    project.is_clean_after(&outcome);
    let names = project.podman(&["images", "-a", "--format", "{{.Repository}}"]);
    assert!(!names.contains("cache/"), "{names}");
    outcome
}

/// The layers of the image that `rpub build` kept.
fn layers(project: &Project) -> Vec<String> {
    let name = format!("localhost/rpub/{}", project.image());
    let tag = crate::support::engine::native().slug();
    let format = "{{range .RootFS.Layers}}{{.}} {{end}}";
    let told = project.podman(&[
        "image",
        "inspect",
        "--format",
        format,
        &format!("{name}:{tag}"),
    ]);
    told.split_whitespace().map(str::to_owned).collect()
}

/// How many lines say this.
fn count(outcome: &Outcome, text: &str) -> usize {
    outcome
        .err
        .lines()
        .filter(|line| line.contains(text))
        .count()
}

const FETCHED: &str = "--> Cache pulled from remote";
const LEFT: &str = "--> Pushing cache";
/// COPY, the RUNs, COPY, RUN, HEALTHCHECK, LABEL.
const STEPS: usize = RUNS + 5;

#[tokio::test]
async fn cache_spares_an_empty_machine_all_that_did_not_change() {
    let registry = registry();
    let proxy = Proxy::before(registry.host()).start().await;
    let host = proxy.host();
    let cold = empty("cache-warm");
    let outcome = built(&cold, "1700000000", host.as_str()).await;
    assert_eq!(
        (count(&outcome, FETCHED), count(&outcome, LEFT)),
        (0, STEPS)
    );
    assert!(!outcome.err.contains("warning"), "{}", outcome.err);

    // The same commit elsewhere: not one step is built.
    let warm = empty("cache-warm");
    let outcome = built(&warm, "1700000000", host.as_str()).await;
    assert_eq!(
        (count(&outcome, FETCHED), count(&outcome, LEFT)),
        (STEPS, 0)
    );
    assert_eq!(layers(&warm), layers(&cold));

    // The next commit, elsewhere, with another file in the last COPY: that, and what comes after it.
    let next = empty("cache-warm");
    next.write("text", "changed");
    let outcome = built(&next, "1700009000", host.as_str()).await;
    assert_eq!(
        (count(&outcome, FETCHED), count(&outcome, LEFT)),
        (1 + RUNS, 4)
    );
    let (old, new) = (layers(&cold), layers(&next));
    assert_eq!(new.len(), old.len());
    assert_eq!(new[..=RUNS], old[..=RUNS]);
    assert!(new[1 + RUNS..].iter().all(|layer| !old.contains(layer)));

    // What was fetched is what the next build on the same machine begins with.
    let outcome = built(&next, "1700009000", "127.0.0.1:9").await;
    assert_eq!(layers(&next), new, "{}", outcome.err);

    // Each platform has its own repository, in the namespace as registries want it.
    let repository = format!("/v2/cache/owner/{}-cache-", cold.image());
    let elsewhere = proxy.seen().into_iter().filter(|seen| {
        seen.target.contains("/manifests/") && !seen.target.starts_with(&repository)
    });
    assert_eq!(elsewhere.count(), 0);
}

/// Nothing is compressed twice: all that podman sends the relay goes to the cache, and the release is made of that.
#[tokio::test]
async fn cache_of_a_release_is_what_the_release_is_pushed_from() {
    let registry_of_cache = registry();
    let cache = registry_of_cache.host();
    for (cold, sent) in [(true, RUNS + 3 + STEPS), (false, 0)] {
        let target = registry();
        let proxy = Proxy::before(target.host()).start().await;
        let host = proxy.host();
        let to = format!("http://{host}/ns");
        let args = ["release", "v1.2.3", "-v", "--to", &to];
        let hosts = [cache.as_str(), host.as_str()];
        let project = empty("cache-release");
        let outcome = run(&project, "1700000000", &args, cache.as_str(), &hosts).await;
        assert_eq!(outcome.code, Some(0), "{}", outcome.err);
        project.is_clean_after(&outcome);
        let left = project.podman(&["images", "-a", "-q"]);
        assert_eq!(left, "", "a release leaves nothing");
        let expected = if cold { (0, STEPS) } else { (STEPS, 0) };
        let steps = (count(&outcome, FETCHED), count(&outcome, LEFT));
        assert_eq!(steps, expected, "{}", outcome.err);
        assert_eq!(count(&outcome, "podman sent"), sent, "{}", outcome.err);
        // The cache wrote no tag there, and nothing of it lies there.
        let seen = proxy.seen();
        assert!(
            seen.iter()
                .all(|seen| !seen.target.contains("-cache-linux"))
        );
        let put = seen.iter().filter(|seen| seen.method == "PUT");
        let tags = put.filter_map(|seen| seen.target.split_once("/manifests/"));
        let tags: Vec<&str> = tags
            .map(|(_, tag)| tag)
            .filter(|tag| tag.len() < 64)
            .collect();
        assert_eq!(tags, ["1.2.3", "1.2", "latest"]);
    }
}

#[tokio::test]
async fn cache_never_shows_podman_the_registrys_login() {
    let registry = registry();
    let host = registry.host();
    let project = Project::new(
        "cache-secret",
        "FROM scratch\nCOPY busybox /busybox\nRUN [\"/busybox\", \"sleep\", \"5\"]\nHEALTHCHECK CMD [\"/x\"]\n",
    );
    let login = project.login(&[host.as_str()]);
    let place = format!("http://{host}/ns");
    let args = [
        "build",
        "v1.2.3",
        "--authfile",
        &login,
        "--cache-from",
        &place,
        "--cache-to",
        &place,
    ];
    let mut running = Running::start(project.command(&args));
    running.until("STEP 3/").await;
    let processes = project.processes();
    assert!(
        processes
            .iter()
            .any(|(_, line)| line.contains("system service"))
    );
    for (pid, line) in &processes {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        for text in [line.clone(), String::from_utf8_lossy(&environ).into_owned()] {
            assert!(!text.contains(PASSWORD), "{text}");
        }
        // podman's own files of logins are in its runtime folder or in /var/tmp, if anywhere.
        assert!(
            !line.contains("auth.json") || line.contains("rpub"),
            "{line}"
        );
    }
    project.holds_no_secret();
    let outcome = running.finish().await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    project.is_clean_after(&outcome);
    assert!(registry.access_log().contains("-cache-linux-"));
}

/// A base's name is that of one platform at a time in podman's storage: the next platform's build fetches its own.
#[tokio::test]
async fn cache_serves_two_platforms_of_one_base() {
    let (cache, bases) = (registry(), RegistryProcess::start(&Auth::None));
    let base = format!("{}/base:1", bases.host());
    let made = Project::plain("cache-two-bases");
    made.podman(&["manifest", "create", "list"]);
    // What is built last is native wherever this runs on amd64: its base is then fetched under a name that is taken.
    let platforms = ["linux/arm64", "linux/amd64"];
    for platform in platforms {
        let folder = made.path("").display().to_string();
        made.podman(&[
            "build",
            "-q",
            "--no-cache",
            "--platform",
            platform,
            "--manifest",
            "list",
            &folder,
        ]);
    }
    let to = format!("docker://{base}");
    made.podman(&[
        "manifest",
        "push",
        "-q",
        "--all",
        "--tls-verify=false",
        "list",
        &to,
    ]);

    let project = Project::new("cache-two", &format!("FROM {base}\nCOPY text /more\n"));
    let toml = format!(
        "[[image]]\nname = \"{}\"\nplatforms = {platforms:?}\n",
        project.image()
    );
    project.write("rpub.toml", &toml);
    // What a user says who has such a registry: podman is never told by rpub.
    let conf = format!(
        "[[registry]]\nlocation = \"{}\"\ninsecure = true\n",
        bases.host()
    );
    project.write("registries.conf", &conf);
    let place = format!("http://{}/cache", cache.host());
    let login = project.login(&[cache.host().as_str()]);
    let both = platforms.join(",");
    let mut command = project.command(&["build", "v1.2.3", "--platform", &both]);
    command.args([
        "--authfile",
        &login,
        "--cache-from",
        &place,
        "--cache-to",
        &place,
    ]);
    command.env(
        "CONTAINERS_REGISTRIES_CONF",
        project.path("registries.conf"),
    );
    let outcome = Running::start(command).finish().await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert_eq!(count(&outcome, "warning:"), 0, "{}", outcome.err);
    assert_eq!(count(&outcome, "built "), 2, "{}", outcome.err);
}
