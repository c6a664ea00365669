//! Decides what is remembered of a release while it goes on: when each part of it began and ended, and how far it came.
//! Must never grow without bound, nor read a clock: times are given to it.

use super::{
    digest::Digest,
    plan::PlanDocument,
    platform::Platform,
    report::{Published, TagMove},
};

/// So many of each kind are remembered; of the rest only how many there were.
const MOST: usize = 20_000;

/// What only the report of a release wants to know.
#[derive(Debug, Clone)]
pub enum Fact {
    /// What is going to be done.
    Planned {
        /// The plan.
        plan: Box<PlanDocument>,
        /// Where the CI run can be looked at.
        run: Option<String>,
    },
    /// podman's version.
    Podman(String),
    /// A blob is about to be brought to a target.
    Sending {
        /// The repository, as users write it.
        place: String,
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// For so many milliseconds it has been under way by now.
        since: u64,
    },
    /// An image was read back from every target, by digest.
    Checked(Published),
    /// What every tag named, and how far its move has come.
    Moves(Vec<TagMove>),
}

/// Milliseconds since the beginning; no end where there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// When it began.
    pub begin: u64,
    /// When it ended.
    pub end: Option<u64>,
}

impl Span {
    /// Begins at a time.
    pub fn from(begin: u64) -> Self {
        Span { begin, end: None }
    }

    /// How long it took; none where it did not end.
    pub fn length(self) -> Option<u64> {
        Some(self.end?.saturating_sub(self.begin))
    }
}

/// How a blob came to be on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It was there already.
    Present,
    /// The registry took it over from another of its repositories.
    Mounted,
    /// Its bytes were uploaded.
    Uploaded,
}

/// One build.
#[derive(Debug, Clone)]
pub struct Build {
    /// The image's name in rpub.toml.
    pub image: String,
    /// What it was built for.
    pub platform: Platform,
    /// When.
    pub span: Span,
}

/// One blob on its way to one repository.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// The repository, as users write it.
    pub place: String,
    /// The blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// How it got there; none where it did not.
    pub how: Option<How>,
    /// When.
    pub span: Span,
}

/// A host failed, or asked to wait.
#[derive(Debug, Clone)]
pub struct Wait {
    /// The host.
    pub host: String,
    /// Why, in a few words.
    pub reason: String,
    /// When.
    pub span: Span,
}

/// Something that was said.
#[derive(Debug, Clone)]
pub struct Note {
    /// When.
    pub at: u64,
    /// Whether it is a warning.
    pub warning: bool,
    /// What.
    pub text: String,
}

/// All that was heard of one run.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// The wall-clock time of the beginning: `2026-01-31T12:00:00Z`.
    pub began: String,
    /// How long it took, in milliseconds.
    pub length: u64,
    /// What was to be done.
    pub plan: Option<Box<PlanDocument>>,
    /// Where the CI run can be looked at.
    pub run: Option<String>,
    /// podman's version.
    pub podman: Option<String>,
    /// The stages by name.
    pub stages: Vec<(String, Span)>,
    /// The builds, one after the other.
    pub builds: Vec<Build>,
    /// The blobs' ways.
    pub transfers: Vec<Transfer>,
    /// The waits.
    pub waits: Vec<Wait>,
    /// The manifests that are on a repository by digest.
    pub manifests: Vec<(String, Digest)>,
    /// What was read back.
    pub images: Vec<Published>,
    /// What became of the tags.
    pub moves: Vec<TagMove>,
    /// What was said.
    pub notes: Vec<Note>,
    /// How much more there was than is remembered.
    pub left_out: usize,
}

impl Trace {
    /// A stage begins, and so the one before it ends.
    pub fn stage(&mut self, at: u64, name: &str) {
        if let Some((_, before)) = self.stages.last_mut() {
            before.end = Some(at);
        }
        let stage = (name.to_owned(), Span::from(at));
        push(&mut self.stages, stage, &mut self.left_out);
    }

    /// A build begins.
    pub fn building(&mut self, at: u64, image: &str, platform: &Platform) {
        let build = Build {
            image: image.to_owned(),
            platform: platform.clone(),
            span: Span::from(at),
        };
        push(&mut self.builds, build, &mut self.left_out);
    }

    /// A build has ended well.
    pub fn built(&mut self, at: u64, image: &str, platform: &Platform) {
        let it = |one: &&mut Build| {
            one.span.end.is_none() && one.image == image && one.platform == *platform
        };
        if let Some(one) = self.builds.iter_mut().rev().find(it) {
            one.span.end = Some(at);
        }
    }

    /// A blob is on a target.
    pub fn sent(&mut self, at: u64, (place, digest, size): (&str, Digest, u64), how: How) {
        let open = |one: &&mut Transfer| {
            one.span.end.is_none() && one.digest == digest && one.place == place
        };
        if let Some(one) = self.transfers.iter_mut().rev().find(open) {
            one.how = Some(how);
            one.span.end = Some(at);
            return;
        }
        let transfer = Transfer {
            place: place.to_owned(),
            digest,
            size,
            how: Some(how),
            span: Span {
                begin: at,
                end: Some(at),
            },
        };
        push(&mut self.transfers, transfer, &mut self.left_out);
    }

    /// A host is waited for.
    pub fn wait(&mut self, at: u64, host: &str, reason: &str, milliseconds: u64) {
        let wait = Wait {
            host: host.to_owned(),
            reason: reason.to_owned(),
            span: Span {
                begin: at,
                end: Some(at.saturating_add(milliseconds)),
            },
        };
        push(&mut self.waits, wait, &mut self.left_out);
    }

    /// A manifest is on a target by digest.
    pub fn manifest(&mut self, place: &str, digest: Digest) {
        let known = |(at, one): &(String, Digest)| *one == digest && at == place;
        if !self.manifests.iter().any(known) {
            let manifest = (place.to_owned(), digest);
            push(&mut self.manifests, manifest, &mut self.left_out);
        }
    }

    /// Something was said.
    pub fn note(&mut self, at: u64, warning: bool, text: &str) {
        let text = text.to_owned();
        let note = Note { at, warning, text };
        push(&mut self.notes, note, &mut self.left_out);
    }

    /// Something for the report.
    pub fn fact(&mut self, at: u64, fact: Fact) {
        match fact {
            Fact::Planned { plan, run } => {
                self.plan = Some(plan);
                self.run = run;
            }
            Fact::Podman(version) => self.podman = Some(version),
            Fact::Sending {
                place,
                digest,
                size,
                since,
            } => {
                let transfer = Transfer {
                    place,
                    digest,
                    size,
                    how: None,
                    span: Span::from(at.saturating_sub(since)),
                };
                push(&mut self.transfers, transfer, &mut self.left_out);
            }
            Fact::Checked(image) => {
                self.images.retain(|known| known.name != image.name);
                push(&mut self.images, image, &mut self.left_out);
            }
            Fact::Moves(moves) => self.moves = moves,
        }
    }

    /// It is over. What was still waited for then was not waited for any longer.
    pub fn end(&mut self, at: u64) {
        self.length = at;
        if let Some((_, last)) = self.stages.last_mut() {
            last.end = Some(at);
        }
        for wait in &mut self.waits {
            wait.span.end = wait.span.end.map(|end| end.min(at));
        }
    }
}

fn push<T>(list: &mut Vec<T>, one: T, left_out: &mut usize) {
    if list.len() < MOST {
        list.push(one);
    } else {
        *left_out += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_and_builds_follow_one_another() {
        let mut trace = Trace::default();
        let (amd, arm) = (
            "linux/amd64".parse().unwrap(),
            "linux/arm64".parse().unwrap(),
        );
        trace.stage(0, "plan");
        trace.stage(5, "build");
        trace.building(6, "app", &amd);
        trace.built(20, "app", &amd);
        trace.building(20, "app", &arm);
        trace.end(30);
        let spans: Vec<Span> = trace.stages.iter().map(|(_, span)| *span).collect();
        assert_eq!((spans[0].end, spans[1].end), (Some(5), Some(30)));
        let builds: Vec<Span> = trace.builds.iter().map(|build| build.span).collect();
        assert_eq!(builds.len(), 2);
        assert_eq!((builds[0].begin, builds[0].length()), (6, Some(14)));
        assert_eq!((builds[1].begin, builds[1].length()), (20, None));
    }

    #[test]
    fn a_transfer_ends_where_it_began_and_the_lists_are_bounded() {
        let mut trace = Trace::default();
        let digest = Digest::of(b"blob");
        let sending = |place: &str| Fact::Sending {
            place: place.to_owned(),
            digest,
            size: 4,
            since: 0,
        };
        trace.fact(1, sending("a"));
        trace.fact(2, sending("b"));
        trace.sent(9, ("a", digest, 4), How::Uploaded);
        assert_eq!(trace.transfers[0].span.length(), Some(8));
        assert_eq!(trace.transfers[1].how, None);
        trace.sent(9, ("c", digest, 4), How::Present);
        assert_eq!(trace.transfers.len(), 3);
        trace.wait(3, "host", "it failed", 1000);
        for number in 0..MOST + 5 {
            trace.note(0, false, &number.to_string());
        }
        trace.end(10);
        assert_eq!(trace.waits[0].span.end, Some(10));
        assert_eq!((trace.notes.len(), trace.left_out), (MOST, 5));
    }
}
