//! Decides that a second release of the same image sends nothing: not podman to rpub, not rpub to a registry.
//! Must never count a request that the registries did not see.

use super::{to, two_registries};
use crate::support::{
    engine::native,
    machine::{Machine, Project},
    proxy::{Proxy, Seen},
};

/// Needs the relay's usual port, by which podman knows it again: .config/nextest.toml lets it run alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_alone_sends_nothing_that_is_there_already() {
    let (machine, registries) = (Machine::new(), two_registries());
    let proxies = [
        Proxy::before(registries[0].host()).start().await,
        Proxy::before(registries[1].host()).start().await,
    ];
    let hosts = proxies.each_ref().map(Proxy::host);
    // Two images of the same files, for one platform: between platforms the layer cache of podman 4.3 does not hold.
    let project = Project::new(&[], "FROM scratch\nCOPY a /a\nCOPY b /b\nCOPY c /c\n");
    project.write(
        "Twin",
        "FROM scratch\nCOPY a /a\nCOPY b /b\nCOPY c /c\nCMD [\"/a\"]\n",
    );
    let image = |name, file| {
        let platform = native();
        format!(
            "[[image]]\nname = \"{name}\"\ncontainerfile = \"{file}\"\nplatforms = [\"{platform}\"]\n"
        )
    };
    let both = image("app", "Containerfile") + &image("twin", "Twin");
    project.write("rpub.toml", &both);
    for (name, seed) in [("a", 11), ("b", 22), ("c", 33)] {
        project.noise(name, 300_000, seed);
    }
    let uploads = || {
        let uploads = |proxy: &Proxy| {
            let seen = proxy.seen();
            let of = |method: &str| {
                let fits =
                    |seen: &&Seen| seen.method == method && seen.target.contains("/blobs/uploads/");
                seen.iter()
                    .filter(fits)
                    .filter(|seen| !seen.target.contains("mount="))
                    .count()
            };
            (of("POST"), of("PUT"))
        };
        proxies.each_ref().map(uploads)
    };
    let to = to(&hosts, "ns");
    machine.rpub(project.path(), &["build", "v1.2.3"]).well();
    let args = ["release", "v1.2.3", "--to", &to, "--format", "json", "-v"];
    let first = machine.rpub(project.path(), &args).well();
    // Three layers that both images share, and a config for each.
    let sent = |text: &str| text.matches("podman sent ").count();
    // And one upload each that only asks whether we may push.
    assert_eq!(uploads(), [(7, 5), (7, 5)]);
    assert_eq!(sent(&first.stderr), 5, "{}", first.stderr);

    // What is there stays as it is, at whatever level it was compressed.
    let args = [&args[..], &["--compression-level", "1"]].concat();
    let second = machine.rpub(project.path(), &args).well();
    assert_eq!(second.json()["images"], first.json()["images"]);
    assert_eq!(uploads(), [(9, 5), (9, 5)], "{}", second.stderr);
    assert_eq!(sent(&second.stderr), 0, "{}", second.stderr);
}
