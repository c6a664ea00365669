//! Decides which image in podman's storage is the one that this project built: the one whose id was written down.
//! Must never take another image for it because of a name.

use super::{
    build::{Built, Wanted},
    context::Context,
    journal,
    scraps::local,
    whole,
};
use crate::{
    error::{Error, Result},
    model::{
        digest::Digest,
        plan::{ImagePlan, Plan},
        platform::Platform,
        reference::RepositoryName,
    },
    podman::{Engine, ImageId, Inspected},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
};

/// No note is larger, by far.
const LIMIT: u64 = 64 * 1024;

/// What this project keeps in podman's storage, which other projects' images of the same name share.
#[derive(Debug)]
pub(super) struct Kept {
    /// The folder of rpub.toml, without links.
    project: PathBuf,
    /// The folder of the notes: the journals'.
    folder: PathBuf,
    /// The commit that is built.
    revision: Option<String>,
}

/// What was built for one platform, as it is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    schema: u32,
    project: String,
    image: String,
    platform: String,
    revision: Option<String>,
    id: String,
}

/// The name under which people find what `rpub build` keeps, whichever project built it last: `localhost/rpub/app:linux-amd64`.
pub(super) fn kept_name(image: &RepositoryName, platform: &Platform) -> String {
    format!("{}:{}", local(image), platform.slug())
}

impl Kept {
    /// What the project of `context` keeps of `plan`.
    pub(super) fn of(context: &Context, plan: &Plan) -> Result<Self> {
        let project = fs::canonicalize(&context.folder);
        Ok(Kept {
            project: project.map_err(|e| Error::io("find the folder", &context.folder, &e))?,
            folder: journal::folder(&*context.env)?,
            revision: plan.revision.as_ref().map(ToString::to_string),
        })
    }

    fn key(&self) -> String {
        Digest::of(self.project.as_os_str().as_bytes()).hex()[..16].to_owned()
    }

    /// The tags of an image that is kept: its own, which no other project takes away, and the one that people know.
    pub(super) fn tags(&self, platform: &Platform) -> [String; 2] {
        let slug = platform.slug();
        [format!("{slug}-{}", self.key()), slug]
    }

    /// Its own name: `localhost/rpub/app:linux-amd64-0123456789abcdef`.
    pub(super) fn own_name(&self, image: &RepositoryName, platform: &Platform) -> String {
        let [own, _] = self.tags(platform);
        format!("{}:{own}", local(image))
    }

    fn path(&self, image: &RepositoryName, platform: &Platform) -> PathBuf {
        let of = format!("{} {image} {platform}", self.key());
        self.folder
            .join(format!("built-{}.json", journal::key(&of)))
    }

    /// Writes down which image was built.
    pub(super) fn note(&self, built: &Built) -> Result<()> {
        let note = Note {
            schema: 1,
            project: self.project.display().to_string(),
            image: built.image.to_string(),
            platform: built.platform.to_string(),
            revision: self.revision.clone(),
            id: built.id.to_string(),
        };
        // Texts and a number, which JSON always can say.
        let text = serde_json::to_vec(&note).unwrap_or_default();
        let path = self.path(&built.image, &built.platform);
        whole::write(&path, &text, 0o600)
            .map_err(|e| Error::io("write down what was built", &path, &e))
    }

    /// What was written down last; none where nothing was that can be used.
    fn read(&self, image: &RepositoryName, platform: &Platform) -> Result<Option<(Note, ImageId)>> {
        let path = self.path(image, platform);
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(LIMIT).read_to_end(&mut text)) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read what was built", &path, &e)),
        }
        let note: Option<Note> = serde_json::from_slice(&text).ok();
        Ok(note.and_then(|note| {
            let id = ImageId::parse(&note.id)?;
            Some((note, id))
        }))
    }

    /// The images of the plan that this project built, each by its id.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) where one is not built, is gone, or is of another commit.
    pub(super) async fn find(
        &self,
        engine: &Engine,
        plan: &Plan,
        wanted: &Wanted,
    ) -> Result<Vec<Built>> {
        let mut out = Vec::new();
        for image in &plan.images {
            for (platform, _) in &image.spec.platforms {
                if wanted.includes(platform) {
                    out.push(self.find_one(engine, image, platform).await?);
                }
            }
        }
        Ok(out)
    }

    async fn find_one(
        &self,
        engine: &Engine,
        image: &ImagePlan,
        platform: &Platform,
    ) -> Result<Built> {
        let name = kept_name(image.name(), platform);
        let wrong =
            |what: String| Error::usage(what, &*name, format!("rpub build --platform {platform}"));
        let Some((note, id)) = self.read(image.name(), platform)? else {
            let found = engine.inspect(&name).await?.map(|_| {
                let project = self.project.display();
                format!("; what podman has under that name was not built in {project}")
            });
            let found = found.unwrap_or_default();
            return Err(wrong(format!(
                "{} is not built for {platform}{found}",
                image.name()
            )));
        };
        let Some(inspected) = engine.inspect(id.as_str()).await? else {
            return Err(wrong(format!(
                "the image that was built for {platform} is gone: {id}"
            )));
        };
        let other = |what: &str| wrong(format!("it was built for something else: {what}"));
        if let Some(what) = differs(&inspected, &image.labels) {
            return Err(other(&what));
        }
        if note.revision != self.revision {
            return Err(other("another commit"));
        }
        Ok(Built {
            image: image.name().clone(),
            platform: platform.clone(),
            name: id.to_string(),
            id,
            inspected,
        })
    }
}

/// The first label of the plan that the image does not have; the time of making may differ outside git.
fn differs(inspected: &Inspected, labels: &BTreeMap<String, String>) -> Option<String> {
    labels
        .iter()
        .filter(|(key, _)| *key != "org.opencontainers.image.created")
        .find(|(key, value)| inspected.labels.get(*key) != Some(value))
        .map(|(key, value)| {
            let has = inspected.labels.get(key).map_or("nothing", String::as_str);
            format!("{key} is {has:?}, not {value:?}")
        })
}
