//! Decides that nothing is deleted after an answer that is not to be trusted, and that it is said why.
//! Must never list requests by hand: those that a prune makes are seen in one that goes well.

use super::stock::{Stock, project, prune};
use crate::support::{
    faults::{Fault, Rule},
    project::{Outcome, Project},
    proxy::{Proxy, Seen},
};
use futures::{StreamExt as _, stream};
use std::collections::BTreeMap;

/// Prunes under way at once.
const AT_ONCE: usize = 4;

/// One fault at a request.
struct Case {
    number: usize,
    method: String,
    /// The end of its path, with which it can be told from all others.
    end: String,
    nth: u32,
    lasting: bool,
    name: &'static str,
    fault: Fault,
}

fn faults() -> Vec<(&'static str, Fault)> {
    vec![
        ("500", Fault::status(500)),
        ("a web page", Fault::html(200)),
        ("half the answer", Fault::HalfAnswer),
        ("403", Fault::status(403)),
        ("reset", Fault::Reset),
        ("404", Fault::status(404)),
        ("another digest", Fault::WrongDigest),
        (
            "nonsense",
            Fault::status(200).body("{\"manifests\": [{}], \"tags\": 7}"),
        ),
        ("429", Fault::status(429)),
    ]
}

/// What is not the namespace's: `/manifests/latest`, `/tags/list?n=1000`.
fn end(seen: &Seen) -> String {
    let (_, end) = seen
        .target
        .split_once("/app/")
        .expect("a repository's path");
    format!("/app/{end}$")
}

/// How often a prune that goes well makes each request that reads.
async fn requests(stock: &Stock, project: &Project) -> BTreeMap<(String, String), u32> {
    let name = stock.copy("seen");
    let proxy = Proxy::before(stock.registry.host()).start().await;
    let run = prune(
        project,
        &proxy,
        "seen",
        &["--digest", &stock.old.to_string()],
    )
    .await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(
        stock.has(&name, &stock.going).await.is_empty(),
        "{}",
        run.out
    );
    assert_eq!(stock.has(&name, &stock.live).await, stock.live);
    let mut counted = BTreeMap::new();
    for seen in proxy.seen() {
        if seen.method != "DELETE" {
            *counted
                .entry((seen.method.clone(), end(&seen)))
                .or_default() += 1;
        }
    }
    counted
}

async fn play(stock: &Stock, project: &Project, case: &Case) -> Result<(), String> {
    let namespace = format!("case-{}", case.number);
    let name = stock.copy(&namespace);
    let (method, end_of) = (case.method.clone(), case.end.clone());
    let fits = move |asked: &str, target: &str| {
        asked == method && crate::support::faults::matches(&end_of, target)
    };
    let rule = Rule::at(fits, case.fault.clone()).nth(case.nth);
    let rule = if case.lasting { rule.onwards() } else { rule };
    let proxy = Proxy::before(stock.registry.host())
        .rule(rule)
        .start()
        .await;
    let digest = stock.old.to_string();
    let run = prune(project, &proxy, &namespace, &["--digest", &digest]).await;
    let seen = proxy.seen();
    let this = |seen: &&Seen| seen.method == case.method && end(seen) == case.end;
    let broken = seen.iter().filter(this).nth(case.nth as usize - 1);
    let Some(broken) = broken else {
        return Err(format!("the request was not made\n{}", run.err));
    };
    let live = stock.has(&name, &stock.live).await;
    if live != stock.live {
        return Err(format!("lost {:?}\n{}", &stock.live - &live, run.err));
    }
    let deletes = seen.iter().filter(|seen| seen.method == "DELETE");
    let after = deletes.filter(|seen| seen.came > broken.came).count();
    let left = stock.has(&name, &stock.going).await;
    let about_going = stock
        .going
        .iter()
        .any(|digest| case.end.contains(&digest.hex()));
    match run.code {
        // It did not matter: a second try, or another request that says the same, did well.
        Some(0) if left.is_empty() => Ok(()),
        // A repository that is not there: nothing to do.
        Some(0) if case.name == "404" && after == 0 => Ok(()),
        // A lie about what goes itself, that it is gone already or is something else: then that part of it stays.
        Some(0) if ["404", "another digest"].contains(&case.name) && about_going => Ok(()),
        Some(10) if after == 0 && is_told(&run) => Ok(()),
        code => Err(format!(
            "{code:?}, {after} deletions after it\n{}\n{}",
            run.err, run.out
        )),
    }
}

/// What, where and what to do, each in its line.
fn is_told(run: &Outcome) -> bool {
    let line = |start: &str| {
        run.err
            .lines()
            .any(|line| line.starts_with(start) && line.len() > 12)
    };
    line("error: ") && line("   at: ") && line(" next: ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prune_deletes_nothing_after_an_answer_that_is_broken() {
    let (stock, project) = (Stock::new().await, project());
    let mut cases = Vec::new();
    for (index, ((method, end), count)) in requests(&stock, &project).await.into_iter().enumerate()
    {
        for (turn, (name, fault)) in faults().into_iter().enumerate() {
            // For ever from the first on, and for each request some of them once, or only from the last one on.
            let mut kinds = vec![(1, true)];
            if (index + turn) % 3 == 0 {
                kinds.push((1, false));
            } else if (index + turn) % 3 == 1 && count > 1 {
                kinds.push((count, true));
            }
            for (nth, lasting) in kinds {
                cases.push(Case {
                    number: cases.len(),
                    method: method.clone(),
                    end: end.clone(),
                    nth,
                    lasting,
                    name,
                    fault: fault.clone(),
                });
            }
        }
    }
    let number = cases.len();
    assert!(number > 100, "{number}");
    let playing = stream::iter(cases).map(async |case| {
        let broken = play(&stock, &project, &case).await.err()?;
        let Case {
            method,
            end,
            nth,
            lasting,
            name,
            ..
        } = case;
        Some(format!(
            "{method} {end} no. {nth}, lasting {lasting}, {name}: {broken}"
        ))
    });
    let playing = playing
        .buffer_unordered(AT_ONCE)
        .filter_map(async |broken| broken);
    let broken: Vec<String> = playing.collect().await;
    assert!(
        broken.is_empty(),
        "{} of {number}\n{}",
        broken.len(),
        broken.join("\n")
    );
}
