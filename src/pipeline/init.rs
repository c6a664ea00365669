//! Decides what `rpub init` finds in a folder, and which files it may write there.
//! Must never write anything before every file was looked at, nor over what somebody else wrote unasked.

use super::{git::Git, own_release, plan::Env, stores, whole};
use crate::{
    config::{self, Grants},
    error::{Error, Result},
    events::{Event, Events},
    model::{
        reference::{Host, RepositoryName},
        spec::{Destination, Spec},
        starter::{self, Done, FileDocument, InitDocument, Namespace, Starter},
        workflow::{self, Program, Slug, Workflow},
    },
    registry::{Credential, CredentialSource, Environment},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What GitHub's runners set to their server, where the action looks for rpub's releases.
const SERVER: &str = "GITHUB_SERVER_URL";
const GITHUB: &str = "https://github.com";

/// What the user asked for, and the world around.
pub struct Asked<'a> {
    /// rpub.toml, be it there or not.
    pub config: &'a Path,
    /// Where logins are, instead of the usual places.
    pub authfile: Option<PathBuf>,
    /// Looks an environment variable up.
    pub env: Arc<Env>,
    /// Where warnings go.
    pub events: &'a Events,
    /// Whose releases of rpub the workflow takes.
    pub rpub: Option<Slug>,
    /// Where the checksums of its programs are; those of the release itself where nothing is said.
    pub checksums: Option<String>,
    /// Whether a workflow is wanted.
    pub ci: bool,
    /// What rpub.toml may do beyond its repository.
    pub grants: Grants,
}

/// What a folder has.
pub struct Found {
    config: PathBuf,
    folder: PathBuf,
    env: Arc<Env>,
    grants: Grants,
    branch: String,
    owner: Option<String>,
    podman: Option<String>,
    /// None where no workflow is wanted.
    program: Option<Program>,
    /// What rpub.toml will say; `None` where there is one.
    pub starter: Option<Starter>,
}

/// Looks around.
pub async fn look(asked: Asked<'_>) -> Result<Found> {
    let config = std::path::absolute(asked.config)
        .map_err(|e| Error::io("find the configuration", asked.config, &e))?;
    let folder = config.parent().unwrap_or(Path::new("/")).to_owned();
    let git = Git::open(&folder)?;
    if asked.ci {
        check_place(&config, git.as_ref())?;
    }
    let web = git.as_ref().and_then(Git::source);
    // https://HOST/OWNER/…/NAME
    let path: Vec<&str> = web.iter().flat_map(|web| web.split('/').skip(3)).collect();
    let owner = path
        .first()
        .filter(|_| path.len() > 1)
        .map(|owner| owner.to_lowercase());
    let branch = git.as_ref().and_then(Git::default_branch);
    let branch = branch.unwrap_or_else(|| "main".to_owned());
    let starter = if config.exists() {
        None
    } else {
        let here = folder.file_name().and_then(|name| name.to_str());
        let names = path
            .last()
            .copied()
            .filter(|_| owner.is_some())
            .into_iter()
            .chain(here);
        let images = images(&folder, names, asked.events)?;
        let owner = owner.as_deref().and_then(|owner| owner.parse().ok());
        let owner = owner.unwrap_or_else(Namespace::of_owner);
        let login = docker_hub_user(asked.authfile, asked.events).await?;
        Some(Starter {
            branch: branch.clone(),
            docker_hub: Some(login.unwrap_or_else(|| owner.clone())),
            ghcr: Some(owner),
            images,
        })
    };
    // Last, because it may ask the network.
    let program = if asked.ci {
        let server = (asked.env)(SERVER).filter(|server| !server.is_empty());
        let wanted = own_release::Wanted {
            rpub: asked.rpub,
            checksums: asked.checksums.as_deref(),
            server: server.as_deref().unwrap_or(GITHUB),
            events: asked.events,
        };
        Some(own_release::program(&folder, wanted).await?)
    } else {
        None
    };
    Ok(Found {
        config,
        folder,
        env: asked.env,
        grants: asked.grants,
        branch,
        owner,
        podman: super::about::podman().ok(),
        program,
        starter,
    })
}

/// GitHub reads workflows at a repository's top alone, and the workflow reads rpub.toml there.
fn check_place(config: &Path, git: Option<&Git<'_>>) -> Result<()> {
    let place = config.display().to_string();
    if config.file_name().is_none_or(|name| name != config::FILE) {
        let what = format!("the workflow reads {}", config::FILE);
        return Err(Error::usage(
            what,
            place,
            "leave --config out, or add --no-ci",
        ));
    }
    if let Some(prefix) = git.and_then(Git::prefix) {
        let what = format!("{prefix} is within a repository, and workflows lie at its top");
        let hint = "run it at the repository's top, or with --no-ci";
        return Err(Error::usage(what, place, hint));
    }
    Ok(())
}

fn images<'n>(
    folder: &Path,
    mut names: impl Iterator<Item = &'n str>,
    events: &Events,
) -> Result<Vec<starter::FoundImage>> {
    let failed = |e: &std::io::Error| Error::io("list the folder", folder, e);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| failed(&e))? {
        let entry = entry.map_err(|e| failed(&e))?;
        if let (true, Ok(name)) = (entry.path().is_file(), entry.file_name().into_string()) {
            files.push(name);
        }
    }
    let own = names.find_map(|name| name.to_lowercase().parse::<RepositoryName>().ok());
    let own = match own {
        Some(own) => own,
        None => "app"
            .parse()
            .map_err(|e: crate::model::reference::BadName| {
                Error::usage(e.to_string(), "the image's name", "write rpub.toml by hand")
            })?,
    };
    let found = starter::images(&files, &own);
    if found.images.is_empty() {
        return Err(Error::usage(
            "there is no Containerfile and no Dockerfile",
            folder.display().to_string(),
            "change to the folder that has one; if it lies deeper, write an rpub.toml that names it and run this again",
        ));
    }
    for file in found.left {
        events.send(Event::Warning(format!(
            "{file} is left out: name its image in {} yourself",
            config::FILE
        )));
    }
    Ok(found.images)
}

/// Who is logged in to Docker Hub, if that can be an account's name.
async fn docker_hub_user(authfile: Option<PathBuf>, events: &Events) -> Result<Option<Namespace>> {
    let (Ok(host), Ok(name)) = ("docker.io".parse::<Host>(), "library".parse()) else {
        return Ok(None);
    };
    let logins = CredentialSource::new(authfile, Environment::of_process())?;
    match logins.find(&host, &name).await {
        Ok(Some(Credential::Login { user, .. })) => Ok(user.parse().ok()),
        Ok(_) => Ok(None),
        Err(fault) => {
            events.send(Event::Warning(format!(
                "{}: {}",
                fault.place(),
                fault.what()
            )));
            Ok(None)
        }
    }
}

/// Writes what is missing or was written before; nothing where one of the files is somebody else's.
pub fn write(found: &Found, force: bool) -> Result<InitDocument> {
    let mut files = Vec::new();
    let spec = found.spec(&mut files)?;
    let hosts: Vec<Host> = (spec.destinations.iter())
        .filter_map(|destination| match destination {
            Destination::Registry(registry) => Some(registry.host.clone()),
            Destination::Directory(_) => None,
        })
        .collect();
    if let Some(program) = &found.program {
        let release = Workflow::new(&found.branch, &hosts);
        let mut foreign = Vec::new();
        for (path, text) in [
            (workflow::RELEASE, release.text()),
            (workflow::ACTION, workflow::action(program)),
        ] {
            stores::check_folders(&found.folder, Path::new(path), &found.grants)?;
            let Some(done) = what_to_do(&found.folder.join(path), &text, force)? else {
                foreign.push(path);
                continue;
            };
            files.push((path.to_owned(), done, text));
        }
        if !foreign.is_empty() {
            return Err(Error::usage(
                "there is one that rpub init did not write; nothing was written",
                foreign.join(", "),
                "move it away, or overwrite it with --force",
            ));
        }
    }
    let mut done = Vec::new();
    for (path, what, text) in files {
        put(&found.folder.join(&path), what, &text)?;
        done.push(FileDocument {
            purpose: purpose(&path),
            path,
            done: what,
        });
    }
    Ok(InitDocument {
        next: found.next(&hosts, &done),
        files: done,
        images: spec
            .images
            .iter()
            .map(|image| image.name.to_string())
            .collect(),
        podman: found.podman.clone(),
    })
}

/// Does with a file what was decided. Since it was looked at, questions may have stood open for long.
fn put(place: &Path, what: Done, text: &str) -> Result<()> {
    let written = match what {
        Done::Written => whole::create(place, text.as_bytes(), 0o644),
        Done::Replaced => whole::write(place, text.as_bytes(), 0o644),
        Done::Unchanged | Done::Kept => Ok(()),
    };
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::usage(
            "somebody else made it in the meantime; it is left as it is",
            place.display().to_string(),
            "look at it, then run rpub init again",
        ),
        _ => Error::io("write it", place, &error),
    })
}

/// What a file is for, and what of it to change first.
fn purpose(path: &str) -> &'static str {
    match path {
        workflow::RELEASE => {
            "releases every version tag (v1.2.3) and every push to the branch; change nothing: rpub init writes it again"
        }
        workflow::ACTION => {
            "brings rpub and podman to the workflow's machines; change nothing: rpub init writes it again"
        }
        _ => {
            "what is published, and where; check first: names of images, platforms, accounts (namespace)"
        }
    }
}

/// What will be done with a file that shall have this text; `None` where it is somebody else's.
fn what_to_do(path: &Path, text: &str, force: bool) -> Result<Option<Done>> {
    match crate::files::read(path) {
        Ok(there) if there == text.as_bytes() => Ok(Some(Done::Unchanged)),
        Ok(there) => {
            let ours = force || there.starts_with(workflow::HEADER.as_bytes());
            Ok(ours.then_some(Done::Replaced))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Some(Done::Written)),
        Err(error) => Err(Error::io("read it", path, &error)),
    }
}

impl Found {
    /// rpub.toml as it is or will be, read as every command reads it.
    fn spec(&self, files: &mut Vec<(String, Done, String)>) -> Result<Spec> {
        let owner = self.owner.clone().unwrap_or_else(|| "owner".to_owned());
        // GitHub sets it where the workflow runs; here it need not be set.
        let env = |name: &str| {
            (self.env)(name).or_else(|| (name == starter::OWNER).then(|| owner.clone()))
        };
        let name = self
            .config
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some(starter) = &self.starter else {
            files.push((name, Done::Kept, String::new()));
            return config::load(&self.config, &env, &self.grants);
        };
        let text = starter.text();
        let exists = |path: &str, _: bool| self.folder.join(path).exists();
        let spec = config::parse(&text, &name, &env, &exists)?;
        files.push((name, Done::Written, text));
        Ok(spec)
    }

    fn next(&self, hosts: &[Host], files: &[FileDocument]) -> Vec<String> {
        let mut next = Vec::new();
        if self.program.is_some() {
            if hosts.iter().any(Host::is_docker_hub) {
                next.push(
                    "in the repository's settings, set the secrets DOCKERHUB_USERNAME and DOCKERHUB_TOKEN".to_owned(),
                );
            }
            for host in hosts {
                if host.as_str() != "ghcr.io" && !host.is_docker_hub() {
                    next.push(format!("the workflow has no login for {host}: give its push and release steps one, and take its first line away, so that rpub init leaves it alone"));
                }
            }
        }
        let changed = |file: &&FileDocument| matches!(file.done, Done::Written | Done::Replaced);
        let changed: Vec<&str> = files
            .iter()
            .filter(changed)
            .map(|f| f.path.as_str())
            .collect();
        if !changed.is_empty() {
            next.push(format!("git add {} && git commit", changed.join(" ")));
        }
        let unset = self.starter.iter().any(|starter| {
            [&starter.ghcr, &starter.docker_hub]
                .into_iter()
                .flatten()
                .any(|n| *n == Namespace::of_owner())
        });
        let prefix = if unset && (self.env)(starter::OWNER).is_none() {
            format!("{}=YOU ", starter::OWNER)
        } else {
            String::new()
        };
        next.push(format!("{prefix}rpub plan v0.1.0"));
        if self.program.is_some() {
            next.push("git tag v0.1.0 && git push origin HEAD v0.1.0".to_owned());
        }
        next
    }
}
