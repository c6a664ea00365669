//! Decides that a release survives each single fault of a registry, and keeps its promise under each lasting one.
//! Must never list requests by hand: those that a release makes are seen in a release without faults.

mod machine;
mod measured;
mod requests;
mod verdict;
mod world;

use crate::support::{
    faults::{Fault, Rule},
    proxy::{Builder, Proxy, Seen},
    secrets,
};
use futures::{StreamExt as _, stream};
use machine::Machine;
use requests::{Endpoint, Request, counted};
use std::{fmt, time::Duration};
use verdict::{End, check_lasting, check_single};
use world::{PASSWORD, USER, World};

/// Cases under way at the same time.
const AT_ONCE: usize = 8;
/// What no healthy registry needs, however busy the machine is.
const PATIENCE: Duration = Duration::from_mins(1);

/// One fault at one request of a release.
#[derive(Debug, Clone)]
struct Case {
    /// Which of both registries fails.
    place: usize,
    request: Request,
    /// At which such request, the first being 1.
    nth: u32,
    /// How many such requests come after it in a release without faults.
    left: u32,
    /// Whether it fails at each such request from then on.
    lasting: bool,
    name: &'static str,
    fault: Fault,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case {
            place,
            request,
            nth,
            lasting,
            name,
            ..
        } = self;
        let lasting = if *lasting { " onwards" } else { "" };
        write!(f, "registry {place}, {request} {nth}{lasting}, {name}")
    }
}

/// A table of faults over all requests of a release.
struct Matrix {
    world: World,
    tokens: bool,
    silence: Duration,
}

impl Matrix {
    async fn new(tokens: bool) -> Self {
        Matrix {
            world: World::new().await,
            tokens,
            silence: PATIENCE,
        }
    }

    async fn proxies(&self, case: Option<&Case>) -> [Proxy; 2] {
        let builder = |place: usize| -> Builder {
            let mut builder = Proxy::before(self.world.registries[place].host());
            if self.tokens {
                builder = builder.tokens(USER, PASSWORD);
            }
            if let Some(case) = case.filter(|case| case.place == place) {
                let request = case.request.clone();
                let fits = move |method: &str, target: &str| request.is(method, target);
                let rule = Rule::at(fits, case.fault.clone()).nth(case.nth);
                builder = builder.rule(if case.lasting { rule.onwards() } else { rule });
            }
            builder
        };
        [builder(0).start().await, builder(1).start().await]
    }

    /// The requests of a release without faults, by registry.
    async fn seen(&self) -> [Vec<Seen>; 2] {
        let namespace = self.world.published_old();
        let proxies = self.proxies(None).await;
        let machine = Machine::new(&proxies, &namespace, PATIENCE);
        machine.release(&self.world.new).await.unwrap();
        let state = self.world.look(&namespace).await.unwrap();
        self.world.is_new(&state).unwrap();
        proxies.map(|proxy| proxy.seen())
    }

    /// Every fault at every request that `at` takes, once and for ever. `RPUB_MATRIX=all` runs each on both registries,
    /// `RPUB_MATRIX=NAME` only the case of that name.
    async fn run(&self, faults: &[(&'static str, Fault)], at: impl Fn(&Request) -> bool) {
        let wanted = std::env::var("RPUB_MATRIX").unwrap_or_default();
        let mut cases = Vec::new();
        for (place, seen) in self.seen().await.iter().enumerate() {
            for (request, count) in counted(seen).into_iter().filter(|(one, _)| at(one)) {
                for nth in 1..=count {
                    // The first, one in the middle and the last stand for all; for those that last, the first and the last.
                    let ends = nth == 1 || nth == count;
                    for (index, (name, fault)) in faults.iter().enumerate() {
                        for lasting in [false, true] {
                            let stands = ends || nth == count.div_ceil(2) && !lasting;
                            let case = Case {
                                place,
                                request: request.clone(),
                                nth,
                                left: count - nth,
                                lasting,
                                name,
                                fault: fault.clone(),
                            };
                            // By turns on the one and on the other: they are asked the same.
                            let turn = (nth as usize + index + usize::from(lasting)) % 2;
                            if case.to_string() == wanted
                                || wanted == "all"
                                || wanted.is_empty() && stands && turn == place
                            {
                                cases.push(case);
                            }
                        }
                    }
                }
            }
        }
        let number = cases.len();
        assert!(number > 0 || !wanted.is_empty(), "nothing is tried");
        let playing = stream::iter(cases).map(async |case| {
            let played = self.play(&case).await;
            played.err().map(|broken| format!("{case}: {broken}"))
        });
        let broken: Vec<String> = playing
            .buffer_unordered(AT_ONCE)
            .filter_map(async |broken| broken)
            .collect()
            .await;
        assert!(
            broken.is_empty(),
            "{} of {number} cases; one alone: RPUB_MATRIX='NAME'\n{}",
            broken.len(),
            broken.join("\n")
        );
    }

    async fn play(&self, case: &Case) -> Result<(), String> {
        let (world, images) = (&self.world, &self.world.new);
        let namespace = &*world.published_old();
        let proxies = self.proxies(Some(case)).await;
        let mut machine = Machine::new(&proxies, namespace, self.silence);
        let released = machine.release(images).await;
        let told = match &released {
            Ok(()) => String::new(),
            Err(error) => format!("{error} / {}", error.hint),
        };
        let end = End {
            kind: released.as_ref().err().map(|error| error.kind),
            journal: machine.is_unfinished(),
        };
        let traces = machine.traces() + &told;
        if secrets::is_in(traces.as_bytes()) {
            return Err(format!("a secret is in {traces}"));
        }
        let with_traces = |broken: String| format!("{broken}\n  {end:?}: {traces}");
        let state = world.look(namespace).await.map_err(with_traces)?;
        match end.kind {
            None => world.is_new(&state).map_err(with_traces)?,
            Some(_) if end.journal => {}
            Some(_) => world
                .is_old(&state, namespace, &traces)
                .map_err(with_traces)?,
        }
        if case.lasting {
            check_lasting(case, &end).map_err(with_traces)?;
        } else {
            check_single(case, &end).map_err(with_traces)?;
        }
        if end.kind.is_some() {
            for proxy in &proxies {
                proxy.heal();
            }
            let again = machine.release(images).await;
            again.map_err(|error| with_traces(format!("run again: {error}")))?;
            let state = world.look(namespace).await.map_err(with_traces)?;
            world.is_new(&state).map_err(with_traces)?;
        }
        if machine.is_unfinished() {
            return Err(with_traces("its journal stays".to_owned()));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_requests_is_the_one_that_a_release_makes() {
    let [first, second] = Matrix::new(true).await.seen().await;
    let (first, second) = (counted(&first), counted(&second));
    let names: Vec<String> = first.keys().map(ToString::to_string).collect();
    insta::assert_debug_snapshot!(names);
    // The relay looks into a blob on the first registry only; all else is asked of both.
    for (request, count) in &second {
        let more = first[request] - count;
        let looks = request.method == "GET" && request.endpoint == Endpoint::Blob;
        assert!(
            more == 0 || looks || request.endpoint == Endpoint::Token,
            "{request}: {first:?} {second:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_lost_connections() {
    let faults = [
        ("reset", Fault::Reset),
        ("closed after the body", Fault::CloseAfterBody),
        ("answer lost", Fault::LoseAnswer),
        ("half the answer", Fault::HalfAnswer),
    ];
    Matrix::new(false).await.run(&faults, |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_refusals() {
    let faults = [
        ("401", Fault::status(401)),
        ("403", Fault::status(403)),
        ("404", Fault::status(404)),
        ("408", Fault::status(408)),
    ];
    Matrix::new(false).await.run(&faults, |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_failures() {
    let faults = [
        ("429", Fault::status(429)),
        ("500", Fault::status(500)),
        ("502", Fault::status(502)),
        ("503", Fault::status(503)),
        ("504", Fault::status(504)),
    ];
    Matrix::new(false).await.run(&faults, |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_other_answers() {
    let faults = [
        ("a web page", Fault::html(200)),
        ("a web page for a 502", Fault::html(502)),
        ("another digest", Fault::WrongDigest),
    ];
    Matrix::new(false).await.run(&faults, |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_waits() {
    let mut matrix = Matrix::new(false).await;
    let asked = Fault::status(429).header("Retry-After", "1");
    matrix.run(&[("429 for a second", asked)], |_| true).await;
    matrix.silence = Duration::from_secs(1);
    matrix.run(&[("silence", Fault::Silence)], |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matrix_of_tokens() {
    let matrix = Matrix::new(true).await;
    let expired = [("token expired", Fault::Expired)];
    let is_token = |request: &Request| request.endpoint == Endpoint::Token;
    matrix.run(&expired, |request| !is_token(request)).await;
    let faults = [
        ("reset", Fault::Reset),
        ("401", Fault::status(401)),
        ("403", Fault::status(403)),
        ("404", Fault::status(404)),
        ("500", Fault::status(500)),
        ("429", Fault::status(429)),
        ("a web page", Fault::html(200)),
    ];
    matrix.run(&faults, is_token).await;
}
