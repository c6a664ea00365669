//! Decides what a release costs that has nothing to do, beside what podman's own look at its layers costs.
//! Must never count the first release, which does the work.

use super::images::{self, Files, architecture};
use super::results::{Ratio, Row, Table};
use super::run::run;
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
            "[[image]]\nname = \"{name}\"\ncontext = \"{name}\"\nplatforms = [\"linux/{}\"]",
            architecture()
        )
        .unwrap();
    }
    std::fs::write(at.join("rpub.toml"), toml).unwrap();
    git(world, at, &["init", "-q"]);
    git(world, at, &["add", "-A"]);

    let mut again = rows("released again");
    let mut anew = rows("released after a commit");
    for round in 0..world.args.rounds {
        let registries = World::registries(2);
        let places = addresses(&registries).into_iter();
        let to = places
            .map(|at| format!("http://{at}/ns"))
            .collect::<Vec<_>>()
            .join(",");
        let timed = |args: &[&str]| {
            nix::unistd::sync();
            // The commit dates the images.
            let mut command = world.home.rpub(at, args);
            run(command.env_remove("SOURCE_DATE_EPOCH")).unwrap()
        };
        let release = |version: &str| timed(&["release", version, "--to", &to]);
        world.settle();
        let (first, second) = (format!("v1.{round}.0"), format!("v1.{round}.1"));
        commit(world, at, &first);
        release(&first);
        add(&mut again, release(&first), timed(&["build", &first]));
        commit(world, at, &second);
        let released = release(&second);
        add(&mut anew, released, timed(&["build", &second]));
        eprintln!(
            "nothing, round {}: {:?} {:?}",
            round + 1,
            again[2].values,
            anew[2].values
        );
    }
    let about = images::about(images::Shape { layers: 4, mib: 80 }, bytes);
    let about = about.replace("4 layers", "four images, to two registries");
    vec![
        Table::new("the same version again", &about, Ratio::None, again.into()),
        Table::new(
            "a new version, no file changed",
            &about,
            Ratio::None,
            anew.into(),
        ),
    ]
}

fn rows(what: &str) -> [Row; 3] {
    [
        Row::new(format!("`rpub release`, {what}"), "s"),
        Row::new("`rpub build` of the same, once more", "s"),
        Row::new("difference", "s"),
    ]
}

fn add(rows: &mut [Row; 3], released: f64, built: f64) {
    for (row, value) in rows.iter_mut().zip([released, built, released - built]) {
        row.add(Ok(value));
    }
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
