//! Decides that publishing keeps its promise under any schedule of faults, crashes, restarts and a rival release.
//! Must never depend on the clock: time is paused, and every schedule follows from its seed.

mod chance;
mod run;
mod world;

use chance::Chance;
use rpub::error::Kind;
use run::Run;
use world::World;

/// What one machine's attempts at one release did, until it was published or the schedule ended.
async fn play(seed: u64) -> Result<&'static str, String> {
    let mut chance = Chance::new(seed);
    let world = World::new(&mut chance);
    let before = world.tags();
    let rival = chance.one_in(4);
    let mut run = Run::new(&world, "refs/tags/v1.1.0");
    let outcome = if rival {
        let mut other = Run::new(&world, "refs/tags/v1.0.1");
        let crash = chance.one_in(2).then(|| chance.below(60));
        let (mine, _) = tokio::join!(run.attempt(crash), other.attempt(None));
        mine
    } else {
        let crash = chance.one_in(2).then(|| chance.below(60));
        run.attempt(crash).await
    };
    world.broken()?;
    let ended = match &outcome {
        None => "crashed",
        Some(Ok(())) => {
            if !rival {
                world.agrees_on(&run.release(), "published")?;
            }
            "published"
        }
        Some(Err(error)) => match error.kind {
            Kind::RolledBack => {
                if !rival && world.tags() != before {
                    return Err(format!("rolled back to something else: {}", error.what));
                }
                "rolled back"
            }
            Kind::RollbackIncomplete => "a person is needed",
            // It had not begun: a target could not be read, or a newer release was there.
            Kind::Registry | Kind::Usage => {
                if !rival && world.tags() != before {
                    return Err(format!("{} changed something", error.what));
                }
                "did not begin"
            }
            kind => return Err(format!("ended as {kind:?}: {}", error.what)),
        },
    };
    // Whatever happened: run again when the registries are well, and it is published, and both agree.
    world.heal();
    match run.attempt(None).await {
        Some(Ok(())) => world.agrees_on(&run.release(), "run again")?,
        Some(Err(error)) => return Err(format!("run again after {ended}: {}", error.what)),
        None => return Err("nothing was to crash it".to_owned()),
    }
    world.broken()?;
    if !run.ledger_is_empty() {
        return Err("the journal of a finished release stays".to_owned());
    }
    Ok(ended)
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// `RPUB_SIMULATIONS` schedules (20,000 where it is not set), or the one of `RPUB_SEED`.
#[test]
fn simulation_of_faults_crashes_and_rivals_keeps_the_promise() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    if let Some(seed) = number("RPUB_SEED") {
        panic!("seed {seed}: {:?}", paused().block_on(play(seed)));
    }
    let runtime = paused();
    let mut ends = std::collections::BTreeMap::<&str, u64>::new();
    for seed in 0..number("RPUB_SIMULATIONS").unwrap_or(20_000) {
        match runtime.block_on(play(seed)) {
            Ok(ended) => *ends.entry(ended).or_default() += 1,
            Err(broken) => panic!("{broken}; replay it with RPUB_SEED={seed}"),
        }
    }
    // A simulation in which something never happens proves nothing of it.
    for end in [
        "published",
        "rolled back",
        "crashed",
        "a person is needed",
        "did not begin",
    ] {
        assert!(ends.get(end).copied().unwrap_or(0) > 50, "{end}: {ends:?}");
    }
}
