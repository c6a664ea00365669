//! Decides which layers go to the targets while later steps are still built: those of the newest step with much in it.
//! Must never fail a release, send a step's manifest or config to a target, nor be under way when the images are pushed.

use super::{
    build::{self, Aids, Wanted},
    context::Context,
    push::{self, Dock},
    scraps::Scraps,
};
use crate::{
    error::Result,
    model::{
        plan::Plan,
        platform::Platform,
        record::Record,
        reference::{Reference, RepositoryName},
    },
    podman::{Engine, ImageId},
};
use std::collections::{HashMap, VecDeque};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

/// With fewer new bytes in it, uncompressed, a step does not pay for a push of its own.
const ENOUGH: u64 = 32 * 1024 * 1024;

/// The image of a step that was just made.
#[derive(Debug)]
pub struct Made {
    /// The name in rpub.toml of the image that is built.
    pub image: RepositoryName,
    /// What that is built for.
    pub platform: Platform,
    /// The first digits of its own id.
    pub id: String,
}

/// What a release builds and pushes with.
#[derive(Clone, Copy)]
struct Early<'a> {
    context: &'a Context,
    engine: &'a Engine,
    dock: &'a Dock,
    plan: &'a Plan,
}

/// What was heard last of each image, and how large it was when layers of it were last pushed, in bytes.
#[derive(Default)]
struct Heard {
    newest: VecDeque<Made>,
    pushed: HashMap<(RepositoryName, Platform), u64>,
}

/// Builds all images of the plan, and pushes them; one record each, in the plan's order. Large layers go ahead.
pub async fn build_and_push(
    context: &Context,
    engine: &Engine,
    dock: &Dock,
    plan: &Plan,
    scraps: &Scraps,
) -> Result<Vec<Record>> {
    let early = Early {
        context,
        engine,
        dock,
        plan,
    };
    let builds = async |made: &_| {
        let aids = Aids {
            scraps,
            dock: Some(dock),
            made: Some(made),
        };
        build::images(context, engine, plan, &Wanted::All, aids).await
    };
    let built = early.beside(builds).await?;
    push::images(context, engine, dock, plan, &built).await
}

impl Early<'_> {
    /// Runs `build`, and beside it pushes what its steps make. A build that fails ends that push; else it is let end, so
    /// that the push of the images finds its layers at the relay.
    async fn beside<T>(
        self,
        build: impl AsyncFnOnce(&UnboundedSender<Made>) -> Result<T>,
    ) -> Result<T> {
        let (made, heard) = unbounded_channel();
        let ended = CancellationToken::new();
        // Boxed: a build's state is large, and callers hold it.
        let mut pushing = Box::pin(self.follow(heard, &ended));
        let mut building = Box::pin(build(&made));
        let outcome = tokio::select! {
            outcome = &mut building => {
                let outcome = outcome?;
                ended.cancel();
                pushing.await;
                outcome
            }
            () = &mut pushing => building.await?,
        };
        self.forget_faults();
        Ok(outcome)
    }

    /// Pushes the newest of what is heard, one at a time, until `ended` or the first failure.
    async fn follow(self, mut made: UnboundedReceiver<Made>, ended: &CancellationToken) {
        let mut heard = Heard::default();
        while let Some(one) = heard.next(&mut made, ended).await {
            if let Err(error) = self.push(&one, &mut heard).await {
                tracing::info!(%error, image = %one.image, "no more layers go ahead of their image");
                return;
            }
        }
    }

    async fn push(self, made: &Made, heard: &mut Heard) -> Result<()> {
        let Some(inspected) = self.engine.inspect(&made.id).await? else {
            return Ok(());
        };
        let of_image = (made.image.clone(), made.platform.clone());
        let before = heard.pushed.get(&of_image).copied().unwrap_or_default();
        let size = inspected.size;
        let room = self.dock.relay.spool_free().is_ok_and(|free| size <= free);
        let Some(id) = ImageId::parse(&inspected.id).filter(|_| room) else {
            return Ok(());
        };
        if size < before.saturating_add(ENOUGH) {
            return Ok(());
        }
        let images: Vec<push::ImageFor> = (self.plan.images.iter())
            .flat_map(|image| {
                let platforms = image.spec.platforms.iter();
                platforms.map(|(platform, _)| (image.name(), platform))
            })
            .collect();
        let targets = &self.dock.targets;
        push::look_ahead(self.context, self.engine, targets, self.plan, &images).await;
        let tag = push::tag(&made.platform)?;
        self.dock.relay.expect_step(&made.image, id.digest());
        let destination = self.dock.address(&made.image, &Reference::Tag(tag));
        let level = push::level(self.context, self.engine);
        let login = self.dock.login();
        let pushed = self.engine.push(id.as_str(), &destination, login, level);
        pushed.await?;
        heard.pushed.insert(of_image, size);
        Ok(())
    }

    /// What went wrong until now went wrong too early to count: the push of the images begins anew.
    fn forget_faults(self) {
        for image in &self.plan.images {
            if let Some(fault) = self.dock.relay.take_fault(image.name()) {
                tracing::info!(%fault, "a layer that went ahead of its image");
                self.dock.targets.forget_waits();
            }
        }
    }
}

impl Heard {
    /// The next one to push; none when the builds have `ended`. Of one image only the newest is of use.
    async fn next(
        &mut self,
        made: &mut UnboundedReceiver<Made>,
        ended: &CancellationToken,
    ) -> Option<Made> {
        if self.newest.is_empty() {
            let first = ended.run_until_cancelled(made.recv()).await??;
            self.note(first);
        }
        while let Ok(one) = made.try_recv() {
            self.note(one);
        }
        if ended.is_cancelled() {
            return None;
        }
        self.newest.pop_front()
    }

    fn note(&mut self, made: Made) {
        let of_image = |known: &Made| known.image == made.image && known.platform == made.platform;
        self.newest.retain(|known| !of_image(known));
        self.newest.push_back(made);
    }
}
