//! Decides on which cores what is started runs, where registries are not to take processor time from those who push.
//! Must never leave the benchmark itself on fewer cores than it had.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Whose work it is that runs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The last core.
    Registries,
    /// All others.
    Pushes,
}

/// Does `work`; what it starts runs on the cores of one side alone. With one core there are no sides.
pub(crate) fn on<T>(side: Side, work: impl FnOnce() -> T) -> T {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).unwrap();
    let mut cores: Vec<usize> = (0..CpuSet::count())
        .filter(|core| before.is_set(*core).unwrap())
        .collect();
    let last = cores.split_off(cores.len() - 1);
    let chosen = match side {
        Side::Pushes if !cores.is_empty() => cores,
        _ => last,
    };
    let mut set = CpuSet::new();
    for core in chosen {
        set.set(core).unwrap();
    }
    // Whatever this thread starts inherits it.
    sched_setaffinity(this, &set).unwrap();
    let done = work();
    sched_setaffinity(this, &before).unwrap();
    done
}
