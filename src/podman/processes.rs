//! Decides which processes there are, and who started them.
//! Must never signal one.

use nix::unistd::Pid;
use std::path::Path;

/// A living process.
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) parent: Pid,
    pub(super) group: Pid,
    pub(super) session: Pid,
    /// The first word of its command line.
    pub(super) name: Vec<u8>,
}

/// All that this user can see.
pub(super) fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| process(&entry.path())).collect()
}

/// None where it has ended, or is none.
fn process(folder: &Path) -> Option<Process> {
    let id = |text: &str| text.parse().ok().map(Pid::from_raw);
    let pid = id(folder.file_name()?.to_str()?)?;
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    // After the name, which may hold anything but ends in the last `)`: state, parent, group, session.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    let line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
    Some(Process {
        pid,
        parent: id(fields.next()?)?,
        group: id(fields.next()?)?,
        session: id(fields.next()?)?,
        name: line
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default()
            .to_owned(),
    })
}
