//! Decides the arguments of `rpub prune`.
//! Must never sweep unless it was told to in so many words.

use crate::{
    error::{Error, Result},
    events::Event,
    model::digest::Digest,
    pipeline::{
        context::Context,
        superseded::{self, Options},
    },
    ui::Answer,
};

/// Remove what latest named before, where nothing else needs it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rpub prune --dry-run\n  rpub prune\n  rpub prune --digest sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n  rpub prune --sweep --yes\n\n\
Nothing goes that a tag, a list, a signature or a release that did not end needs; and nothing at all where that cannot be\n\
known. Exit code 10: something superseded is still there; the message says what to do."
)]
pub(super) struct Args {
    /// Only these images of rpub.toml
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Say what would be removed and why, and remove nothing
    #[arg(long, env = "RPUB_DRY_RUN", value_parser = super::words::switch)]
    dry_run: bool,
    /// Remove these lists, instead of those that are remembered from releases of this user on this machine; repeatable
    #[arg(
        long,
        value_name = "DIGEST",
        value_delimiter = ',',
        env = "RPUB_DIGEST"
    )]
    digest: Vec<Digest>,
    /// Also what no tag names and is older than grace (rpub.toml): where that is listed (GHCR, directory stores); needs --yes
    #[arg(long, env = "RPUB_SWEEP", value_parser = super::words::switch)]
    sweep: bool,
    /// Really sweep
    #[arg(long, env = "RPUB_SWEEP_YES", value_parser = super::words::switch)]
    yes: bool,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<Answer> {
        if self.yes && !self.sweep {
            return Err(Error::usage(
                "--yes is for --sweep alone",
                "--yes (RPUB_SWEEP_YES)",
                "leave it out, or add --sweep",
            ));
        }
        let unsure = self.sweep && !self.yes;
        if unsure && !self.dry_run {
            let note = "nothing is removed: --sweep wants --yes";
            context.events.send(Event::Note(note.to_owned()));
        }
        let options = Options {
            images: self.images,
            digests: self.digest,
            sweep: self.sweep,
            dry_run: self.dry_run || unsure,
        };
        let document = superseded::by_hand(context, &options).await?;
        Ok(Answer::Pruned(document))
    }
}
