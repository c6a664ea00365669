//! Decides what a release costs that has nothing to do, beside podman's look at what it has built before.
//! Must never count the first release, which does the work.

use super::images::{self, Files, architecture};
use super::results::{Ratio, Row, Table};
use super::run::{run, run_release};
use super::world::{World, addresses};
use std::fmt::Write as _;
use std::path::Path;

/// `nothing`: four images to two registries; released again, and after a commit that changes none of their files.
pub(crate) fn nothing(world: &World) -> Vec<Table> {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut source = Files::of(&world.args.files);
    let mut toml = String::new();
    let mut bytes = 0;
    for number in 1..=4 {
        let name = format!("bench-nothing-{number}");
        bytes += source.fill(&at.join(&name).join("files"), 20 * 1024 * 1024);
        let containerfile = "FROM scratch\nCOPY files /files\nCMD [\"/files\"]\n";
        std::fs::write(at.join(&name).join("Containerfile"), containerfile).unwrap();
        writeln!(
            toml,
            "[[image]]\nname = \"{name}\"\ncontext = \"{name}\"\ncontainerfile = \"{name}/Containerfile\"\n\
             platforms = [\"linux/{}\"]",
            architecture()
        )
        .unwrap();
    }
    std::fs::write(at.join("rpub.toml"), toml).unwrap();
    git(world, at, &["init", "-q"]);
    git(world, at, &["add", "-A"]);

    let mut again = Row::new("`rpub release`, the same version again", "s");
    let mut anew = [
        Row::new("`rpub release` of a new version, no file changed", "s"),
        Row::new("of that all but the builds", "s"),
        Row::new("`rpub build` of another such version", "s"),
    ];
    for round in 0..world.args.rounds {
        let registries = World::registries(2);
        let places = addresses(&registries).into_iter();
        let places = places.map(|at| format!("http://{at}/ns"));
        let to = places.collect::<Vec<_>>().join(",");
        let timed = |args: &[&str]| {
            nix::unistd::sync();
            // The commit dates the images.
            let mut command = world.home.rpub(at, args);
            run(command.env_remove("SOURCE_DATE_EPOCH")).unwrap()
        };
        let version = |patch| {
            let version = format!("v1.{round}.{patch}");
            commit(world, at, &version);
            version
        };
        world.settle();
        let first = version(0);
        let release = ["release", &first, "--to", &to];
        timed(&release);
        again.add(Ok(timed(&release)));
        let built = timed(&["build", &version(1)]);
        nix::unistd::sync();
        let release = ["release", &version(2), "--to", &to];
        let mut command = world.home.rpub(at, &release);
        let (released, building) = run_release(command.env_remove("SOURCE_DATE_EPOCH")).unwrap();
        let rest = released - building;
        for (row, value) in anew.iter_mut().zip([released, rest, built]) {
            row.add(Ok(value));
        }
        let (again, round) = (&again.values, round + 1);
        eprintln!("nothing, round {round}: {again:?}, {released} of which {rest}, and {built}");
    }
    let about = images::about(images::Shape { layers: 4, mib: 80 }, bytes);
    let about = about.replace("in 4 layers", "in all, to two registries");
    let rows = std::iter::once(again).chain(anew).collect();
    vec![Table::new("four images", about, Ratio::None, rows)]
}

/// A commit of whatever there is, with its tag.
fn commit(world: &World, at: &Path, version: &str) {
    git(world, at, &["commit", "-q", "--allow-empty", "-m", version]);
    git(world, at, &["tag", version]);
}

fn git(world: &World, at: &Path, args: &[&str]) {
    let mut command = world.home.command("git");
    command.args(["-c", "user.name=bench", "-c", "user.email=bench@localhost"]);
    run(command.args(args).current_dir(at)).unwrap();
}
