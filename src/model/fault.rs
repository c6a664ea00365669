//! Decides what kind of failure a target's answer is, and what the policy says to it: again or not, and how soon.
//! Must never hold credentials, a query string, or more of a hostile body than a line.

use std::time::Duration;

/// What kind of failure it is; the policy depends on nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// 401, or a token service that refuses the credentials.
    Auth,
    /// 403: known, but not permitted.
    Permission,
    /// 404 of something that should be there.
    NotFound,
    /// 405, 409, 412, 416 and the like: the registry will not do this.
    Refused,
    /// 429.
    RateLimit,
    /// 5xx, 499, 408.
    Server,
    /// Connection refused or reset, unexpected end, time-out, DNS, TLS.
    Transport,
    /// 404 `BLOB_UPLOAD_UNKNOWN` and 404 on a PATCH or PUT of an upload: begin the upload again.
    UploadLost,
    /// An answer that is not what it must be: HTML, another digest, an index that is none.
    Content,
    /// This machine's own disk: full, or not ours.
    Storage,
    /// Another process holds what only one may hold at a time, and does not let go.
    Busy,
    /// The user asked to stop.
    Cancelled,
}

impl Class {
    /// Whether trying the same again can help.
    ///
    /// [`Class::Permission`] counts as temporary because registries are known to answer 403 and mean "later"
    /// (REGISTRIES facts); the number of tries bounds it.
    pub fn temporary(self) -> bool {
        matches!(
            self,
            Class::RateLimit
                | Class::Server
                | Class::Transport
                | Class::UploadLost
                | Class::Content
                | Class::Permission
        )
    }

    /// The class of an HTTP status, where nothing more is known.
    pub fn of_status(status: u16) -> Class {
        match status {
            401 => Class::Auth,
            403 => Class::Permission,
            404 => Class::NotFound,
            429 => Class::RateLimit,
            408 | 499..=599 => Class::Server,
            _ => Class::Refused,
        }
    }
}

/// One request that failed.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What kind.
    pub class: Class,
    /// The host, or the directory.
    pub host: String,
    /// Method and redacted URL: `PUT https://ghcr.io/v2/owner/app/manifests/1.2.3`.
    pub request: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The registry's own error code: `BLOB_UNKNOWN`, `DENIED`, …
    pub code: Option<String>,
    /// One line about it, ours or the registry's, printable.
    pub detail: String,
    /// How long the registry asked us to wait.
    pub retry_after: Option<Duration>,
    /// Whether its tries are used up already, by requests that stood for it.
    pub spent: bool,
    /// What caused it, outermost first, where a library knows more than `detail` says.
    pub causes: Vec<String>,
}

impl Fault {
    /// A fault without an HTTP answer.
    pub fn new(
        class: Class,
        host: impl Into<String>,
        request: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Fault {
            class,
            host: host.into(),
            request: request.into(),
            status: None,
            code: None,
            detail: one_line(&detail.into()),
            retry_after: None,
            spent: false,
            causes: Vec::new(),
        }
    }

    /// The same fault, with what caused it.
    #[must_use]
    pub fn caused_by(mut self, error: Option<&(dyn std::error::Error + 'static)>) -> Self {
        self.causes = causes(error);
        self
    }

    /// Whether trying again can help.
    pub fn temporary(&self) -> bool {
        self.class.temporary() && !self.spent
    }

    /// How long to wait before the next try, where the policy alone would wait for `delay`; `None`: give up.
    ///
    /// The registry's own wish counts where it is longer, but nobody sits through more than [`LONGEST_WAIT`].
    pub fn wait(&self, delay: Duration) -> Option<Duration> {
        let wait = delay.max(self.retry_after.unwrap_or_default());
        (self.temporary() && wait <= LONGEST_WAIT).then_some(wait)
    }

    /// What happened, one line.
    pub fn what(&self) -> String {
        let mut out = match self.class {
            Class::Auth => "the registry does not accept the credentials".to_owned(),
            Class::Permission => "the registry does not permit this".to_owned(),
            Class::NotFound => "not found".to_owned(),
            Class::Refused => "the registry refused".to_owned(),
            Class::RateLimit => "the registry asks for fewer requests".to_owned(),
            Class::Server => "the registry failed".to_owned(),
            Class::Transport => "the connection failed".to_owned(),
            Class::UploadLost => "the registry lost the upload".to_owned(),
            Class::Content => "the registry answered with something else than it should".to_owned(),
            Class::Storage => "the disk failed".to_owned(),
            Class::Busy => "the lock is held".to_owned(),
            Class::Cancelled => "interrupted".to_owned(),
        };
        let mut extra: Vec<String> = Vec::new();
        extra.extend(self.status.map(|status| status.to_string()));
        extra.extend(self.code.clone());
        if !self.detail.is_empty() {
            extra.push(self.detail.clone());
        }
        if !extra.is_empty() {
            out.push_str(": ");
            out.push_str(&extra.join(" "));
        }
        out
    }

    /// What happened, in a word or two: the status, where there was an answer that has nothing worse to say.
    pub fn brief(&self) -> String {
        match (self.class, self.status) {
            (Class::Content, _) => "a wrong answer".to_owned(),
            (Class::UploadLost, _) => "the upload was lost".to_owned(),
            (_, Some(status)) => status.to_string(),
            (Class::Transport, None) => "no connection".to_owned(),
            (_, None) => "it failed".to_owned(),
        }
    }

    /// Where it happened.
    pub fn place(&self) -> String {
        if self.request.is_empty() {
            self.host.clone()
        } else {
            self.request.clone()
        }
    }

    /// What to do next.
    pub fn remedy(&self) -> String {
        let host = &self.host;
        match self.class {
            Class::Auth => format!("log in: podman login {host} (or pass --authfile)"),
            Class::Permission => format!(
                "check that this account may push there, or log in as another: podman login {host}"
            ),
            Class::NotFound => "check the repository's name and that it exists".to_owned(),
            Class::Refused => format!("check what {host} allows for this repository"),
            Class::RateLimit => {
                "wait some minutes and run it again: what is uploaded stays uploaded".to_owned()
            }
            Class::Server | Class::UploadLost => format!(
                "run it again later: what is uploaded stays uploaded, and no tag was left half moved; see whether {host} reports an incident"
            ),
            Class::Transport => {
                format!("check that {host} can be reached from here, then run it again")
            }
            Class::Content => {
                format!("check that {host} is a registry and that no proxy answers in its place")
            }
            Class::Storage => "free some space there and run it again".to_owned(),
            Class::Busy => {
                "see what that process does, end it where it hangs, and run it again".to_owned()
            }
            Class::Cancelled => "run the same command again to finish".to_owned(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.what(), self.place())
    }
}

impl std::error::Error for Fault {}

/// The first line of a hostile text, printable, at most 300 characters: of a longer one its beginning and its end, where
/// podman's errors have the cause.
pub fn one_line(text: &str) -> String {
    let line = text
        .lines()
        .map(|line| line.trim_matches(|c: char| c.is_whitespace() || c.is_control()))
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let length = line.chars().count();
    if length <= 300 {
        return line.chars().map(printable).collect();
    }
    let begin = line.chars().take(149);
    let end = line.chars().skip(length - 150);
    begin.chain(['…']).chain(end).map(printable).collect()
}

/// An error and all that caused it, outermost first, each one printable line; none that holds a URL, and so perhaps a
/// secret.
pub fn causes(error: Option<&(dyn std::error::Error + 'static)>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    // A library may build a circle.
    for cause in std::iter::successors(error, |error| error.source()).take(10) {
        let text = one_line(&cause.to_string());
        if !text.is_empty() && !text.contains("://") && !out.contains(&text) {
            out.push(text);
        }
    }
    out
}

/// A registry that asks for more patience than this gets none: the user is told instead.
pub const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// How often and how soon to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Tries in all, the first included; at least 1.
    pub tries: u32,
    /// The delay before the second try.
    pub first_delay: Duration,
    /// No delay is longer, unless the registry asks for more.
    pub cap: Duration,
    /// How long a release may wait for its next tries in all, before tags begin to move.
    pub budget: Duration,
}

impl Default for Policy {
    /// FR-018: 3 tries, 1 s doubling, at most 30 s; 10 minutes in all.
    fn default() -> Self {
        Policy {
            tries: 3,
            first_delay: Duration::from_secs(1),
            cap: Duration::from_secs(30),
            budget: Duration::from_mins(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_classes() {
        for (status, class) in [
            (401, Class::Auth),
            (403, Class::Permission),
            (404, Class::NotFound),
            (405, Class::Refused),
            (408, Class::Server),
            (416, Class::Refused),
            (429, Class::RateLimit),
            (499, Class::Server),
            (500, Class::Server),
            (522, Class::Server),
        ] {
            assert_eq!(Class::of_status(status), class, "{status}");
        }
    }

    #[test]
    fn a_long_line_keeps_its_end() {
        let long = format!("\n  begin {} the cause\nnext", "é".repeat(400));
        let line = one_line(&long);
        assert_eq!(line.chars().count(), 300);
        assert!(
            line.starts_with("begin é") && line.ends_with("é the cause"),
            "{line}"
        );
        assert_eq!(one_line("a\tb"), "a b");
    }

    #[test]
    fn the_registrys_wish_is_a_lower_bound_and_has_a_limit() {
        let second = Duration::from_secs(1);
        let mut fault = Fault::new(Class::RateLimit, "ghcr.io", "", "");
        assert_eq!(fault.wait(second), Some(second));
        fault.retry_after = Some(7 * second);
        assert_eq!(fault.wait(second), Some(7 * second));
        assert_eq!(fault.wait(9 * second), Some(9 * second));
        fault.retry_after = Some(LONGEST_WAIT + second);
        assert_eq!(fault.wait(second), None);
        for permanent in [
            Class::Auth,
            Class::NotFound,
            Class::Refused,
            Class::Cancelled,
        ] {
            assert_eq!(Fault::new(permanent, "", "", "").wait(second), None);
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn causes_are_told_outermost_first_and_no_url_among_them() {
        let layer = |text, below| Layer(text, Some(Box::new(below)));
        let error = layer(
            "a",
            layer("at https://x?token=s", layer("a", Layer("b\nc", None))),
        );
        assert_eq!(causes(Some(&error)), ["a", "b"]);
        assert!(causes(None).is_empty());
    }

    #[test]
    fn a_hostile_body_becomes_one_printable_line() {
        assert_eq!(one_line("\n  \u{1b}[31mred\r\nmore"), "[31mred".to_owned());
        assert_eq!(one_line(&"x".repeat(10_000)).chars().count(), 300);
    }
}
