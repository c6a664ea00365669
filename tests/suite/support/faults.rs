//! Decides what can go wrong between a client and a registry, and at which request it does.
//! Must never be random: the same test breaks the same request each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Notify;

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The connection is reset as soon as the request's head is there.
    Reset,
    /// All of the request is read, none of it reaches the registry, and the connection closes.
    CloseAfterBody,
    /// The registry does as it is told, but its answer is lost.
    LoseAnswer,
    /// The registry does as it is told, but its answer breaks off half-way.
    HalfAnswer,
    /// All of the request is read, and then nothing comes.
    Silence,
    /// The registry does as it is told, and then nothing comes.
    SilentAnswer,
    /// The answer's Docker-Content-Digest is another.
    WrongDigest,
    /// The answer lacks this header.
    Without(&'static str),
    /// Every token that was given out has expired when the request comes.
    Expired,
    /// The request waits before the registry until it is let go.
    Held(Hold),
    /// The registry is given so many bytes of the request in a second.
    Slow(u64),
    /// A byte more reaches the registry than was sent.
    AlterBody,
    /// This is answered, and nothing reaches the registry.
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
}

/// A request that stands still where the test wants it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hold(Arc<(Notify, Notify)>);

impl Hold {
    /// Waits until the request has come.
    pub(crate) async fn has_come(&self) {
        self.0.0.notified().await;
    }

    /// Lets it go on.
    pub(crate) fn let_go(&self) {
        self.0.1.notify_one();
    }

    pub(super) async fn stand_still(&self) {
        self.0.0.notify_one();
        self.0.1.notified().await;
    }
}

impl Fault {
    /// An answer with this status, and no more.
    pub(crate) fn status(status: u16) -> Self {
        Fault::Answer {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// A web page, as a captive portal sends it.
    pub(crate) fn html(status: u16) -> Self {
        Fault::status(status)
            .header("Content-Type", "text/html; charset=utf-8")
            .body("<html><title>Sign in</title></html>")
    }

    /// The same answer with a header more.
    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Fault::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.into()));
        }
        self
    }

    /// The same answer with this body.
    #[must_use]
    pub(crate) fn body(mut self, text: &str) -> Self {
        if let Fault::Answer { body, .. } = &mut self {
            text.clone_into(body);
        }
        self
    }
}

/// Whether a method, and a path and query, are meant.
type Fits = Box<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// When it goes wrong.
pub(crate) struct Rule {
    fits: Fits,
    times: std::ops::Range<u32>,
    pub(super) fault: Fault,
    seen: AtomicU32,
}

impl Rule {
    /// `fault` at the first request of `method` whose path and query hold the parts of `pattern`, which `*` divides.
    pub(crate) fn on(method: &'static str, pattern: impl Into<String>, fault: Fault) -> Self {
        let pattern = pattern.into();
        Rule::at(
            move |asked, target| asked == method && matches(&pattern, target),
            fault,
        )
    }

    /// `fault` at the first request whose method, path and query `fits` takes.
    pub(crate) fn at(
        fits: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
        fault: Fault,
    ) -> Self {
        Rule {
            fits: Box::new(fits),
            times: 0..1,
            fault,
            seen: AtomicU32::new(0),
        }
    }

    /// … at the n-th such request, the first being 1.
    #[must_use]
    pub(crate) fn nth(mut self, n: u32) -> Self {
        self.times = n - 1..n;
        self
    }

    /// … at each such request.
    #[must_use]
    pub(crate) fn always(mut self) -> Self {
        self.times = 0..u32::MAX;
        self
    }

    /// … and at each such request after it.
    #[must_use]
    pub(crate) fn onwards(mut self) -> Self {
        self.times.end = u32::MAX;
        self
    }

    pub(super) fn applies(&self, method: &str, target: &str) -> bool {
        (self.fits)(method, target)
            && self
                .times
                .contains(&self.seen.fetch_add(1, Ordering::SeqCst))
    }
}

/// A registry that gives these tags one by one in this order, and never says where the next page is.
pub(crate) fn one_by_one(repository: &str, tags: &[&str]) -> Vec<Rule> {
    let page = |tags: &[&str]| {
        let body = serde_json::json!({"name": repository, "tags": tags});
        Fault::status(200).body(&body.to_string())
    };
    let list = |query: &str, tags: &[&str]| {
        let path = format!("/v2/{repository}/tags/list?n=1000{query}$");
        Rule::on("GET", path, page(tags)).always()
    };
    let after = tags.iter().enumerate().map(|(number, tag)| {
        let next = tags.get(number + 1..number + 2).unwrap_or_default();
        list(&format!("&last={tag}"), next)
    });
    let first = list("", &tags[..1]);
    std::iter::once(first).chain(after).collect()
}

/// Whether the parts of `pattern`, which `*` divides, are in `target` in this order; with `$` at the end, up to its end.
pub(crate) fn matches(pattern: &str, target: &str) -> bool {
    let mut rest = target;
    let inner = pattern.strip_suffix('$');
    if inner.is_some_and(|inner| !target.ends_with(inner.rsplit('*').next().unwrap_or_default())) {
        return false;
    }
    inner
        .unwrap_or(pattern)
        .split('*')
        .all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
}
