//! Decides what each timed run finds: registries that never saw the image, tools that remember nothing, a settled disk.
//! Must never let one way of publishing find what another way left.

use super::args::Args;
use super::home::Home;
use super::images::{self, Image, VERSION};
use super::registries::{Auth, RegistryProcess as Registry};
use super::results::Row;
use super::run::run;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;

/// What the sections share.
pub(crate) struct World {
    pub(crate) args: Args,
    pub(crate) home: Home,
    images: RefCell<BTreeMap<String, Rc<Image>>>,
}

impl World {
    pub(crate) fn new(args: Args) -> Self {
        World {
            home: Home::new(&args.rpub),
            args,
            images: RefCell::default(),
        }
    }

    /// An image of this name, built when it is first wanted.
    pub(crate) fn image(&self, name: &str) -> Rc<Image> {
        if let Some(image) = self.images.borrow().get(name) {
            return Rc::clone(image);
        }
        let shape = images::shape(name, self.args.size);
        let image = Rc::new(images::build(&self.home, &self.args.files, name, shape));
        let kept = Rc::clone(&image);
        self.images.borrow_mut().insert(name.to_owned(), kept);
        image
    }

    /// Some that hold nothing.
    pub(crate) fn registries(count: usize) -> Vec<Registry> {
        let start = |_| Registry::untuned(&Auth::None);
        (0..count).map(start).collect()
    }

    /// Before each timed run: podman's memory of pushes is gone, and no writes of the last run are under way.
    pub(crate) fn settle(&self) {
        self.home.forget();
        nix::unistd::sync();
    }

    /// Runs each way once per round, in turn; what each took, as the rows of a table.
    pub(crate) fn in_turn(&self, table: &str, ways: &[Way<'_>]) -> Vec<Row> {
        let mut rows: Vec<Row> = ways.iter().map(|way| Row::new(way.name, "s")).collect();
        for round in 1..=self.args.rounds {
            for (way, row) in ways.iter().zip(&mut rows) {
                if row.missing.is_some() {
                    continue;
                }
                row.add((way.run)());
                let told = (row.values.last()).map(|value| format!("{value:.2} s"));
                let told = told.or(row.missing.clone()).unwrap_or_default();
                eprintln!("{table}, round {round}: {}: {told}", way.name);
            }
        }
        rows
    }

    /// `rpub push` of an image to registries at these addresses.
    pub(crate) fn rpub_push(&self, image: &Image, addresses: &[String]) -> Command {
        let places = addresses.iter().map(|at| format!("http://{at}/ns"));
        let to = places.collect::<Vec<_>>().join(",");
        let args = ["push", VERSION, "--digests", "digests", "--to", &to];
        self.home.rpub(image.folder(), &args)
    }
}

/// The addresses of registries.
pub(crate) fn addresses(registries: &[Registry]) -> Vec<String> {
    let address = |registry: &Registry| registry.host().as_str().to_owned();
    registries.iter().map(address).collect()
}

/// One way to do what a table compares: what it is called, and what does it once, timed.
pub(crate) struct Way<'a> {
    pub(crate) name: &'a str,
    pub(crate) run: Box<dyn Fn() -> Result<f64, String> + 'a>,
}

impl<'a> Way<'a> {
    pub(crate) fn new(name: &'a str, run: impl Fn() -> Result<f64, String> + 'a) -> Self {
        Way {
            name,
            run: Box::new(run),
        }
    }

    /// A way whose program is not here.
    pub(crate) fn absent(name: &'a str) -> Self {
        Way::new(name, || Err("not here".to_owned()))
    }
}

/// Runs commands one after the other; how long all took.
pub(crate) fn one_by_one(commands: impl IntoIterator<Item = Command>) -> Result<f64, String> {
    let each = commands.into_iter().map(|mut command| run(&mut command));
    each.sum()
}

/// Whether a program can be found.
pub(crate) fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
