//! Decides which moments of a release are worth telling; a one-way channel from the pipeline to `ui`.
//! Must never print, block the sender, or carry a secret.

use crate::model::{digest::Digest, platform::Platform, trace::Fact};
use std::time::Duration;
use tokio::sync::mpsc;

/// The stages a release passes through, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Config and ref become a plan.
    Plan,
    /// podman builds.
    Build,
    /// Images go by digest to every target.
    Push,
    /// Manifest lists are made and sent by digest.
    Assemble,
    /// Tags are written.
    Tag,
    /// What is published is read back.
    Verify,
    /// What was superseded goes.
    Prune,
}

impl Stage {
    /// The stage's name, as in the commands.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Plan => "plan",
            Stage::Build => "build",
            Stage::Push => "push",
            Stage::Assemble => "assemble",
            Stage::Tag => "tag",
            Stage::Verify => "verify",
            Stage::Prune => "prune",
        }
    }
}

/// How a blob came to be on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sent {
    /// It was there already; nothing was sent.
    Present,
    /// The registry took it over from another of its repositories.
    Mounted,
    /// Its bytes were uploaded.
    Uploaded,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A stage begins.
    Stage(Stage),
    /// podman begins to build an image.
    Building {
        /// The image's name in rpub.toml.
        image: String,
        /// The platform to build for.
        platform: Platform,
    },
    /// A build has come to its next step.
    Step {
        /// The image's name in rpub.toml.
        image: String,
        /// The platform being built.
        platform: Platform,
        /// `3/6`; with the stage where there are several: `[2/5] 3/6`.
        count: String,
        /// What the step does, as the Containerfile says it.
        instruction: String,
    },
    /// One line of podman's build output, without its newline.
    BuildLine {
        /// The image's name in rpub.toml.
        image: String,
        /// The platform being built.
        platform: Platform,
        /// The line.
        line: String,
    },
    /// An image was built: its id in podman's storage.
    Built {
        /// The image's name in rpub.toml.
        image: String,
        /// The platform that was built.
        platform: Platform,
        /// podman's image id, 64 hex digits.
        id: String,
        /// Its size in podman's storage, in bytes.
        size: u64,
        /// How long the build took.
        took: Duration,
    },
    /// Images begin to go to a target.
    Pushing {
        /// The repository, as users write it.
        place: String,
        /// How many different layers and configs they have.
        blobs: usize,
    },
    /// A blob is to be on a target; how it gets there is not known yet.
    Expect {
        /// The repository, as users write it.
        place: String,
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// The relay received a whole blob from podman.
    Received {
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A blob is on a target.
    Blob {
        /// The repository, as users write it.
        place: String,
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// How it got there.
        sent: Sent,
    },
    /// Bytes on their way to a target: how many more since the last such event.
    Progress {
        /// The repository, as users write it.
        place: String,
        /// The blob that they are of; none as long as that is not known.
        digest: Option<Digest>,
        /// Bytes sent since the last event.
        bytes: u64,
    },
    /// Whose the bytes are that went before their blob was known.
    Settled {
        /// The repository, as users write it.
        place: String,
        /// The blob; none where they went for nothing.
        digest: Option<Digest>,
        /// How many.
        bytes: u64,
    },
    /// A manifest or list is on a target, by digest.
    Manifest {
        /// The repository, as users write it.
        place: String,
        /// Its digest.
        digest: Digest,
    },
    /// All images of a repository are on a target, by digest.
    Pushed {
        /// The repository, as users write it.
        place: String,
    },
    /// A tag names a digest on a target.
    Tagged {
        /// The repository, as users write it.
        place: String,
        /// The tag.
        tag: String,
        /// What it names now.
        digest: Digest,
    },
    /// A superseded manifest is gone from a target.
    Deleted {
        /// The repository, as users write it.
        place: String,
        /// Its digest.
        digest: Digest,
        /// Why it went.
        reason: String,
    },
    /// A host failed or asked us to wait; we try again after `delay`.
    Waiting {
        /// The host.
        host: String,
        /// How long.
        delay: Duration,
        /// Whether the host itself asked for a wait.
        asked: bool,
        /// Why, in a word or two: `503`.
        brief: String,
        /// Why, on one line.
        reason: String,
    },
    /// Something for the report of the release; no line is worth it.
    Fact(Fact),
    /// Something the user should know that does not stop the release.
    Warning(String),
    /// Something the user would like to know.
    Note(String),
}

/// The sending half; cheap to clone. A closed or absent receiver is not an error.
#[derive(Debug, Clone, Default)]
pub struct Events(Option<mpsc::UnboundedSender<Event>>);

impl Events {
    /// A channel; the receiver belongs to `ui`.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Events(Some(sender)), receiver)
    }

    /// Tells one event; never blocks, never fails.
    pub fn send(&self, event: Event) {
        if let Some(sender) = &self.0 {
            // The receiver is gone only when the process is ending: nobody is left to tell.
            let _ = sender.send(event);
        }
    }
}
