//! Decides how long it takes from a Containerfile to two registries, when nothing of it was ever built.
//! Must never leave a layer or a cached step to the next build.

use super::home::Storage;
use super::images::{self, Files, Image, VERSION, architecture, shape};
use super::push::with_fresh;
use super::results::{Ratio, Row, Table};
use super::run::{run, run_release};
use super::world::{Way, World, is_here};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::process::Command;

/// `build`: the large image, by `rpub release` and by `docker buildx`. `links`: the same, to registries behind slow links.
pub(crate) fn build(world: &World, slow: bool) -> Vec<Table> {
    let folder = tempfile::tempdir().unwrap();
    let shape = shape("2gb", world.args.size);
    let mut source = Files::of(&world.args.files);
    let (file, bytes) = images::layers(&mut source, folder.path(), shape);
    let about = images::about(shape, bytes);
    let image = images::write(folder, "built", &file, about.clone());
    let buildx = "`docker buildx build --push`";
    let program = docker();
    let parts = RefCell::new([
        Row::new("podman's builds, and what is pushed meanwhile", "s"),
        Row::new("all else", "s"),
    ]);
    let ways = [
        Way::new("`rpub release`", || {
            let (all, building) = by_rpub(world, &image, slow)?;
            let mut parts = parts.borrow_mut();
            parts[0].add(Ok(building));
            parts[1].add(Ok(all - building));
            Ok(all)
        }),
        match &program {
            Some(program) => Way::new(buildx, || by_buildx(world, &image, program, slow)),
            None => Way::absent(buildx),
        },
    ];
    let rows = world.in_turn("build", &ways);
    drop(ways);
    let parts = parts.into_inner().into();
    vec![
        Table::new("2gb", &about, Ratio::FirstOverThis, rows),
        Table::new("of `rpub release`", about, Ratio::None, parts),
    ]
}

/// All its seconds, and those of its builds.
fn by_rpub(world: &World, image: &Image, slow: bool) -> Result<(f64, f64), String> {
    let storage = world.home.storage();
    // The storage's own set-up, which a user has behind them.
    storage.podman(&["info"]);
    with_fresh(world, 2, slow, |places| {
        let places = places.iter().map(|at| format!("http://{at}/ns"));
        let to = places.collect::<Vec<_>>().join(",");
        forget_removed(world);
        let args = ["release", VERSION, "--to", &to];
        run_release(&mut storage.of(world.home.rpub(image.folder(), &args)))
    })
}

/// The docker that scripts/dockerd names, or the one that `DOCKER_HOST` is meant for.
pub(crate) fn docker() -> Option<String> {
    let set = |name| {
        std::env::var(name)
            .ok()
            .filter(|value: &String| !value.is_empty())
    };
    let usual = || set("DOCKER_HOST").filter(|_| is_here("docker"));
    set("RPUB_DOCKER").or_else(|| usual().map(|_| "docker".to_owned()))
}

fn by_buildx(world: &World, image: &Image, program: &str, slow: bool) -> Result<f64, String> {
    let docker = |args: &[&str]| {
        let mut command: Command = world.home.command(program);
        for name in ["DOCKER_HOST", "DOCKER_CONFIG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.args(args).current_dir(image.folder());
        command
    };
    let remove = || {
        run(&mut docker(&["builder", "prune", "-af"]))?;
        run(&mut docker(&["image", "prune", "-af"]))
    };
    remove()?;
    let taken = with_fresh(world, 2, slow, |places| {
        forget_removed(world);
        // One platform and no attestations, as rpub publishes it.
        let mut command = docker(&[
            "buildx",
            "build",
            "--push",
            "--provenance=false",
            "-f",
            "Containerfile",
        ]);
        for at in places {
            command.args(["-t", &format!("{at}/ns/bench-built:0.0.1")]);
        }
        run(command.arg("."))
    });
    remove()?;
    taken
}

/// Waits until nothing tells any more that files were removed: where it makes a file, ext4 looks one by one at the inodes
/// that were freed within the last minute, and what is compared here makes tens of thousands.
fn forget_removed(world: &World) {
    world.settle();
    std::thread::sleep(std::time::Duration::from_secs(65));
}

/// `cache`: what the layer cache in a registry saves on a machine that has never built the image.
pub(crate) fn cache(world: &World) -> Vec<Table> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy("/bin/busybox", folder.path().join("busybox")).expect("busybox-static");
    let mut file = "FROM scratch\nCOPY busybox /busybox\n".to_owned();
    for step in 1..=12 {
        // Works for some seconds, and leaves 4 MB that no compression makes smaller.
        writeln!(
            file,
            "RUN [\"/busybox\", \"sh\", \"-c\", \"/busybox dd if=/dev/urandom of=/{step} bs=1M count=4; \
             /busybox dd if=/dev/zero bs=1M count=600 | /busybox sha256sum\"]"
        )
        .unwrap();
    }
    file.push_str("COPY rpub.toml /last\n");
    let image = images::write(folder, "cached", &file, String::new());
    let mut rows = [
        Row::new("no cache", "s"),
        Row::new("`--cache-from`, `--cache-to`, the cache empty", "s"),
        Row::new("the same, the cache full", "s"),
    ];
    for round in 1..=world.args.rounds {
        let registries = World::registries(1);
        let place = format!("http://{}/ns", registries[0].host());
        let caches = ["--cache-from", &place, "--cache-to", &place];
        for (row, caches) in rows.iter_mut().zip([&caches[..0], &caches, &caches]) {
            let storage: Storage<'_> = world.home.storage();
            storage.podman(&["info"]);
            world.settle();
            let mut command = storage.of(world.home.rpub(image.folder(), &["build", VERSION]));
            row.add(run(command.args(caches)));
        }
        eprintln!(
            "cache, round {round} of {}, {}",
            world.args.rounds,
            architecture()
        );
    }
    let about = "12 RUN steps and 2 COPY on an empty storage, the cache in a registry on loopback";
    vec![Table::new(
        "layer cache",
        about,
        Ratio::ThisOverFirst,
        rows.into(),
    )]
}
