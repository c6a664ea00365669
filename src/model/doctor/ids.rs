//! Decides whether a user has the ids that rootless podman maps, and the programs that map them.
//! Must never give one user ids of another.

use super::machine::{Program, User, broken, ok};
use super::system::Distribution;
use super::{Finding, Remedy, quoted};

/// How many ids rootless podman wants: images have users up to 65535.
pub const IDS: u64 = 65_536;

pub(super) fn user(user: &User) -> Finding {
    if user.uid != 0 {
        return ok("user", format!("{} ({})", user.name, user.uid));
    }
    let doctor = format!("{} doctor", quoted(&user.rpub));
    let as_user = |who: &str| {
        let (who, doctor) = (quoted(who), quoted(&doctor));
        format!("runuser --login {who} --command {doctor}")
    };
    let command = match &user.instead {
        Some(who) => as_user(who),
        None => format!("useradd --create-home rpub && {}", as_user("rpub")),
    };
    broken("user", "rpub runs as root")
        .why("root's podman is rootful, and its images are root's: rpub uses rootless podman only")
        .mend(Remedy::by_root(command))
}

/// The first account of a person, from the text of `/etc/passwd`.
pub fn ordinary(passwd: &str) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let parts: Vec<&str> = line.split(':').collect();
        let &[name, _, uid, _, _, _, shell] = parts.as_slice() else {
            return None;
        };
        let uid: u32 = uid.parse().ok()?;
        let logs_in = !shell.ends_with("nologin") && !shell.ends_with("/false");
        ((1000..60_000).contains(&uid) && logs_in).then_some(name)
    })
}

/// Whether a user has enough subordinate ids, by name or by number.
pub(super) fn range(check: &str, text: Option<&str>, user: &User) -> Finding {
    let file = format!("/etc/{check}");
    let number = user.uid.to_string();
    let ranges: Vec<(&str, u64, u64)> = text
        .unwrap_or_default()
        .lines()
        .filter_map(parsed)
        .collect();
    let of_user = |owner: &str| owner == user.name || owner == number;
    let own: Vec<_> = ranges.iter().filter(|(owner, ..)| of_user(owner)).collect();
    let count: u64 = own
        .iter()
        .fold(0, |sum, (_, _, count)| sum.saturating_add(*count));
    if count >= IDS {
        return ok(check, format!("{count} ids of {} in {file}", user.name));
    }
    // After the last range that anybody has, so that no two users share ids.
    let ends = ranges
        .iter()
        .map(|(_, first, count)| first.saturating_add(*count));
    let first = ends.max().unwrap_or(0).max(100_000);
    let found = if count == 0 {
        format!("{} has no ids in {file}", user.name)
    } else {
        format!("{} has only {count} ids in {file}", user.name)
    };
    broken(check, found)
        .why("rootless podman gives the users in an image ids of this range; without it images cannot be unpacked")
        .mend(Remedy::by_root(format!(
            "usermod --add-{check}s {first}-{} {}",
            first + IDS - 1,
            quoted(&user.name)
        )))
}

/// `owner:first:count`
fn parsed(line: &str) -> Option<(&str, u64, u64)> {
    let mut parts = line.trim().split(':');
    let owner = parts.next()?;
    Some((
        owner,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    ))
}

pub(super) fn program(name: &str, program: &Program, distribution: Distribution) -> Finding {
    const WHY: &str = "podman asks it to map the user's subordinate ids, which only root may do";
    match program {
        Program::Missing => broken(name, format!("{name} is not installed"))
            .why(WHY)
            .mend(Remedy::by_root(distribution.install(name))),
        Program::There {
            path,
            privileged: false,
        } => broken(
            name,
            format!("{path} is neither setuid root nor has file capabilities"),
        )
        .why(WHY)
        .mend(Remedy::by_root(format!("chmod u+s {}", quoted(path)))),
        Program::There { path, .. } => ok(name, path),
    }
}
