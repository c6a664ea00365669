//! Decides that a release goes through, in little memory, while another user opens connections to its relay.
//! Must never pass where those connections were not made.

use crate::{
    machine::Machine,
    other::Other,
    support::{
        faults::{Fault, Hold, Rule},
        proxy::Proxy,
        registries::{Auth, RegistryProcess},
    },
};
use std::{
    collections::BTreeMap,
    fs::File,
    process::{Child, Command, ExitStatus},
    time::Duration,
};

/// All that rpub may need.
const MEMORY_KIB: u64 = 64 * 1024;
const USER: &str = "rpub-neighbour";

/// Where the relay of this user listens.
fn port() -> u16 {
    let output = Command::new("id").args(["-u", USER]).output().unwrap();
    let uid: u32 = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap();
    26_000 + u16::try_from(uid % 4_000).unwrap()
}

/// The most memory that a process ever had in use, in KiB.
fn peak_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|peak| peak.trim_end_matches("kB").trim().parse().ok());
    peak.unwrap_or(0)
}

/// Waits for the end of a process, and watches its memory.
async fn ended(process: &mut Child, peak: &mut u64) -> ExitStatus {
    loop {
        *peak = peak_of(process.id()).max(*peak);
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_goes_through_while_another_user_opens_connections() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let registries = [(); 2].map(|()| RegistryProcess::start(&Auth::None));
    // The first blob comes when podman has begun to push, and so the relay is there.
    let hold = Hold::default();
    let rule = Rule::on("PUT", "/blobs/uploads/", Fault::Held(hold.clone()));
    let proxies = [
        Proxy::before(registries[0].host()).rule(rule).start().await,
        Proxy::before(registries[1].host()).start().await,
    ];
    let machine = Machine::start(USER);
    let toml = "[[image]]\nname = \"app\"\ncontainerfile = \"Containerfile\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n";
    std::fs::write(machine.path("work/rpub.toml"), toml).unwrap();
    let containerfile = "FROM scratch\nCOPY text /text\nHEALTHCHECK CMD [\"/text\"]\n";
    std::fs::write(machine.path("work/Containerfile"), containerfile).unwrap();
    std::fs::write(machine.path("work/text"), "text").unwrap();
    machine.hand_over();
    let to = proxies
        .each_ref()
        .map(|proxy| format!("http://{}/ns", proxy.host()));
    let (to, rpub) = (to.join(","), env!("CARGO_BIN_EXE_rpub"));
    // As many descriptors as a login gives.
    let words = [
        "prlimit",
        "--nofile=1024:4096",
        rpub,
        "release",
        "v1.2.3",
        "--to",
        &to,
    ];
    let log = tempfile::NamedTempFile::new().unwrap();
    let log_of = || File::options().append(true).open(log.path()).unwrap();

    let path = ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned());
    let env = BTreeMap::from([path]);
    let (other, connected) = Other::connects_to(port());
    let mut release = machine
        .command(&env, &machine.workspace(), &words)
        .stdout(log_of())
        .stderr(log_of())
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(log.path()).unwrap();
    let ready = async {
        hold.has_come().await;
        connected.await.unwrap();
    };
    let mut peak = 0;
    tokio::select! {
        ready = tokio::time::timeout(Duration::from_mins(3), ready) => {
            assert!(ready.is_ok(), "the connections do not come about: {}", said());
        }
        status = ended(&mut release, &mut peak) => panic!("{status}: {}", said()),
    }
    hold.let_go();
    let status = ended(&mut release, &mut peak).await;
    drop(other);
    assert!(status.success(), "{}", said());
    assert!(0 < peak && peak < MEMORY_KIB, "{peak} KiB");
    let tags = registries
        .each_ref()
        .map(|registry| registry.tags("ns/app"));
    assert_eq!(tags[0].len(), 3, "{:?}", tags[0]);
    assert_eq!(tags[0], tags[1]);
}
