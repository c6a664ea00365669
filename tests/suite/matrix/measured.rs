//! Decides nothing: measures how long a release takes in which a registry answers one 503 in a stage (docs/benchmarks.md).
//! Must never run but when it is asked for: what it gives is time, which no test may judge.

use super::{Matrix, PATIENCE, machine::Machine, requests::Endpoint};
use crate::support::{
    faults::{Fault, Rule},
    proxy::Proxy,
};
use rpub::model::fault::Policy;
use std::time::Instant;

/// Stage, method, endpoint: the first such request is answered by a 503.
const STAGES: [(&str, &str, Endpoint); 6] = [
    ("preflight: tags", "GET", Endpoint::Tags),
    ("push: is the blob there", "HEAD", Endpoint::Blob),
    ("push: a blob", "PUT", Endpoint::Upload),
    ("push, assemble: a manifest", "PUT", Endpoint::Digest),
    ("verify: a manifest", "GET", Endpoint::Digest),
    ("tag: a tag", "PUT", Endpoint::Tag),
];

fn rule(method: &'static str, endpoint: Endpoint) -> Rule {
    let fits = move |one: &str, target: &str| one == method && Endpoint::of(target) == endpoint;
    Rule::at(fits, Fault::status(503))
}

/// `cargo nextest run --run-ignored only --no-capture -E 'test(matrix_measured)'`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn matrix_measured_one_503_in_each_stage() {
    let matrix = Matrix::new(false).await;
    let mut rows = vec![("no fault", vec![])];
    rows.extend(STAGES.map(|(stage, method, endpoint)| (stage, vec![(method, endpoint)])));
    let all = STAGES.map(|(_, method, endpoint)| (method, endpoint));
    rows.push(("one in each stage", all.to_vec()));
    for (stage, faults) in rows {
        let namespace = matrix.world.published_old();
        let mut first = Proxy::before(matrix.world.registries[0].host());
        for (method, endpoint) in faults {
            first = first.rule(rule(method, endpoint));
        }
        let second = Proxy::before(matrix.world.registries[1].host());
        let proxies = [first.start().await, second.start().await];
        let machine = Machine::new(&proxies, &namespace, PATIENCE).with(Policy::default());
        let begin = Instant::now();
        machine.release(&matrix.world.new).await.unwrap();
        println!("| {stage} | {:.2} s |", begin.elapsed().as_secs_f64());
    }
}
