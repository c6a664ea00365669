//! Decides the arguments of `rpub build`.
//! Must never push.

use crate::{
    error::Result,
    model::{platform::Platform, report::BuiltDocument},
    pipeline::{context::Context, release},
    ui::Answer,
};

/// Build for this machine, or for --platform; podman keeps the images
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rpub build\n  rpub build v1.2.3 api --platform linux/amd64,linux/arm64"
)]
pub(super) struct Args {
    /// A version, branch, tag or full ref [default: $GITHUB_REF, else what is checked out]
    #[arg(value_name = "REF")]
    git_ref: Option<String>,
    /// Only these images of rpub.toml
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Build for these platforms instead of this machine's
    #[arg(
        long,
        value_name = "OS/ARCH",
        value_delimiter = ',',
        env = "RPUB_PLATFORM"
    )]
    platform: Vec<Platform>,
    #[command(flatten)]
    caches: super::caches::Caches,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<Answer> {
        let plan = super::plan(context, self.git_ref.as_deref(), &self.images)?;
        let (wanted, caches) = (super::wanted(self.platform), self.caches.into());
        let built = release::build_and_keep(context, &plan, wanted, &caches).await?;
        let documents = built.iter().map(|built| BuiltDocument {
            name: built.image.to_string(),
            platform: built.platform.to_string(),
            id: built.id.to_string(),
            reference: built.name.clone(),
        });
        Ok(Answer::Built(documents.collect()))
    }
}
