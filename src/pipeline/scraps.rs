//! Decides how rpub names what it makes in podman's storage, and takes it away again.
//! Must never remove an image or a list but by a name that this run made, or an unnamed image that this run built.

use super::{build::Built, kept::Kept};
use crate::{
    error::Result,
    model::{platform::Platform, reference::RepositoryName},
    podman::Engine,
};
use std::sync::{Mutex, PoisonError};

/// How long to wait before what could not be removed is tried again.
const IN_A_MOMENT: std::time::Duration = std::time::Duration::from_millis(400);

/// What one run has made in podman's storage and nobody needs after it.
#[derive(Debug)]
pub struct Scraps {
    run: String,
    made: Mutex<Vec<Scrap>>,
    built: Mutex<Vec<Built>>,
}

#[derive(Debug, Clone)]
enum Scrap {
    Image(String),
    /// Only its name goes: what a build fetched is to later builds what it would have made itself.
    Fetched(String),
    List(String),
    /// By the first digits of its id; it has no name.
    Step(String),
}

/// The repository that an image has in podman's storage.
pub(super) fn local(image: &RepositoryName) -> String {
    format!("localhost/rpub/{image}")
}

impl Scraps {
    /// For a new run, whose names no other run shares: made of the process id and the time.
    pub fn new() -> Self {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = since_1970.map_or(0, |time| time.as_nanos());
        Scraps {
            run: format!("run-{:x}-{nanos:x}", std::process::id()),
            made: Mutex::default(),
            built: Mutex::default(),
        }
    }

    /// Notes an image of this run that passed its checks: one that may be kept.
    pub fn note_built(&self, built: Built) {
        lock(&self.built).push(built);
    }

    /// Notes the images that a build made on its way, which podman's layer cache consists of.
    ///
    /// podman removes some of them with the image that was made of them: not those of other stages, not a first step that
    /// adds no files, and none that another run's image shares at that moment.
    pub fn note_steps(&self, made: Vec<String>) {
        lock(&self.made).extend(made.into_iter().map(Scrap::Step));
    }

    /// Notes an image that was fetched from a layer cache, by the name that podman gave it: the cache's at the relay, which
    /// means nothing after this run.
    pub fn note_fetched(&self, name: &str) {
        self.note(Scrap::Fetched(name.to_owned()));
    }

    /// A name for an image of this run; two runs at once never share one.
    pub fn image(&self, image: &RepositoryName, platform: &Platform) -> String {
        let name = format!("{}:{}-{}", local(image), self.run, platform.slug());
        self.note(Scrap::Image(name.clone()));
        name
    }

    /// A name for a manifest list of this run.
    pub fn list(&self, image: &RepositoryName) -> String {
        let name = format!("{}:{}-list", local(image), self.run);
        self.note(Scrap::List(name.clone()));
        name
    }

    fn note(&self, scrap: Scrap) {
        lock(&self.made).push(scrap);
    }

    /// Keeps what was built, under the names that [`Kept`] gives it, for the layer cache and for `rpub push`: everything, or
    /// only where this project had an image kept before.
    ///
    /// What a name meant before goes, if nothing else names it. It is removed by a name of its own, never by id:
    /// another run may be using it under another name.
    pub(super) async fn keep(&self, engine: &Engine, kept: &Kept, all: bool) -> Result<()> {
        let built = std::mem::take(&mut *lock(&self.built));
        let keep_steps = || lock(&self.made).retain(|scrap| !matches!(scrap, Scrap::Step(_)));
        if all {
            keep_steps();
        }
        for one in &built {
            let (image, platform) = (&one.image, &one.platform);
            let own = kept.own_name(image, platform);
            if !all && engine.inspect(&own).await?.is_none() {
                continue;
            }
            for (number, tag) in kept.tags(platform).iter().enumerate() {
                let name = format!("{}:{tag}", local(image));
                if engine.inspect(&name).await?.is_some() {
                    let old = format!("{}-{}-old{number}", self.run, platform.slug());
                    self.note(Scrap::Image(format!("{}:{old}", local(image))));
                    engine.tag(&name, &local(image), &old).await?;
                }
                engine.tag(&one.name, &local(image), tag).await?;
            }
            kept.note(one)?;
            // What is kept is kept for the next build: with its steps.
            keep_steps();
        }
        Ok(())
    }

    /// Removes all of it; what cannot be removed is told in `warn`.
    pub async fn clear(&self, engine: &Engine, warn: impl Fn(String)) {
        let mut made = std::mem::take(&mut *lock(&self.made));
        made.reverse();
        // What has a name goes first, and takes with it the steps that podman knows of as its parents.
        made.sort_by_key(|scrap| matches!(scrap, Scrap::Step(_)));
        // Another run may be building on a step of this one just now; it is done with it in a moment.
        for last in [
            false, false, false, false, false, false, false, false, false, true,
        ] {
            let mut stay = Vec::new();
            for scrap in made {
                let (name, done) = match &scrap {
                    Scrap::Image(name) => (name, engine.untag_or_remove(name).await),
                    Scrap::Fetched(name) => (name, engine.untag(name).await),
                    Scrap::List(name) => (name, engine.manifest_remove(name).await),
                    Scrap::Step(id) => (id, engine.remove_step(id).await),
                };
                if let Err(error) = done {
                    if last {
                        warn(format!("{name} stays in podman's storage: {error}"));
                    }
                    stay.push(scrap);
                }
            }
            if stay.is_empty() {
                return;
            }
            made = stay;
            tokio::time::sleep(IN_A_MOMENT).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Scraps {
    fn default() -> Self {
        Scraps::new()
    }
}
