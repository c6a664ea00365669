//! Decides that a real terminal shows what goes on while rpub works, and nothing of it afterwards, however it ended.
//! Must never assert a time: the pane is looked at until something is there.

use crate::support::{
    faults::{Fault, Rule},
    images::{self, Image},
    project::{PASSWORD, Project, USER},
    proxy::Proxy,
    registries::{Auth, RegistryProcess},
    secrets,
    tmux::Terminal,
};
use rpub::{
    events::Events,
    model::reference::Host,
    registry::{CredentialSource, Options, Registry},
};
use std::io::Read as _;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Steps that take a while, in two stages; what they print is not for a screen.
const CONTAINERFILE: &str = "FROM scratch AS tools
COPY busybox /bin/sh
RUN echo one; sleep 2; printf 'a\\033[2Jb\\r'; echo made >/made
FROM scratch
COPY --from=tools /made /made
COPY one /one
COPY two /two
HEALTHCHECK CMD [\"/x\"]
";
/// Of one file: more than sockets hold on their way, and so many that its layer goes while later steps are built.
const BYTES: u64 = 33 << 20;
/// What the slow registry takes in a second.
const SPEED: u64 = 3 << 20;

/// Something is in the repository already: then nothing goes ahead from a podman before 4.9, and uploads are PUTs that
/// are tried again where all can see it.
async fn begin(host: &Host, image: &str) {
    let options = Options {
        insecure: true,
        ..Options::new(host.clone())
    };
    let (cancel, anonymous) = (CancellationToken::new(), CredentialSource::anonymous());
    let registry = Registry::new(options, anonymous, Events::default(), cancel).unwrap();
    let repository = registry.repository(format!("ns/{image}").parse().unwrap());
    let seed = Image::new("amd64", "seed");
    images::push(&repository, &seed).await;
    images::put(&repository, "seed", &seed.manifest).await;
}

/// A project that is released to two registries: one is slow, the other fails twice and is in no hurry.
struct Scene {
    project: Project,
    proxies: [Proxy; 2],
    _registries: [RegistryProcess; 2],
}

impl Scene {
    async fn new(test: &str) -> Self {
        let registries = [(); 2].map(|()| RegistryProcess::start(&Auth::None));
        let slow = Rule::on("PUT", "/blobs/uploads/", Fault::Slow(SPEED)).always();
        let busy = |nth, answer| Rule::on("POST", "/blobs/uploads/", answer).nth(nth);
        let asks = Fault::status(429).header("Retry-After", "3");
        let proxies = [
            Proxy::before(registries[0].host()).rule(slow),
            // The first request asks whether we may push.
            Proxy::before(registries[1].host())
                .tokens(USER, PASSWORD)
                .rule(busy(2, Fault::status(503)))
                .rule(busy(3, asks)),
        ];
        let [first, second] = proxies;
        let proxies = [first.start().await, second.start().await];
        let project = Project::new(test, CONTAINERFILE);
        let toml = std::fs::read_to_string(project.path("rpub.toml")).unwrap();
        let toml = toml.replace("first_delay = 0", "first_delay = 3");
        project.write("rpub.toml", &toml);
        for file in ["one", "two"] {
            let mut random = std::fs::File::open("/dev/urandom").unwrap().take(BYTES);
            let mut file = std::fs::File::create(project.path(file)).unwrap();
            std::io::copy(&mut random, &mut file).unwrap();
        }
        for registry in &registries {
            begin(&registry.host(), project.image()).await;
        }
        Scene {
            project,
            proxies,
            _registries: registries,
        }
    }

    fn hosts(&self) -> [String; 2] {
        self.proxies
            .each_ref()
            .map(|proxy| proxy.host().to_string())
    }

    /// Begins the release in a terminal of so many columns.
    fn release(&self, columns: usize) -> Terminal {
        let hosts = self.hosts();
        let args = self.project.release_args(&[&hosts[0], &hosts[1]]);
        Terminal::start(&self.project.command(&args.each()), (columns, 24))
    }
}

/// Whether a line is one that goes again.
fn is_live(line: &str) -> bool {
    let words = [
        "%  ",
        "again in",
        "asked to wait",
        "  build step",
        "/s  ",
        " left",
    ];
    words.iter().any(|word| line.contains(word))
}

/// Nothing of the live lines is there, nor of a secret, and the cursor is seen.
fn is_tidy(terminal: &Terminal) {
    let history = terminal.history();
    let live: Vec<&str> = history.lines().filter(|line| is_live(line)).collect();
    assert_eq!(live, Vec::<&str>::new(), "{history}");
    assert!(!secrets::is_in(history.as_bytes()), "{history}");
    assert!(terminal.has_cursor(), "{history}");
}

/// What is to be seen at some moment of a release, whenever that is.
type Moment = (&'static str, Box<dyn Fn(&str) -> bool>);

fn moments([slow, busy]: [String; 2]) -> [Moment; 4] {
    // The line of a registry, as far as it has words of its own on it.
    let line = |host: &str, words: &'static str| {
        let host = host.to_owned();
        move |pane: &str| {
            let mut lines = pane.lines();
            lines.any(|line| line.contains(&host) && line.contains(words) && is_live(line))
        }
    };
    let (waits, sends) = (line(&busy, "again in"), line(&slow, "%"));
    [
        ("it builds", Box::new(|pane| pane.contains("[1/2] 3/3"))),
        (
            "one registry waits, the other is sent to",
            Box::new(move |pane| waits(pane) && sends(pane)),
        ),
        ("one asked to wait", Box::new(line(&busy, "asked to wait"))),
        ("some time is left", Box::new(line(&slow, " left"))),
    ]
}

/// Follows a release to its end; its moments.
async fn followed(test: &str, columns: usize) -> (Scene, Vec<(&'static str, String)>) {
    let scene = Scene::new(test).await;
    let terminal = scene.release(columns);
    let moments = moments(scene.hosts());
    let mut seen: [Option<String>; 4] = Default::default();
    let code = terminal.watched(|pane| {
        for ((_, is_it), seen) in moments.iter().zip(&mut seen) {
            if seen.is_none() && is_it(pane) {
                *seen = Some(pane.to_owned());
            }
        }
        assert!(!secrets::is_in(pane.as_bytes()), "{pane}");
        // A live line that was broken in two would fill the first of them.
        let full = |line: &&str| is_live(line) && line.chars().count() >= columns;
        assert_eq!(pane.lines().find(full), None, "{pane}");
    });
    let code = code.await;
    let history = terminal.history();
    assert_eq!(code, 0, "{history}");
    is_tidy(&terminal);
    for words in ["  built ", ", 2 requests tried again", "podman pull "] {
        assert!(history.contains(words), "{words} in {history}");
    }
    assert!(!history.contains("STEP "), "what podman prints: {history}");
    // What is copied is whole, on one line or on two.
    for host in scene.hosts() {
        let pull = format!(" {host}/ns/{}:1.2.3\n", scene.project.image());
        assert!(history.contains(&pull), "{pull} in {history}");
    }
    let mut found = Vec::new();
    for ((name, _), seen) in moments.iter().zip(seen) {
        found.push((*name, seen.unwrap_or_else(|| panic!("{name}: {history}"))));
    }
    found.push(("the end", history));
    (scene, found)
}

/// Keeps what was seen, where somebody wants to look at it (scripts/capture-terminal).
fn keep(columns: usize, seen: &[(&str, String)]) {
    let Some(folder) = std::env::var_os("RPUB_CAPTURES") else {
        return;
    };
    let panes = seen.iter();
    let panes = panes.map(|(title, pane)| format!("--- {title}\n{}\n", pane.trim_end()));
    let text = panes.collect::<Vec<_>>().join("\n");
    std::fs::write(Path::new(&folder).join(format!("{columns}.txt")), text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminal_of_80_columns_shows_a_release() {
    let (_scene, seen) = followed("tty-80", 80).await;
    keep(80, &seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminal_of_200_columns_shows_a_release() {
    let (_scene, seen) = followed("tty-200", 200).await;
    keep(200, &seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminal_of_40_columns_shows_a_release() {
    let (_scene, seen) = followed("tty-40", 40).await;
    keep(40, &seen);
}

/// Ctrl-C in the middle of live lines, in a window that has become narrower under them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminal_is_tidy_after_an_interrupt_in_a_narrower_window() {
    let scene = Scene::new("tty-int").await;
    let terminal = scene.release(120);
    let hosts = scene.hosts();
    let sends = |pane: &str| {
        pane.lines()
            .any(|l| l.contains(&hosts[0]) && l.contains('%'))
    };
    terminal.until("it is sent", sends).await;
    terminal.resize(50);
    // The next picture is drawn for the new width.
    let fits = |pane: &str| sends(pane) && !pane.contains("[#") && !pane.contains("[.");
    terminal.until("a picture of the new width", fits).await;
    terminal.press("C-c");
    let code = terminal.watched(|_| {}).await;
    assert_eq!(code, 5, "{}", terminal.history());
    is_tidy(&terminal);
    assert!(terminal.history().contains("error: interrupted"));
}

/// A short live line stands where a long one stood, in a window that has become narrower under it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminal_is_tidy_where_a_short_line_took_the_place_of_a_long_one() {
    let long = format!("RUN sleep 1{}\n", "; true".repeat(20));
    let steps = format!("FROM scratch\nCOPY busybox /bin/sh\n{long}RUN sleep 600\n");
    let project = Project::new("tty-short", &steps);
    let terminal = Terminal::start(&project.command(&["build", "v1.2.3"]), (120, 24));
    let has = |words: &'static str| move |pane: &str| pane.contains(words);
    terminal.until("the long line", has("; true; true")).await;
    terminal
        .until("the short line", has("  RUN sleep 600"))
        .await;
    terminal.resize(50);
    terminal.until("the new width", has("\n  4/5 ")).await;
    terminal.press("C-c");
    let code = terminal.watched(|_| {}).await;
    assert_eq!(code, 5, "{}", terminal.history());
    is_tidy(&terminal);
}

/// With -v every event that has a line is told in one, and none of them tells a secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminal_is_told_every_line_where_it_asks_for_them() {
    let registry = RegistryProcess::start(&Auth::None);
    let busy = Rule::on("POST", "/blobs/uploads/", Fault::status(503)).nth(2);
    let proxy = Proxy::before(registry.host()).tokens(USER, PASSWORD);
    let proxy = proxy.rule(busy).start().await;
    let project = Project::plain("tty-v");
    let host = proxy.host().to_string();
    let args = project.release_args(&[&host]);
    let args = [&args.each()[..], &["-v"]].concat();
    let terminal = Terminal::start(&project.command(&args), (100, 50));
    let code = terminal.watched(|pane| assert!(!secrets::is_in(pane.as_bytes()), "{pane}"));
    let code = code.await;
    let history = terminal.history();
    assert_eq!(code, 0, "{history}");
    for words in [
        "| STEP 2/",
        "podman sent ",
        " uploaded, ",
        ": the registry failed: 503 Service Unavailable; trying again in ",
        "  pushed ",
    ] {
        assert!(history.contains(words), "{words} in {history}");
    }
    assert!(!secrets::is_in(history.as_bytes()), "{history}");
}

/// A terminal that draws nothing is told lines, and so is CI.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminal_without_live_lines_has_lines_that_stay() {
    let project = Project::plain("tty-dumb");
    for (name, value) in [("TERM", "dumb"), ("CI", "true")] {
        let to = format!("./{name}");
        let mut command = project.command(&["release", "v1.2.3", "--to", &to]);
        command.env(name, value);
        let terminal = Terminal::start(&command, (100, 50));
        let code = terminal.watched(|_| {}).await;
        let history = terminal.history();
        assert_eq!(code, 0, "{history}");
        assert!(history.contains("| STEP 2/"), "{history}");
        assert!(history.contains("  pushed oci:"), "{history}");
    }
}

/// Each reference, and not a word more.
#[tokio::test]
async fn terminal_or_not_quiet_results_are_references() {
    let project = Project::plain("quiet");
    let built = project.run(&["build", "v1.2.3", "-q"]).await;
    assert_eq!(built.err, "");
    let name = built.out.strip_suffix('\n').unwrap();
    project.podman(&["image", "exists", name]);
    let pushed = project
        .run(&["push", "v1.2.3", "--to", "./out", "-q"])
        .await;
    let place = format!("oci:./out/{}", project.image());
    let digest = pushed
        .out
        .strip_prefix(&format!("{place}@sha256:"))
        .unwrap();
    assert_eq!(digest.trim_end().len(), 64, "{}", pushed.out);
    let tags: String = ["1.2.3", "1.2", "latest"]
        .map(|tag| format!("{place}:{tag}\n"))
        .concat();
    for command in ["release", "verify"] {
        let run = project
            .run(&[command, "v1.2.3", "--to", "./out", "-q"])
            .await;
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        assert_eq!(run.out, tags);
    }
}
