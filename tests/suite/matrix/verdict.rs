//! Decides how a release may end under each fault: its kind, and so its exit code.
//! Must never let a fault that passes end a release, where another try could have helped.

use super::{Case, machine::PLATFORMS, requests::Endpoint};
use rpub::error::Kind;

/// How a release ended.
#[derive(Debug)]
pub(super) struct End {
    /// The kind of its error; none where it was published.
    pub(super) kind: Option<Kind>,
    /// Whether its journal is still there.
    pub(super) journal: bool,
}

/// What a fault says of itself where no tag has moved: 401 and 403 are about who we are, all else is the registry's.
fn own(case: &Case) -> Kind {
    match case.name {
        "401" | "403" | "token expired" => Kind::Permission,
        _ => Kind::Registry,
    }
}

/// A fault that passes is survived, but for the two answers that are no failures: 401 without a token to renew, and 404.
pub(super) fn check_single(case: &Case, end: &End) -> Result<(), String> {
    let ends = match case.name {
        // A registry that gave no challenge knows us not, whatever we try.
        "401" => true,
        // Of a token service it says that there is none; of an upload that is over, that it begins again; of all
        // else that it is not there.
        "404" => case.request.method != "PUT" || case.request.endpoint != Endpoint::Upload,
        _ => false,
    };
    match end.kind {
        None => Ok(()),
        Some(kind) if ends && !end.journal && (kind == own(case) || kind == Kind::RolledBack) => {
            let moved = case.request.endpoint == Endpoint::Tag;
            if kind == Kind::RolledBack && !moved {
                return Err("nothing had moved".to_owned());
            }
            Ok(())
        }
        Some(kind) => Err(format!("it ended as {kind:?}")),
    }
}

/// A lasting fault ends the release, unless it is one that no part of a release minds.
pub(super) fn check_lasting(case: &Case, end: &End) -> Result<(), String> {
    let Some(kind) = end.kind else {
        return harmless(case)
            .then_some(())
            .ok_or_else(|| "it was survived".to_owned());
    };
    let right = match case.request.endpoint {
        // It may begin in the middle of the moves, and then hinder their taking back too.
        Endpoint::Tag | Endpoint::Token => match kind {
            Kind::RollbackIncomplete => end.journal,
            Kind::RolledBack => !end.journal,
            kind => kind == own(case) && !end.journal,
        },
        _ => kind == own(case) && !end.journal,
    };
    right
        .then_some(())
        .ok_or_else(|| format!("it ended as {kind:?}"))
}

/// Whether a lasting fault is met by another way to the same end.
fn harmless(case: &Case) -> bool {
    let method = case.request.method.as_str();
    match (method, case.request.endpoint) {
        // What is read before anything is done may not be there. (A list of tags carries no digest.)
        ("GET", Endpoint::Tags) => matches!(case.name, "404" | "another digest"),
        ("GET", Endpoint::Tag) => case.name == "404",
        // What a HEAD denies, a GET has.
        ("HEAD", Endpoint::Tag) => matches!(case.name, "404" | "another digest"),
        // Whether the parts, one for each platform, are there still is looked for once more when all tags are where they belong.
        ("HEAD", Endpoint::Digest) => (case.left as usize) < PLATFORMS.len(),
        // Bytes are checked, not headers.
        ("GET", Endpoint::Blob) | ("POST", Endpoint::Upload) => case.name == "another digest",
        // Giving back a session that nobody needs is a courtesy.
        ("DELETE", Endpoint::Upload) => true,
        // The blob is found there by the next try.
        ("PUT", Endpoint::Upload) => {
            matches!(
                case.name,
                "another digest" | "answer lost" | "half the answer"
            )
        }
        _ => false,
    }
}
