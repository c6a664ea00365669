//! Decides what a base image that is published already saves, where podman remembers where it came from.
//! Must never clear that memory: a user who pulled the base has it.

use super::images::{self, Files, Image, VERSION, shape};
use super::push::command;
use super::registries::RegistryProcess;
use super::results::{Ratio, Row, Table};
use super::run::run;
use super::world::{Way, World, addresses, one_by_one};
use std::cell::Cell;
use std::process::Command;

const WAYS: [&str; 2] = [
    "`rpub push`, both at once",
    "`podman push`, one after the other",
];

/// `base`: an image on a large base that the two registries do not have, or of which one has the layers elsewhere.
pub(crate) fn base(world: &World) -> Vec<Table> {
    let names = ["base in a third registry", "base in one of the two"];
    let version = world
        .home
        .podman(&["version", "--format", "{{.Client.Version}}"]);
    if !asks(&version) {
        let why = format!("needs podman 4.9 or newer; here it is {version}");
        let rows = || WAYS.iter().map(|way| Row::missing(*way, &why)).collect();
        return names
            .map(|name| Table::new(name, "", Ratio::FirstOverThis, rows()))
            .into();
    }
    let bases = RegistryProcess::untuned(&super::registries::Auth::None);
    let (image, about) = image(world, &bases);
    let table = |name: &str, on_one_of_the_two: bool| {
        let with_targets = |push: &dyn Fn(&[String]) -> Result<f64, String>| {
            let fresh = World::registries(if on_one_of_the_two { 1 } else { 2 });
            let mut places = Vec::new();
            if on_one_of_the_two {
                // A namespace that nothing was pushed to, where the base's registry is a target, too.
                NUMBER.set(NUMBER.get() + 1);
                places.push(format!("{}/ns{}", bases.host(), NUMBER.get()));
            }
            places.extend(addresses(&fresh).iter().map(|at| format!("{at}/ns")));
            world.home.recall();
            nix::unistd::sync();
            push(&places)
        };
        let ways = [
            Way::new(WAYS[0], || {
                with_targets(&|places| {
                    let to: Vec<String> = places.iter().map(|at| format!("http://{at}")).collect();
                    let args = [
                        "push",
                        VERSION,
                        "--digests",
                        "digests",
                        "--to",
                        &to.join(","),
                    ];
                    run(&mut rpub(world, &image, &args))
                })
            }),
            Way::new(WAYS[1], || {
                with_targets(&|places| {
                    one_by_one(
                        places
                            .iter()
                            .map(|to| command(world, "podman", &image.reference, to)),
                    )
                })
            }),
        ];
        let rows = world.in_turn(name, &ways);
        Table::new(name, &about, Ratio::FirstOverThis, rows)
    };
    vec![table(names[0], false), table(names[1], true)]
}

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(0) };
}

/// Whether this podman asks for the digest that a base's layer was pulled under.
fn asks(version: &str) -> bool {
    let mut numbers = version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(4), Some(9))
}

/// An image on a base that was pulled from `bases`, and what both are made of; podman's memory of that is kept.
fn image(world: &World, bases: &RegistryProcess) -> (Image, String) {
    eprintln!("making the base");
    let base = format!("{}/base:1", bases.host());
    let shape = shape("base", world.args.size);
    let mut source = Files::of(&world.args.files);
    let folder = tempfile::tempdir().unwrap();
    let (file, bytes) = images::layers(&mut source, folder.path(), shape);
    std::fs::write(folder.path().join("Containerfile"), file).unwrap();
    let at = folder.path().display().to_string();
    let podman = |args: &[&str]| world.home.podman(args);
    podman(&[
        "build", "-q", "--layers", "--format", "docker", "-t", &base, &at,
    ]);
    podman(&["push", "-q", "--tls-verify=false", &base]);
    podman(&["rmi", "-af"]);
    world.home.forget();
    podman(&["pull", "-q", "--tls-verify=false", &base]);

    let folder = tempfile::tempdir().unwrap();
    source.fill(&folder.path().join("top"), 20 * 1024 * 1024);
    let conf = format!(
        "[[registry]]\nlocation = \"{}\"\ninsecure = true\n",
        bases.host()
    );
    std::fs::write(folder.path().join("registries.conf"), conf).unwrap();
    let about = format!(
        "a base of {}, and 20 MiB on top",
        images::about(shape, bytes)
    );
    let containerfile = format!("FROM {base}\nCOPY top /top\n");
    let image = images::write(folder, "based", &containerfile, about.clone());
    run(&mut rpub(world, &image, &["build", VERSION])).unwrap();
    world.home.remember();
    (image, about)
}

/// rpub where the base's registry is known to speak HTTP.
fn rpub(world: &World, image: &Image, args: &[&str]) -> Command {
    let mut command = world.home.rpub(image.folder(), args);
    let conf = image.folder().join("registries.conf");
    command.env("CONTAINERS_REGISTRIES_CONF", conf);
    command
}
