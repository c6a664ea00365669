//! Decides what keeps rpub from publishing to a registry: its name, the way there, its certificate, the login, the rights.
//! Must never hold a login: only where it was found.

use super::{Area, Finding, Remedy, Severity, quoted};
use crate::model::fault::{Class, Fault};

/// The check of logins.
pub const LOGIN: &str = "registry-login";
/// The check of rights.
pub const PUSH: &str = "registry-push";

/// What was seen of one registry.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Its host, as users write it.
    pub host: String,
    /// Whether it is spoken to without TLS.
    pub insecure: bool,
    /// Where rpub.toml is, and the line of this registry where it is known.
    pub config: String,
    /// Where the login was found; none where there is none.
    pub login: Option<Login>,
    /// What came of it.
    pub seen: Seen,
}

/// Where a login is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// In this file.
    File(String),
    /// In the environment: the variable that has it.
    Variable(&'static str),
}

/// How far it went.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one for each registry")]
pub enum Seen {
    /// The name does not resolve, in the resolver's words.
    NoName(String),
    /// Nothing listens there, or nothing answers, in the kernel's words.
    NoConnection(String),
    /// What came of asking, of pushing and of deleting.
    Answers {
        /// The first repository, and what came of listing its tags.
        read: Result<(), Fault>,
        /// What came of beginning an upload, in the first repository that refused.
        push: Result<(), (String, Fault)>,
        /// Whether it deletes, as far as it tells.
        delete: Delete,
    },
}

/// Whether something can be deleted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// It does.
    Yes,
    /// It never does: 405.
    Never,
    /// This login may not.
    NotPermitted,
    /// That is not known before the first prune.
    Unknown,
}

fn new(check: &str, severity: Severity, found: impl Into<String>) -> Finding {
    Finding::new(check, Area::Registry, severity, found)
}

fn broken(check: &str, found: impl Into<String>) -> Finding {
    new(check, Severity::Broken, found)
}

/// All that was found of one registry, up to the first thing that keeps it from being used.
pub fn findings(registry: &Registry) -> Vec<Finding> {
    let host = &registry.host;
    match &registry.seen {
        Seen::NoName(words) => vec![
            broken("registry-name", format!("{host} does not resolve: {words}"))
                .why("the name is misspelled, or this machine has no DNS")
                .mend(edit(registry)),
        ],
        Seen::NoConnection(words) => vec![
            broken(
                "registry-connection",
                format!("{host} cannot be reached: {words}"),
            )
            .why("it is down, or a firewall is between"),
        ],
        Seen::Answers { read, push, delete } => {
            let refusal = read
                .as_ref()
                .err()
                .filter(|fault| fault.class != Class::Permission);
            if let Some(fault) = refusal {
                return vec![failed(registry, fault)];
            }
            let mut found = vec![new("registry", Severity::Ok, format!("{host} answers"))];
            if let Err((repository, fault)) = push {
                found.push(match fault.class {
                    Class::Permission => forbidden(registry, repository, fault),
                    _ => failed(registry, fault),
                });
                return found;
            }
            found.push(new(
                LOGIN,
                Severity::Ok,
                match &registry.login {
                    Some(login) => format!("{host} takes the login of {}", whence(login)),
                    None => format!("{host} wants no login"),
                },
            ));
            found.push(new(PUSH, Severity::Ok, format!("{host} lets us push")));
            found.push(deletion(host, *delete));
            found
        }
    }
}

fn whence(login: &Login) -> String {
    match login {
        Login::File(path) => path.clone(),
        Login::Variable(name) => format!("the variable {name}"),
    }
}

fn edit(registry: &Registry) -> Remedy {
    super::project::edit(&registry.config)
}

/// A login, into the file that had the old one.
fn log_in(registry: &Registry) -> Remedy {
    let plain = if registry.insecure {
        " --tls-verify=false"
    } else {
        ""
    };
    let file = authfile(registry);
    Remedy::by_hand(format!("podman login{plain}{file} {}", registry.host))
}

/// The same, where the old one is taken, but may too little: podman would not ask for another.
fn log_in_anew(registry: &Registry) -> Remedy {
    let mut remedy = log_in(registry);
    if let Some(Login::File(_)) = registry.login {
        let (file, host) = (authfile(registry), &registry.host);
        remedy.command = format!("podman logout{file} {host} && {}", remedy.command);
    }
    remedy
}

fn authfile(registry: &Registry) -> String {
    match &registry.login {
        Some(Login::File(path)) => format!(" --authfile {}", quoted(path)),
        // A file goes before a variable.
        _ => String::new(),
    }
}

fn failed(registry: &Registry, fault: &Fault) -> Finding {
    let host = &registry.host;
    let what = fault.what();
    match (fault.class, &registry.login) {
        (Class::Auth, None) => broken(
            LOGIN,
            format!("{host} wants a login, and none was found: {what}"),
        )
        .why("whoever pushes must say who he is")
        .mend(log_in(registry)),
        (Class::Auth, Some(login)) => broken(
            LOGIN,
            format!("{host} refuses the login of {}: {what}", whence(login)),
        )
        .why("the password or token is wrong, or has expired")
        .mend(log_in(registry)),
        (Class::Permission, _) => forbidden(registry, host, fault),
        (Class::Transport, _) if is_of_certificate(fault) => broken(
            "registry-tls",
            format!(
                "{host} shows a certificate that is not trusted: {}",
                fault.detail
            ),
        )
        .why("its authority is not known here: name it as ca_file in rpub.toml, if it is yours")
        .mend(edit(registry)),
        (Class::Transport, _) => broken(
            "registry-connection",
            format!("{host} cannot be reached: {}", fault.detail),
        )
        .why("it is down, or something else than a registry listens there"),
        _ => broken("registry", format!("{host} does not work: {what}"))
            .why("it is down, or something else than a registry answers there"),
    }
}

fn is_of_certificate(fault: &Fault) -> bool {
    let detail = fault.detail.to_lowercase();
    [
        "certificate",
        "unknownissuer",
        "unknown issuer",
        "notvalidforname",
        "self-signed",
    ]
    .iter()
    .any(|words| detail.contains(words))
}

fn forbidden(registry: &Registry, repository: &str, fault: &Fault) -> Finding {
    let host = &registry.host;
    let who = match &registry.login {
        Some(login) => format!("the login of {}", whence(login)),
        None => "nobody without a login".to_owned(),
    };
    broken(
        PUSH,
        format!(
            "{host} does not let {who} push to {repository}: {}",
            fault.what()
        ),
    )
    .why("it needs a token that may write: on GHCR write:packages, on Docker Hub read and write")
    .mend(log_in_anew(registry))
}

fn deletion(host: &str, delete: Delete) -> Finding {
    const CHECK: &str = "registry-delete";
    match delete {
        Delete::Yes => new(CHECK, Severity::Ok, format!("{host} deletes")),
        Delete::Never => new(CHECK, Severity::Note, format!("{host} deletes nothing"))
            .why("what latest named before stays there: rpub prune leaves it"),
        Delete::NotPermitted => new(CHECK, Severity::Warning, format!("{host} does not let us delete"))
            .why("what latest named before stays there, and every release ends with exit code 10; prune = false in rpub.toml asks for no deletion"),
        Delete::Unknown => new(CHECK, Severity::Note, format!("whether {host} lets us delete is not known before the first prune"))
            .why("GHCR wants delete:packages for it, Docker Hub a token that may delete"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(login: Option<Login>, seen: Seen) -> Registry {
        Registry {
            host: "h:1".to_owned(),
            insecure: true,
            config: "/p/rpub.toml".to_owned(),
            login,
            seen,
        }
    }

    fn answers(read: Result<(), Fault>, push: Result<(), (String, Fault)>) -> Seen {
        Seen::Answers {
            read,
            push,
            delete: Delete::Unknown,
        }
    }

    fn fault(class: Class, detail: &str) -> Fault {
        Fault::new(class, "h:1", "", detail)
    }

    #[test]
    fn the_first_thing_in_the_way_is_told_and_mended() {
        let file = || Some(Login::File("/r/auth.json".to_owned()));
        let push = |class| Err(("h:1/app".to_owned(), fault(class, "")));
        for (login, seen, check, remedy) in [
            (
                None,
                Seen::NoName("x".to_owned()),
                "registry-name",
                "${EDITOR:-vi} /p/rpub.toml",
            ),
            (
                None,
                Seen::NoConnection("x".to_owned()),
                "registry-connection",
                "",
            ),
            (
                None,
                answers(Err(fault(Class::Auth, "")), Ok(())),
                LOGIN,
                "podman login --tls-verify=false h:1",
            ),
            (
                file(),
                answers(Err(fault(Class::Auth, "")), Ok(())),
                LOGIN,
                "podman login --tls-verify=false --authfile /r/auth.json h:1",
            ),
            (
                None,
                answers(
                    Err(fault(
                        Class::Transport,
                        "invalid peer certificate: UnknownIssuer",
                    )),
                    Ok(()),
                ),
                "registry-tls",
                "${EDITOR:-vi} /p/rpub.toml",
            ),
            (
                None,
                answers(Err(fault(Class::Server, "")), Ok(())),
                "registry",
                "",
            ),
            (
                file(),
                answers(Ok(()), push(Class::Permission)),
                PUSH,
                "podman logout --authfile /r/auth.json h:1 && podman login --tls-verify=false --authfile /r/auth.json h:1",
            ),
            (
                Some(Login::Variable("GITHUB_TOKEN")),
                answers(Ok(()), push(Class::Permission)),
                PUSH,
                "podman login --tls-verify=false h:1",
            ),
        ] {
            let found = findings(&registry(login, seen));
            let broken: Vec<_> = found.iter().filter(|finding| finding.is_broken()).collect();
            assert_eq!(broken.len(), 1, "{found:?}");
            assert_eq!(broken[0].check, check);
            let command = broken[0]
                .remedy
                .as_ref()
                .map_or("", |remedy| &remedy.command);
            assert_eq!(command, remedy, "{check}");
        }
        let well = findings(&registry(file(), answers(Ok(()), Ok(()))));
        assert!(!well.iter().any(Finding::is_broken), "{well:?}");
    }
}
