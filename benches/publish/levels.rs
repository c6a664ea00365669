//! Decides what a compression level costs and saves: time to two registries, and bytes on each.
//! Must never compare levels of different images.

use super::push::layers_of;
use super::results::{Ratio, Row, Table};
use super::run::run;
use super::world::{World, addresses};

/// podman's own, and some to choose from; 9 takes ten times as long as 1.
const LEVELS: [Option<&str>; 5] = [None, Some("1"), Some("3"), Some("5"), Some("6")];

/// `levels`: one image at each level; a podman before 4.6 takes none.
pub(crate) fn levels(world: &World) -> Vec<Table> {
    let image = world.image("levels");
    let name = |level: Option<&str>| match level {
        Some(level) => format!("level {level}"),
        None => "podman's own".to_owned(),
    };
    let mut times: Vec<Row> = LEVELS.iter().map(|it| Row::new(name(*it), "s")).collect();
    let mut sizes: Vec<Row> = LEVELS.iter().map(|it| Row::new(name(*it), "MiB")).collect();
    for round in 0..world.args.rounds {
        for (number, level) in LEVELS.iter().enumerate() {
            let registries = World::registries(2);
            world.settle();
            let mut push = world.rpub_push(&image, &addresses(&registries));
            if let Some(level) = level {
                push.args(["--compression-level", level]);
            }
            let took = run(&mut push);
            eprintln!("levels, round {}: {}: {took:?} s", round + 1, name(*level));
            times[number].add(took);
            let kib = u32::try_from(layers_of(&registries[0], &image) / 1024).unwrap();
            sizes[number].add(Ok(f64::from(kib) / 1024.0));
        }
    }
    vec![
        Table::new("time of a push", &image.about, Ratio::ThisOverFirst, times),
        Table::new(
            "size of the layers",
            &image.about,
            Ratio::ThisOverFirst,
            sizes,
        ),
    ]
}
