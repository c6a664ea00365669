//! Decides what a compression level costs and saves: time to two registries, and bytes on each.
//! Must never compare levels of different images.

use super::push::layers_of;
use super::results::{Ratio, Row, Table};
use super::run::run;
use super::world::{World, addresses};

/// podman's own first, then those to choose from; 9 takes ten times as long as 1.
const LEVELS: [&str; 6] = ["5", "1", "2", "3", "4", "6"];

/// `levels`: one image at each level; a podman before 4.6 takes none.
pub(crate) fn levels(world: &World) -> Vec<Table> {
    let image = world.image("levels");
    let rows = |unit| LEVELS.map(|level| Row::new(format!("level {level}"), unit));
    let (mut times, mut sizes) = (rows("s"), rows("MiB"));
    for round in 0..world.args.rounds {
        for (number, level) in LEVELS.iter().enumerate() {
            let registries = World::registries(2);
            world.settle();
            let mut push = world.rpub_push(&image, &addresses(&registries));
            let took = run(push.args(["--compression-level", level]));
            eprintln!("levels, round {}: {level}: {took:?} s", round + 1);
            times[number].add(took);
            let kib = u32::try_from(layers_of(&registries[0], &image) / 1024).unwrap();
            sizes[number].add(Ok(f64::from(kib) / 1024.0));
        }
    }
    [("time of a push", times), ("size of the layers", sizes)]
        .map(|(name, rows)| Table::new(name, &image.about, Ratio::ThisOverFirst, rows.into()))
        .into()
}
