//! Decides nothing; names the commands and the flags they share.
//! Must never hold logic that a library user would miss.

mod about;
mod assemble;
mod build;
mod caches;
mod completions;
mod doctor;
mod init;
mod layers;
mod man;
mod plan;
mod prune;
mod push;
mod release;
mod reports;
mod schema;
mod serve;
mod status;
mod verify;
mod words;

pub use about::asked as about;

use crate::{
    config::{self, Grants},
    error::{Error, Result},
    events::Events,
    model::{
        allow::Allow, api::RegistryApi, fault::Policy, plan::Plan, platform::Platform,
        spec::Destination,
    },
    pipeline::{
        build::Wanted,
        context::{Clock, Context, Timeouts},
        plan::{Asked, Env},
        stores,
    },
    ui::{Answer, Color, Format, Style},
};
use clap::{Args, Parser, Subcommand};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Publish multi-architecture container images with rootless podman: one digest on every registry, or nothing.
#[derive(Debug, Parser)]
#[command(name = "rpub", version, about, long_about = None, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Examples:\n  rpub init\n  rpub plan v1.2.3\n  rpub release v1.2.3 --to ./out\n  rpub release v1.2.3\n\n\
Exit codes: 0 done, 1 failed, 2 usage, 3 a build failed, 4 a registry failed after all retries,\n\
5 interrupted, 6 podman not usable, 7 not authenticated or not permitted, 8 rolled back,\n\
9 roll-back incomplete: do what the message says, 10 released, but not all that was superseded is removed.\n\n\
Result on stdout, everything else on stderr. Every option has a variable, such as RPUB_FORMAT; what is typed counts more.\n\
For a report of a bug: rpub --version --verbose"
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// The configuration
    #[arg(short, long, global = true, value_name = "FILE", default_value = config::FILE, env = "RPUB_CONFIG")]
    config: PathBuf,
    /// podman's socket (unix:///PATH); found or started where it is not named
    #[arg(long, global = true, value_name = "URL", env = "RPUB_URL")]
    url: Option<String>,
    /// Where credentials are, instead of the usual places
    #[arg(long, global = true, value_name = "FILE", env = "RPUB_AUTHFILE")]
    authfile: Option<PathBuf>,
    /// Publish here instead of to the registries of the configuration: HOST/NAMESPACE, or a folder (./out); repeatable
    #[arg(
        long,
        global = true,
        value_name = "WHERE",
        env = "RPUB_TO",
        value_delimiter = ','
    )]
    to: Vec<Destination>,
    /// Publish under this tag alone, instead of those that REF gives; not latest, and no version
    #[arg(long, global = true, value_name = "TAG", env = "RPUB_TAG")]
    tag: Option<String>,
    /// How to give the result
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "human",
        env = "RPUB_FORMAT"
    )]
    format: Format,
    /// Say more, and of an error what caused it; twice: much more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, env = "RPUB_VERBOSE")]
    verbose: u8,
    /// Say nothing but warnings and errors; of the result, references only
    #[arg(short, long, global = true, env = "RPUB_QUIET", value_parser = words::switch)]
    quiet: bool,
    /// Colours on stderr
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        env = "RPUB_COLOR"
    )]
    color: Color,
    #[command(flatten)]
    retries: Retries,
    #[command(flatten)]
    granted: Granted,
}

/// What the files of a repository may do that they may not by themselves.
#[derive(Debug, Args)]
#[command(next_help_heading = "What a repository may do")]
struct Granted {
    /// Let rpub.toml name a path outside of its repository: fs.read=PATH, fs.write=PATH, fs=PATH; repeatable
    #[arg(
        long,
        global = true,
        value_name = "WHAT",
        env = "RPUB_ALLOW",
        value_delimiter = ','
    )]
    allow: Vec<Allow>,
    /// Where a registry's service has its API, so that the registry's login may go there; repeatable
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "HOST=URL",
        env = "RPUB_REGISTRY_API",
        value_delimiter = ','
    )]
    registry_api: Vec<RegistryApi>,
}

impl From<Granted> for Grants {
    fn from(granted: Granted) -> Grants {
        Grants {
            apis: granted.registry_api,
            allow: granted.allow,
        }
    }
}

/// Over `[retry]` of the configuration.
#[derive(Debug, Args)]
#[command(next_help_heading = "Retries")]
struct Retries {
    /// Tries of a request, the first included
    #[arg(long, global = true, hide_short_help = true, value_name = "N", env = "RPUB_TRIES", value_parser = clap::value_parser!(u32).range(1..=20))]
    tries: Option<u32>,
    /// The delay before the second try; it doubles from try to try
    #[arg(long, global = true, hide_short_help = true, value_name = "SECONDS", env = "RPUB_FIRST_DELAY", value_parser = clap::value_parser!(u64).range(..=600))]
    first_delay: Option<u64>,
    /// The longest delay, unless a registry asks for more
    #[arg(long, global = true, hide_short_help = true, value_name = "SECONDS", env = "RPUB_DELAY_CAP", value_parser = clap::value_parser!(u64).range(1..=3600))]
    delay_cap: Option<u64>,
    /// How long a release may wait for next tries in all, before tags begin to move
    #[arg(long, global = true, hide_short_help = true, value_name = "SECONDS", env = "RPUB_WAIT_BUDGET", value_parser = clap::value_parser!(u64).range(..=86_400))]
    wait_budget: Option<u64>,
}

impl Retries {
    fn over(&self, policy: &mut Policy) {
        let set = |place: &mut Duration, seconds: Option<u64>| {
            if let Some(seconds) = seconds {
                *place = Duration::from_secs(seconds);
            }
        };
        policy.tries = self.tries.unwrap_or(policy.tries);
        set(&mut policy.first_delay, self.first_delay);
        set(&mut policy.cap, self.delay_cap);
        set(&mut policy.budget, self.wait_budget);
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Plan(plan::Args),
    Build(build::Args),
    Push(push::Args),
    Assemble(assemble::Args),
    Verify(verify::Args),
    Release(release::Args),
    Prune(prune::Args),
    Status(status::Args),
    Serve(serve::Args),
    Doctor(doctor::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// What a command needs of the process around it.
pub struct World {
    /// Looks an environment variable up.
    pub env: Arc<Env>,
    /// Where progress is told.
    pub events: Events,
    /// Cancelled when the user asks to stop.
    pub cancel: CancellationToken,
}

impl Cli {
    /// How stderr looks.
    pub fn style(&self) -> Style {
        Style::new(self.global.verbose, self.global.quiet, self.global.color)
    }

    /// How results are given.
    pub fn format(&self) -> Format {
        self.global.format
    }

    /// Where an HTML report of the run is asked for.
    pub fn report(&self) -> Option<&PathBuf> {
        match &self.command {
            Command::Push(args) => args.report.file(),
            Command::Assemble(args) => args.report.file(),
            Command::Release(args) => args.report.file(),
            _ => None,
        }
    }

    /// Runs the command; its result. `answer` is given what is to be known while a command still runs.
    pub async fn run(self, world: World, answer: impl Fn(&Answer)) -> Result<Answer> {
        let format = self.global.format;
        if format == Format::GithubMatrix && !matches!(self.command, Command::Plan(_)) {
            return Err(Error::usage(
                "only rpub plan has that",
                "--format github-matrix",
                "use --format json",
            ));
        }
        match self.command {
            Command::Serve(args) => args.run(world, answer).await,
            Command::Init(args) => args.run(self.global, world).await,
            Command::Doctor(args) => Box::pin(args.run(self.global, world)).await,
            Command::Schema(_) => Ok(schema::Args::run()),
            Command::Completions(args) => Ok(args.run()),
            Command::Man(args) => args.run(),
            Command::Status(_) => status::Args::run(&*world.env),
            Command::Plan(args) => args.run(&self.global.context(world)?, format),
            // Boxed: a build's state is large.
            Command::Build(args) => Box::pin(args.run(&self.global.context(world)?)).await,
            Command::Push(args) => args.run(self.global.context(world)?).await,
            Command::Assemble(args) => args.run(&self.global.context(world)?).await,
            Command::Verify(args) => args.run(&self.global.context(world)?).await,
            Command::Prune(args) => args.run(&self.global.context(world)?).await,
            Command::Release(args) => Box::pin(args.run(self.global.context(world)?)).await,
        }
    }
}

impl Global {
    /// The configuration with the flags over it.
    fn context(self, world: World) -> Result<Context> {
        let grants = Grants::from(self.granted);
        let mut spec = config::load(&self.config, &*world.env, &grants)?;
        let typed = !self.to.is_empty();
        if typed {
            spec.destinations = self.to;
        }
        for registry in spec.registries_mut() {
            let typed = grants.apis.iter().find(|typed| typed.host == registry.host);
            registry.api = typed.map(|typed| typed.api.clone()).or(registry.api.take());
        }
        self.retries.over(&mut spec.retry);
        let config = std::path::absolute(&self.config)
            .map_err(|e| Error::io("find the configuration", &self.config, &e))?;
        let folder = config.parent().unwrap_or(Path::new("/")).to_owned();
        let home = (world.env)("HOME").map(PathBuf::from);
        stores::check(&spec, &folder, home.as_deref(), &grants, typed)?;
        Ok(Context {
            spec,
            folder,
            env: world.env,
            events: world.events,
            cancel: world.cancel,
            url: self.url,
            authfile: self.authfile,
            timeouts: Timeouts::default(),
            tag: self.tag,
            clock: Clock::default(),
        })
    }
}

/// The plan for a REF argument and image names.
fn plan(context: &Context, git_ref: Option<&str>, images: &[String]) -> Result<Plan> {
    let folder = &context.folder;
    let asked = Asked {
        git_ref,
        tag: context.tag.as_deref(),
        images,
    };
    let env = &*context.env;
    crate::pipeline::plan::make(&context.spec, folder, asked, env, &context.events)
}

/// What `--platform` wants; nothing said means this machine's own.
fn wanted(platforms: Vec<Platform>) -> Option<Wanted> {
    (!platforms.is_empty()).then_some(Wanted::These(platforms))
}
