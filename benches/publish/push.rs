//! Decides what a push is compared with: the same image, to as many registries, by every tool that podman's storage opens to.
//! Must never give one way a registry or a memory that another has used.

use super::cores::{self, Side};
use super::images::Image;
use super::link::{Links, SLOW};
use super::machine;
use super::registries::RegistryProcess;
use super::results::{Ratio, Row, Table};
use super::run::run;
use super::world::{Way, World, addresses, is_here, one_by_one};
use std::process::Command;

/// The tools that push to one registry at a time.
const OTHERS: [&str; 3] = ["podman", "buildah", "skopeo"];

/// `push`: images of several shapes, to two registries on loopback.
pub(crate) fn push(world: &World, part: Option<&str>) -> Vec<Table> {
    let all = ["small", "layers", "2gb", "one-layer"];
    let wanted = all
        .iter()
        .filter(|name| part.is_none_or(|part| part == **name));
    wanted
        .map(|name| compared(world, name, &OTHERS, false))
        .collect()
}

/// `slow`: the same, where each registry is behind a link of its own.
pub(crate) fn slow(world: &World, part: Option<&str>) -> Vec<Table> {
    let all = ["small", "2gb"];
    let wanted = all
        .iter()
        .filter(|name| part.is_none_or(|part| part == **name));
    wanted
        .map(|name| compared(world, name, &OTHERS[..1], true))
        .collect()
}

/// `second`: what the second registry costs.
pub(crate) fn second(world: &World) -> Vec<Table> {
    let image = world.image("2gb");
    let table = |name: &str, slow: bool| {
        let ways = [
            Way::new("`rpub push`, one registry", || {
                by_rpub(world, &image, 1, slow)
            }),
            Way::new("`rpub push`, two registries", || {
                by_rpub(world, &image, 2, slow)
            }),
        ];
        let rows = world.in_turn(name, &ways);
        Table::new(name, image.about.clone(), Ratio::ThisOverFirst, rows)
    };
    let apart = |count| {
        let image = &image;
        move || {
            let registries = cores::on(Side::Registries, || World::registries(count));
            world.settle();
            let mut push = world.rpub_push(image, &addresses(&registries));
            cores::on(Side::Pushes, || run(&mut push))
        }
    };
    let ways = [
        Way::new("`rpub push`, one registry", apart(1)),
        Way::new("`rpub push`, two registries", apart(2)),
    ];
    let name = "loopback, the registries on a core of their own";
    let rows = world.in_turn(name, &ways);
    vec![
        table("loopback", false),
        Table::new(name, image.about.clone(), Ratio::ThisOverFirst, rows),
        table("slow links", true),
    ]
}

fn compared(world: &World, name: &str, others: &[&str], slow: bool) -> Table {
    let image = world.image(name);
    let names: Vec<String> = (others.iter())
        .map(|tool| match *tool {
            "skopeo" => "`skopeo copy`, one after the other".to_owned(),
            tool => format!("`{tool} push`, one after the other"),
        })
        .collect();
    let mut ways = vec![Way::new("`rpub push`, both at once", || {
        by_rpub(world, &image, 2, slow)
    })];
    if machine::podman_has_levels() {
        ways.push(Way::new("`rpub push`, at podman's level", || {
            with_fresh(world, 2, slow, |to| {
                run(world
                    .rpub_push(&image, to)
                    .args(["--compression-level", "5"]))
            })
        }));
        ways.push(Way::new("`podman push`, at rpub's level", || {
            with_fresh(world, 2, slow, |to| {
                one_by_one(to.iter().map(|to| {
                    let mut command = command(world, "podman", &image.reference, to);
                    command.arg("--compression-level=3");
                    command
                }))
            })
        }));
    }
    for (tool, named) in others.iter().zip(&names) {
        ways.push(if is_here(tool) {
            let image = &image;
            Way::new(named, move || by_another(world, tool, image, 2, slow))
        } else {
            Way::absent(named)
        });
    }
    let rows = world.in_turn(name, &ways);
    let about = format!("{}{}", image.about, compressed(world, &image));
    Table::new(name, about, Ratio::FirstOverThis, rows)
}

/// What `push` makes of the addresses of fresh registries, each behind a link of its own where it is to be slow.
pub(crate) fn with_fresh<T>(
    world: &World,
    count: usize,
    slow: bool,
    push: impl FnOnce(&[String]) -> T,
) -> T {
    let registries = World::registries(count);
    let links = slow.then(|| Links::to(&addresses(&registries), SLOW));
    let to = links
        .as_ref()
        .map_or(addresses(&registries), Links::addresses);
    world.settle();
    push(&to)
}

/// Seconds of an `rpub push` to fresh registries.
pub(crate) fn by_rpub(
    world: &World,
    image: &Image,
    count: usize,
    slow: bool,
) -> Result<f64, String> {
    with_fresh(
        world,
        count,
        slow,
        |to| run(&mut world.rpub_push(image, to)),
    )
}

/// Seconds of as many pushes as there are registries, one after the other.
pub(crate) fn by_another(
    world: &World,
    tool: &str,
    image: &Image,
    count: usize,
    slow: bool,
) -> Result<f64, String> {
    with_fresh(world, count, slow, |to| {
        let commands = to.iter();
        one_by_one(commands.map(|to| command(world, tool, &image.reference, to)))
    })
}

/// One push by one of the other tools.
pub(crate) fn command(world: &World, tool: &str, image: &str, to: &str) -> Command {
    let mut command = world.home.command(tool);
    if tool == "skopeo" {
        command.args(["copy", "--quiet", "--dest-tls-verify=false"]);
        command.arg(format!("containers-storage:{image}"));
    } else {
        command.args(["push", "--quiet", "--tls-verify=false", image]);
    }
    command.arg(format!("docker://{to}/bench:x"));
    command
}

/// How large an image is on a registry, which is what a link has to carry.
fn compressed(world: &World, image: &Image) -> String {
    let registries = World::registries(1);
    if run(&mut world.rpub_push(image, &addresses(&registries))).is_err() {
        return String::new();
    }
    let bytes = layers_of(&registries[0], image);
    format!(", {} MiB compressed", bytes / 1024 / 1024)
}

/// The bytes of an image's layers on a registry.
pub(crate) fn layers_of(registry: &RegistryProcess, image: &Image) -> u64 {
    let manifests = registry.manifests(&format!("ns/bench-{}", image.name));
    let layers = manifests
        .values()
        .filter_map(|one| one["layers"].as_array());
    let sizes = layers.flatten().filter_map(|one| one["size"].as_u64());
    sizes.sum()
}

/// The rows' points in a line plot, at `x`.
pub(crate) fn at(x: u32, rows: Vec<Row>, lines: &[&str]) -> Vec<Row> {
    let placed = rows.into_iter().zip(lines);
    placed.map(|(row, line)| row.at(line, x)).collect()
}
