//! Decides which measurements a run makes, and hands their results out as lines of JSON on stdout.
//! Must never go beyond this machine: every registry that it publishes to is one that it started.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod base;
mod build;
mod cores;
mod growth;
mod home;
mod images;
mod levels;
mod link;
mod machine;
mod needs;
mod nothing;
mod page;
mod plots;
mod push;
#[path = "../../tests/suite/support/registries.rs"]
#[allow(dead_code, reason = "tests look into a registry, too")]
mod registries;
mod results;
mod run;
mod world;

use args::Args;
use results::{Section, Table};
use std::process::ExitCode;
use world::World;

fn main() -> ExitCode {
    let args = match Args::parse() {
        Ok(args) => args,
        Err(why) => {
            eprintln!("publish: {why}");
            return ExitCode::from(2);
        }
    };
    if let Some(folder) = &args.keep {
        results::keep(std::io::stdin().lines().map_while(Result::ok), folder);
        return ExitCode::SUCCESS;
    }
    if let Some(docs) = &args.page {
        page::render(docs);
        return ExitCode::SUCCESS;
    }
    let world = World::new(args);
    let mut failed = false;
    for (name, part) in &world.args.sections {
        // One that cannot be measured takes nothing from the others; the panic has said why.
        let measured = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            section(&world, name, part.as_deref())
        }));
        match measured {
            Ok(section) => println!("{}", serde_json::to_string(&section).unwrap()),
            Err(_) => failed = true,
        }
    }
    ExitCode::from(u8::from(failed))
}

fn section(world: &World, name: &str, part: Option<&str>) -> Section {
    let (begun, load_before) = (machine::now(), machine::load());
    let tables = tables(world, name, part);
    let versions = machine::versions(&world.args.rpub);
    // What a podman or a docker of another version gives stands beside it.
    let docker = matches!(name, "build" | "links")
        .then(|| versions.get("docker")?.split('+').next())
        .flatten();
    let parts = [Some(name), part, docker, world.args.label.as_deref()];
    Section {
        of: name.to_owned(),
        name: parts.into_iter().flatten().collect::<Vec<_>>().join("-"),
        command: world.args.told.clone(),
        begun,
        ended: machine::now(),
        rounds: world.args.rounds,
        machine: machine::here(),
        load_before,
        load_after: machine::load(),
        versions,
        tables,
    }
}

fn tables(world: &World, name: &str, part: Option<&str>) -> Vec<Table> {
    match name {
        "push" => push::push(world, part),
        "slow" => push::slow(world, part),
        "second" => push::second(world),
        "base" => base::base(world),
        "levels" => levels::levels(world),
        "nothing" => nothing::nothing(world),
        "process" => needs::process(world),
        "growth" => growth::growth(world),
        "build" => build::build(world, false),
        "links" => build::build(world, true),
        "cache" => build::cache(world),
        other => unreachable!("{other} is no section"),
    }
}
