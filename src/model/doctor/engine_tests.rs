//! Decides that engines are judged by what their versions can, and sockets by who named them.
//! Must never look at the podman that is here.

use super::*;

const DEBIAN: Distribution = Distribution::Debian;

fn command(finding: &Finding) -> &str {
    finding.remedy.as_ref().map_or("", |remedy| &remedy.command)
}

#[test]
fn podmans_are_judged_by_what_they_can() {
    use Severity::{Broken, Note, Ok, Warning};
    for (version, severity, says) in [
        ("3.4.4", Broken, "4.3"),
        ("x", Broken, "4.3"),
        ("4.1.1", Warning, "tried"),
        ("4.3.1", Note, "here-documents"),
        ("4.9.3", Note, "here-documents"),
        ("5.4.2", Note, "another digest"),
        ("5.8.4", Ok, ""),
        ("5.6.0-rc1", Ok, ""),
    ] {
        let finding = podman(&Podman::Version(version.to_owned()), DEBIAN);
        assert_eq!(finding.severity, severity, "{version}");
        assert!(finding.why.contains(says), "{finding:?}");
    }
    assert!(command(&podman(&Podman::Missing, DEBIAN)).contains("apt-get install -y podman"));
}

fn all() -> Helpers {
    Helpers {
        crun: Some("1.8.1".to_owned()),
        runc: false,
        slirp4netns: true,
        pasta: false,
    }
}

#[test]
fn each_podman_wants_its_own_helpers() {
    let broken = |helpers: &Helpers, podman: &str| -> Vec<String> {
        let found = super::helpers(helpers, podman, DEBIAN).into_iter();
        found
            .filter(Finding::is_broken)
            .map(|f| command(&f).to_owned())
            .collect()
    };
    assert!(broken(&all(), "4.3.1").is_empty());
    let crun = "apt-get install -y crun";
    assert_eq!(broken(&all(), "5.4.2"), [crun, "apt-get install -y passt"]);
    let new = Helpers {
        crun: Some("1.21".to_owned()),
        pasta: true,
        ..all()
    };
    assert!(broken(&new, "5.4.2").is_empty());
    let none = Helpers {
        crun: None,
        slirp4netns: false,
        ..all()
    };
    assert_eq!(
        broken(&none, "4.9.3"),
        [crun, "apt-get install -y slirp4netns"]
    );
    let runc = Helpers { runc: true, ..none };
    assert_eq!(broken(&runc, "4.9.3"), ["apt-get install -y slirp4netns"]);
}

#[test]
fn a_socket_that_was_named_must_be_podmans() {
    let at = |origin, socket| {
        sockets(&[Place {
            origin,
            path: "/s".to_owned(),
            socket,
            systemd: false,
        }])
    };
    assert_eq!(sockets(&[]).severity, Severity::Ok);
    assert_eq!(at(Origin::User, Socket::Missing).severity, Severity::Ok);
    assert_eq!(command(&at(Origin::User, Socket::Silent)), "rm /s");
    for socket in [
        Socket::BadUrl,
        Socket::Missing,
        Socket::Refused("no".to_owned()),
        Socket::Foreign(1001),
        Socket::Silent,
        Socket::NotPodman("HTTP 404".to_owned()),
        Socket::Rootful,
    ] {
        let finding = at(Origin::ContainerHost, socket.clone());
        assert!(finding.is_broken(), "{finding:?}");
        assert_eq!(command(&finding), "unset CONTAINER_HOST");
        assert_eq!(command(&at(Origin::RpubUrl, socket)), "unset RPUB_URL");
    }
    assert_eq!(
        at(Origin::Url, Socket::Podman("4.3.1".to_owned())).severity,
        Severity::Ok
    );
}

#[test]
fn only_an_empty_vfs_is_changed_without_a_word() {
    let at = |empty, configured| {
        storage(&Storage {
            driver: "vfs".to_owned(),
            root: "/s".to_owned(),
            empty,
            config: ("/h/.config/containers/storage.conf".to_owned(), configured),
        })
    };
    let harmless = |finding: Finding| finding.remedy.is_some_and(|remedy| remedy.harmless);
    assert!(harmless(at(true, false)));
    assert!(!harmless(at(false, false)) && !harmless(at(true, true)));
    assert_eq!(at(false, false).severity, Severity::Warning);
}

#[test]
fn room_has_two_limits() {
    let at = |free| space("space", "/x", free, None).severity;
    assert_eq!(at(499 << 20), Severity::Broken);
    assert_eq!(at(500 << 20), Severity::Warning);
    assert_eq!(at(5 << 30), Severity::Ok);
}
