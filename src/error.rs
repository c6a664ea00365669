//! Decides how a failure is told: its kind, and from the kind the exit code; what, where, and what to do next.
//! Must never hold a secret, a Debug print of a library's error, or a message without a remedy.

use std::fmt;

/// What kind of failure it is. The number is the process's exit code, as documented in README and `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Anything that has no code of its own (a full disk, a file that cannot be read).
    Failed = 1,
    /// A wrong argument, a mistake in rpub.toml, a malformed version tag.
    Usage = 2,
    /// A build failed, or what was built is not what was asked for.
    Build = 3,
    /// A registry failed after all retries.
    Registry = 4,
    /// SIGINT or SIGTERM.
    Interrupted = 5,
    /// podman is not there, does not answer, or is rootful.
    Engine = 6,
    /// A registry knows us not, or does not let us.
    Permission = 7,
    /// Tags had begun to move and were all moved back.
    RolledBack = 8,
    /// Roll-back failed too: the hint says exactly what a person must do.
    RollbackIncomplete = 9,
    /// The release stands; something superseded could not be removed.
    PruneIncomplete = 10,
}

impl Kind {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        self as u8
    }

    /// The word for it in `--format json`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::Build => "build",
            Kind::Registry => "registry",
            Kind::Interrupted => "interrupted",
            Kind::Engine => "engine",
            Kind::Permission => "permission",
            Kind::RolledBack => "rolled-back",
            Kind::RollbackIncomplete => "rollback-incomplete",
            Kind::PruneIncomplete => "prune-incomplete",
        }
    }
}

/// A failure as the user is told it.
///
/// `what` is one line without a full stop; `place` names a file and line, a host, a repository or a step;
/// `hint` is what to do next, an imperative. `tail` holds the last lines of a failing build step.
#[derive(Debug)]
pub struct Error {
    /// The kind, and so the exit code.
    pub kind: Kind,
    /// What happened, one line.
    pub what: String,
    /// Where: `rpub.toml:12`, `ghcr.io`, `Containerfile.api STEP 4/9`. Empty only for [`Kind::Interrupted`].
    pub place: String,
    /// What to do next.
    pub hint: String,
    /// The last lines that the failing step printed, oldest first; empty for most errors.
    pub tail: Vec<String>,
    /// What caused it, outermost first; told where more is to be said.
    pub causes: Vec<String>,
}

/// What every fallible function above the edges returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`: what happened, where, and what to do next.
    pub fn new(
        kind: Kind,
        what: impl Into<String>,
        place: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Error {
            kind,
            what: what.into(),
            place: place.into(),
            hint: hint.into(),
            tail: Vec::new(),
            causes: Vec::new(),
        }
    }

    /// A wrong argument or configuration (exit 2).
    pub fn usage(
        what: impl Into<String>,
        place: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Error::new(Kind::Usage, what, place, hint)
    }

    /// A file that could not be read or written (exit 1).
    pub fn io(action: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as E;
        let hint = match error.kind() {
            E::StorageFull | E::QuotaExceeded => "free some space there and run it again",
            E::PermissionDenied => "check the owner and mode of that path",
            E::NotFound => "check the path",
            _ => "check that path and run it again",
        };
        Error::new(
            Kind::Failed,
            format!("cannot {action}: {error}"),
            path.display().to_string(),
            hint,
        )
        .caused_by(Some(error))
    }

    /// The user, or the machine, asked us to stop (exit 5).
    pub fn interrupted() -> Self {
        Error::new(
            Kind::Interrupted,
            "interrupted",
            "",
            "run the same command again to finish",
        )
    }

    /// The same error, with what caused it.
    #[must_use]
    pub fn caused_by(mut self, error: Option<&(dyn std::error::Error + 'static)>) -> Self {
        self.causes = crate::model::fault::causes(error);
        self
    }

    /// The same error, with the last lines of what failed.
    #[must_use]
    pub fn with_tail(mut self, tail: Vec<String>) -> Self {
        self.tail = tail;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if !self.place.is_empty() {
            write!(f, " ({})", self.place)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<crate::model::fault::Fault> for Error {
    fn from(fault: crate::model::fault::Fault) -> Self {
        use crate::model::fault::Class;
        let kind = match fault.class {
            Class::Auth | Class::Permission => Kind::Permission,
            Class::Storage | Class::Busy => Kind::Failed,
            Class::Cancelled => return Error::interrupted(),
            _ => Kind::Registry,
        };
        let hint = fault.remedy();
        let mut error = Error::new(kind, fault.what(), fault.place(), hint);
        error.causes = fault.causes;
        error
    }
}
