//! Decides what a push needs besides time: memory, and the processor of each program that takes part.
//! Must never count what a program did before the push began.

use super::push::command;
use super::registries::RegistryProcess;
use super::results::{Ratio, Row, Table};
use super::run::{cpu_of, cpu_of_family, run, run_watched};
use super::world::{World, addresses};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// `process`: the large image to two registries, by rpub and by podman; then rpub by itself.
pub(crate) fn process(world: &World) -> Vec<Table> {
    let image = world.image("2gb");
    let mut peaks = [
        Row::new("`rpub push`, both at once", "MiB"),
        Row::new("the podman that rpub asks to push", "MiB"),
        Row::new("`podman push`", "MiB"),
    ];
    let mut times = [
        Row::new("`rpub push` itself, both at once", "s"),
        Row::new("the podman that rpub asks to push", "s"),
        Row::new("the registries meanwhile", "s"),
        Row::new("`podman push`, both one after the other", "s"),
        Row::new("the registries meanwhile", "s"),
    ];
    for _ in 0..world.args.rounds {
        let registries = World::registries(2);
        let engine = Service::start(world);
        world.settle();
        let (engine_before, before) = (cpu_of_family(engine.pid()), cpu_of_all(&registries));
        let mut push = world.rpub_push(&image, &addresses(&registries));
        push.args(["--url", &engine.url]);
        let taken = run_watched(&mut push, Some(engine.pid())).unwrap();
        peaks[0].add(Ok(taken.peak));
        peaks[1].add(Ok(taken.largest));
        times[0].add(Ok(taken.cpu));
        times[1].add(Ok(cpu_of_family(engine.pid()) - engine_before));
        times[2].add(Ok(cpu_of_all(&registries) - before));
        drop((engine, registries));

        let registries = World::registries(2);
        world.settle();
        let before = cpu_of_all(&registries);
        let mut all = (0.0_f64, 0.0_f64);
        for to in addresses(&registries) {
            let mut push = command(world, "podman", &image.reference, &to);
            let taken = run_watched(&mut push, None).unwrap();
            all = (all.0.max(taken.largest), all.1 + taken.cpu);
        }
        peaks[2].add(Ok(all.0));
        times[3].add(Ok(all.1));
        times[4].add(Ok(cpu_of_all(&registries) - before));
    }
    vec![
        Table::new("peak memory", &image.about, Ratio::None, peaks.into()),
        Table::new("processor time", &image.about, Ratio::None, times.into()),
        Table::new("rpub itself", "", Ratio::None, itself(world)),
    ]
}

/// How soon rpub is there, and how large it is.
fn itself(world: &World) -> Vec<Row> {
    let mut start = Row::new("`rpub --version`, of 50 runs", "ms");
    for _ in 0..50 {
        let program = world.home.rpub_file().display().to_string();
        let taken = run(world.home.command(&program).arg("--version"));
        start.add(taken.map(|seconds| seconds * 1000.0));
    }
    let mut size = Row::new("the program's file", "MiB");
    let bytes = std::fs::metadata(world.home.rpub_file()).map(|about| about.len());
    #[allow(clippy::cast_precision_loss, reason = "megabytes")]
    size.add(
        bytes
            .map(|b| b as f64 / 1_048_576.0)
            .map_err(|e| e.to_string()),
    );
    vec![start, size]
}

fn cpu_of_all(registries: &[RegistryProcess]) -> f64 {
    registries.iter().map(|one| cpu_of(one.pid())).sum()
}

/// A podman service that rpub finds instead of starting its own, so that its share can be told apart.
struct Service {
    child: Child,
    url: String,
}

impl Service {
    fn start(world: &World) -> Self {
        let socket = world.home.path("run/bench.sock");
        // Left by the last one.
        let _ = std::fs::remove_file(&socket);
        let url = format!("unix://{}", socket.display());
        let mut command: Command = world.home.command("podman");
        command.args(["system", "service", "--time=0", &url]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("podman");
        let give_up = std::time::Instant::now() + Duration::from_secs(30);
        while !socket.exists() {
            assert!(std::time::Instant::now() < give_up, "podman's service");
            std::thread::sleep(Duration::from_millis(20));
        }
        Service { child, url }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // podman hands the signal on to its process in the user namespace; both fail only where it has ended.
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
