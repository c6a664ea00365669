//! Decides what is known of the bytes on their way to one registry: sent, still to come, how fast, what it waits for.
//! Must never count a byte twice, however often a blob is tried, nor take what is known so far for all.

use super::{rate::Rate, seconds, size};
use crate::{events::Sent, model::digest::Digest};
use std::{collections::BTreeMap, time::Duration};

/// One blob on its way.
#[derive(Debug, Clone, Copy)]
struct Blob {
    size: u64,
    sent: u64,
    how: Option<Sent>,
}

/// What goes to one repository.
#[derive(Debug)]
struct Repository {
    blobs: BTreeMap<Digest, Blob>,
    /// How many there will be; None where nobody has said.
    expected: Option<usize>,
    /// Bytes that went before it was known whose they are.
    ahead: u64,
    begun: Duration,
    retries: u32,
    ended: bool,
}

/// What a registry waits for.
#[derive(Debug)]
struct Wait {
    until: Duration,
    asked: bool,
    brief: String,
}

/// What goes to one registry, in all of its repositories.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    repositories: BTreeMap<String, Repository>,
    rate: Rate,
    wait: Option<Wait>,
}

/// Where all blobs together stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) sent: u64,
    pub(super) bytes: u64,
    pub(super) done: usize,
    pub(super) blobs: usize,
    /// How many of these have been seen.
    pub(super) known: usize,
    /// Whether more is to come than is known.
    pub(super) more: bool,
    /// Whether bytes go whose blob is not known yet.
    pub(super) ahead: bool,
}

impl Repository {
    fn sent(&mut self, digest: Digest, bytes: u64) {
        if let Some(blob) = self.blobs.get_mut(&digest) {
            blob.sent = (blob.sent + bytes).min(blob.size);
        }
    }
}

impl Traffic {
    fn repository(&mut self, place: &str, now: Duration) -> &mut Repository {
        let new = || Repository {
            blobs: BTreeMap::new(),
            expected: None,
            ahead: 0,
            begun: now,
            retries: 0,
            ended: false,
        };
        let known = self.repositories.entry(place.to_owned());
        let one = known.or_insert_with(new);
        if one.ended {
            *one = new();
        }
        one
    }

    /// So many blobs will go to `place`.
    pub(super) fn begin(&mut self, place: &str, blobs: usize, now: Duration) {
        self.repository(place, now).expected = Some(blobs);
    }

    /// A blob will go there; one that is begun once more is not there yet at all.
    pub(super) fn expect(&mut self, place: &str, digest: Digest, size: u64, now: Duration) {
        let blob = Blob {
            size,
            sent: 0,
            how: None,
        };
        self.repository(place, now).blobs.insert(digest, blob);
    }

    /// Bytes of it went; of a blob that is not known yet where none is named.
    pub(super) fn progress(
        &mut self,
        place: &str,
        digest: Option<Digest>,
        bytes: u64,
        now: Duration,
    ) {
        self.rate.add(bytes, now);
        let repository = self.repository(place, now);
        match digest {
            Some(digest) => repository.sent(digest, bytes),
            None => repository.ahead += bytes,
        }
    }

    /// What went ahead was this blob's, or went for nothing.
    pub(super) fn settled(
        &mut self,
        place: &str,
        digest: Option<Digest>,
        bytes: u64,
        now: Duration,
    ) {
        let repository = self.repository(place, now);
        repository.ahead = repository.ahead.saturating_sub(bytes);
        if let Some(digest) = digest {
            repository.sent(digest, bytes);
        }
    }

    /// It is there.
    pub(super) fn there(
        &mut self,
        place: &str,
        (digest, size): (Digest, u64),
        how: Sent,
        now: Duration,
    ) {
        let blobs = &mut self.repository(place, now).blobs;
        let sent = if how == Sent::Uploaded { size } else { 0 };
        let known = blobs.get(&digest).and_then(|blob| blob.how);
        // What was brought is asked for again later, and found: it was brought all the same.
        let how = known.unwrap_or(how);
        let blob = Blob {
            size,
            sent,
            how: Some(how),
        };
        blobs.insert(digest, blob);
        if self.standing().is_idle() {
            self.rate.rest(now);
        }
    }

    /// The registry is asked again only after `delay`.
    pub(super) fn wait(&mut self, now: Duration, delay: Duration, asked: bool, brief: &str) {
        let until = now + delay;
        let open = self.repositories.values_mut().filter(|one| !one.ended);
        open.for_each(|one| one.retries += 1);
        if self.wait.as_ref().is_none_or(|wait| wait.until < until) {
            self.wait = Some(Wait {
                until,
                asked,
                brief: brief.to_owned(),
            });
        }
    }

    /// What is waited for, and how long still.
    pub(super) fn waiting(&self, now: Duration) -> Option<String> {
        let wait = self.wait.as_ref().filter(|wait| wait.until > now)?;
        let left = wait.until.saturating_sub(now);
        let left = left.as_secs_f64().ceil();
        Some(if wait.asked {
            format!("asked to wait {left:.0} s")
        } else {
            format!("{}; trying again in {left:.0} s", wait.brief)
        })
    }

    /// Time passes.
    pub(super) fn tick(&mut self, now: Duration) {
        if self.standing().is_idle() {
            self.rate.rest(now);
        } else {
            self.rate.tick(now);
        }
    }

    /// Whether something goes there, or is about to. Where nobody has said how many there will be, what is all there is
    /// nothing to look at.
    pub(super) fn is_open(&self) -> bool {
        let mut repositories = self.repositories.values().filter(|one| !one.ended);
        repositories.any(|one| {
            let known = !one.blobs.is_empty() && one.expected.is_some();
            one.ahead > 0 || known || one.blobs.values().any(|blob| blob.how.is_none())
        })
    }

    /// No more will come.
    pub(super) fn end(&mut self) {
        for one in self.repositories.values_mut() {
            one.ended = true;
        }
    }

    pub(super) fn rate(&self) -> &Rate {
        &self.rate
    }

    /// Of what is not ended.
    pub(super) fn standing(&self) -> Standing {
        let mut all = Standing::default();
        for one in self.repositories.values().filter(|one| !one.ended) {
            for blob in one.blobs.values() {
                all.done += usize::from(blob.how.is_some());
                if matches!(blob.how, None | Some(Sent::Uploaded)) {
                    all.sent += blob.sent;
                    all.bytes += blob.size;
                }
            }
            all.sent += one.ahead;
            all.bytes += one.ahead;
            all.ahead |= one.ahead > 0;
            let known = one.blobs.len();
            all.known += known;
            all.blobs += one.expected.unwrap_or(known).max(known);
            all.more |= one.expected.is_some_and(|expected| expected > known);
        }
        all
    }

    /// The end of a repository, in one line; None where nothing is known of it.
    pub(super) fn pushed(&mut self, place: &str, now: Duration) -> Option<String> {
        let one = self.repositories.get_mut(place)?;
        one.ended = true;
        let mut parts = Vec::new();
        for (how, words) in [
            (Sent::Uploaded, "uploaded"),
            (Sent::Mounted, "mounted"),
            (Sent::Present, "there already"),
        ] {
            let sizes = one.blobs.values().filter(|blob| blob.how == Some(how));
            let sizes: Vec<u64> = sizes.map(|blob| blob.size).collect();
            if !sizes.is_empty() {
                let bytes = size(sizes.iter().sum());
                parts.push(format!("{} {words} ({bytes})", sizes.len()));
            }
        }
        if parts.is_empty() {
            parts.push("nothing to send".to_owned());
        }
        let took = seconds(now.saturating_sub(one.begun).as_secs_f64());
        let again = match one.retries {
            0 => String::new(),
            1 => ", 1 request tried again".to_owned(),
            more => format!(", {more} requests tried again"),
        };
        Some(format!(
            "pushed {place}: {} in {took}{again}",
            parts.join(", ")
        ))
    }
}

impl Standing {
    /// In whole hundredths; 100 only where all is there. What is not known yet counts as much as what is.
    pub(super) fn share(self) -> usize {
        if self.done == self.blobs {
            return 100;
        }
        let (sent, bytes) = (u128::from(self.sent), u128::from(self.bytes.max(1)));
        let share = sent * 100 * (self.known as u128) / (bytes * (self.blobs as u128));
        usize::try_from(share).unwrap_or(100).min(99)
    }

    /// Whether nothing that is known is still to be sent.
    fn is_idle(self) -> bool {
        self.sent >= self.bytes && !self.ahead
    }
}
