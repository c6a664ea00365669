//! Decides what a machine is here: a user of its own, and copies of /usr, /etc and /var that can be broken and mended for real.
//! Must never change anything outside of its namespaces, nor leave a process behind.

use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How it is set up: `$1` is its folder, `$2` rpub. The changes to the copies are in memory; the home is on the disk, as
/// podman's storage wants it.
const SET_UP: &str = r#"
set -e
umask 022
mount -t tmpfs -o mode=755,size=8g tmpfs "$1/layers"
for d in usr etc var; do
  mkdir -p "$1/layers/$d/up" "$1/layers/$d/work"
  mount -t overlay overlay -o "lowerdir=/$d,upperdir=$1/layers/$d/up,workdir=$1/layers/$d/work" "/$d"
done
mount --bind "$1/home" /home
mkdir -p /run/user
mount -t tmpfs -o mode=755 tmpfs /run/user
mkdir -p /dev/net
mount -t tmpfs -o mode=755 tmpfs /dev/net
mknod -m 666 /dev/net/tun c 10 200
if [ "$3" = v2 ] && [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
  while umount -R /sys/fs/cgroup 2>/dev/null; do :; done
  mount -t cgroup2 none /sys/fs/cgroup
fi
touch /usr/local/bin/rpub
mount --bind "$2" /usr/local/bin/rpub
useradd --create-home --shell /bin/bash --uid 4242 patient
for file in /etc/subuid /etc/subgid; do
  sed -i /^patient:/d $file
  echo patient:600000:65536 >>$file
done
install -d -m 700 -o patient -g patient /run/user/4242
install -d -o patient -g patient /home/patient/.config /home/patient/.config/containers /home/patient/project
printf '[storage]\ndriver = "overlay"\n' >/home/patient/.config/containers/storage.conf
chown patient:patient /home/patient/.config/containers/storage.conf
mount --make-rshared /
touch "$1/ready"
exec sleep infinity
"#;

/// Where its user is.
pub(crate) const PROJECT: &str = "/home/patient/project";

pub(crate) struct Machine {
    holder: Child,
    /// Its first process.
    pid: String,
    folder: TempDir,
}

/// What doctor said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) document: Value,
    pub(crate) stderr: String,
}

impl Said {
    /// The worst finding of a check.
    pub(crate) fn of(&self, check: &str) -> Option<&Value> {
        let rank = |finding: &&Value| {
            let word = finding["severity"].as_str().unwrap();
            ["ok", "note", "warning", "broken"]
                .iter()
                .position(|one| *one == word)
        };
        let all = self.document["findings"].as_array().unwrap();
        all.iter()
            .filter(|finding| finding["check"] == check)
            .max_by_key(rank)
    }

    pub(crate) fn severity(&self, check: &str) -> &str {
        self.of(check)
            .map_or("none", |finding| finding["severity"].as_str().unwrap())
    }
}

impl Machine {
    /// One on which rootless podman works.
    pub(crate) fn start() -> Machine {
        Self::with_cgroups("v2")
    }

    /// One with the control groups of the machine that the tests run on.
    pub(crate) fn with_own_cgroups() -> Machine {
        Self::with_cgroups("own")
    }

    fn with_cgroups(cgroups: &str) -> Machine {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests make machines: run scripts/test, or the binary `doctor` as root"
        );
        let folder = tempfile::Builder::new()
            .prefix("doctor-")
            .tempdir()
            .unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        for part in ["layers", "home", "files"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        let mut holder = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--mount-proc",
            ])
            .args([
                "--propagation",
                "private",
                "--kill-child=KILL",
                "bash",
                "-c",
                SET_UP,
                "set-up",
            ])
            .arg(folder.path())
            .args([env!("CARGO_BIN_EXE_rpub"), cgroups])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        while !folder.path().join("ready").exists() {
            assert!(
                holder.try_wait().unwrap().is_none(),
                "the machine was not set up"
            );
            assert!(Instant::now() < deadline, "the machine is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        let id = holder.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        Machine {
            holder,
            pid: children.trim().to_owned(),
            folder,
        }
    }

    /// A file that it sees under the same path as the test.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    /// Writes a file of the user's project.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join("home/patient/project").join(name);
        std::fs::write(&path, text).unwrap();
        std::os::unix::fs::chown(&path, Some(4242), Some(4242)).unwrap();
    }

    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid, "--mount", "--pid", "--"]);
        command
    }

    /// Runs a script as root; it must succeed.
    pub(crate) fn root(&self, script: &str) {
        let output = self
            .inside()
            .args(["sh", "-c", script])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {said}");
    }

    /// Starts a script as root, which runs on until the machine ends.
    pub(crate) fn start_as_root(&self, script: &str, until_there: &Path) {
        let started = self
            .inside()
            .args([
                "sh",
                "-c",
                "setsid sh -c \"$1\" >/dev/null 2>&1 &",
                "sh",
                script,
            ])
            .stdin(Stdio::null())
            .status();
        assert!(started.unwrap().success());
        let deadline = Instant::now() + Duration::from_mins(1);
        while !until_there.exists() {
            assert!(
                Instant::now() < deadline,
                "{script}: no {}",
                until_there.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs a script as its user, in a fresh login.
    pub(crate) fn user(&self, script: &str) -> Output {
        let mut command = self.inside();
        command.args([
            "setpriv",
            "--reuid",
            "4242",
            "--regid",
            "4242",
            "--clear-groups",
            "env",
            "-i",
        ]);
        command.args([
            "HOME=/home/patient",
            "USER=patient",
            "LOGNAME=patient",
            "XDG_RUNTIME_DIR=/run/user/4242",
        ]);
        command.args(["PATH=/usr/local/bin:/usr/bin:/bin", "sh", "-c"]);
        command.arg(format!("cd {PROJECT}\n{script}"));
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// What doctor says after these lines of the user's shell.
    pub(crate) fn doctor(&self, lines: &str, args: &str) -> Said {
        let output = self.user(&format!("{lines}\nexec rpub doctor --format json {args}"));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Said {
            code: output.status.code().unwrap(),
            document: serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|_| panic!("{lines}: {stderr}")),
            stderr,
        }
    }

    /// Doctor finds this check broken, ends with this code, and what it names as the remedy mends it.
    pub(crate) fn heals(&self, check: &str, code: i32, lines: &str) {
        self.heals_with(check, code, lines, "");
    }

    /// The same, with arguments of doctor's.
    pub(crate) fn heals_with(&self, check: &str, code: i32, lines: &str, args: &str) {
        let said = self.doctor(lines, args);
        assert_eq!(said.severity(check), "broken", "{:#}", said.document);
        assert_eq!(said.code, code, "{:#}", said.document);
        self.says_the_same(&said, lines, args);
        let after = self.after_remedy(&said, check, lines, args);
        assert_eq!(after.code, 0, "after the remedy: {:#}", after.document);
        assert_eq!(after.document["healthy"], true);
    }

    /// Doctor warns of this check, and its remedy makes it well.
    pub(crate) fn betters(&self, check: &str, lines: &str) {
        let said = self.doctor(lines, "");
        assert_eq!(
            (said.severity(check), said.code),
            ("warning", 0),
            "{:#}",
            said.document
        );
        let after = self.after_remedy(&said, check, lines, "");
        assert_eq!(
            (after.severity(check), after.code),
            ("ok", 0),
            "{:#}",
            after.document
        );
    }

    /// Runs the remedy of a check as whoever it is for, and asks doctor again in the same shell.
    pub(crate) fn after_remedy(&self, said: &Said, check: &str, lines: &str, args: &str) -> Said {
        let finding = said.of(check).unwrap();
        let command = finding["remedy"]["command"].as_str().expect("a remedy");
        if finding["remedy"]["as_root"] == true {
            self.root(command);
            self.doctor(lines, args)
        } else {
            self.doctor(&format!("{lines}\n{{ {command}\n}} >&2 || exit 99"), args)
        }
    }

    /// What people read names each finding and its remedy too.
    fn says_the_same(&self, said: &Said, lines: &str, args: &str) {
        let output = self.user(&format!("{lines}\nexec rpub doctor {args}"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(said.code), "{text}");
        for finding in said.document["findings"].as_array().unwrap() {
            let mut parts = vec![&finding["check"], &finding["severity"], &finding["why"]];
            if finding["area"] != "machine" && finding["area"] != "engine" {
                parts.push(&finding["found"]);
            }
            for part in parts {
                assert!(text.contains(part.as_str().unwrap()), "{part}: {text}");
            }
            if let Some(command) = finding["remedy"]["command"].as_str() {
                let quoted = command.replace('\'', "'\\''");
                assert!(
                    text.contains(command) || text.contains(&quoted),
                    "{command}: {text}"
                );
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The kernel ends all that is in its process namespace with its first process.
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.pid.parse().unwrap()),
            nix::sys::signal::Signal::SIGKILL,
        );
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
