//! Decides what must be read of a repository before anything of it may be deleted, and reads it.
//! Must never take what could not be read for something that is not there, nor write anything.

use crate::{
    model::{
        digest::Digest,
        fault::{Class, Fault},
        former::Formers,
        manifest::{Descriptor, RawManifest, media_type},
        reference::Tag,
        retention::{Holdings, Links, Look, Wish},
    },
    target::{Target, Version},
};
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Requests at once.
const ASKED_AT_ONCE: usize = 8;
/// No repository that we look through has more manifests.
const MOST: usize = 50_000;
/// Nor are those that we read larger, all together: they are held in memory.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// One repository, as pruning looks at it again and again; what a digest names is read once.
pub(super) struct Shelf {
    pub(super) target: Arc<dyn Target>,
    read: BTreeMap<Digest, RawManifest>,
    /// How many bytes were read of manifests.
    bytes: usize,
    about: BTreeMap<Digest, Vec<Descriptor>>,
}

/// How much of a manifest must be known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    /// What it names: an image names no other manifest, and need not be read.
    Names,
    /// All of it: it may go, and must be there whole so that it can be put back.
    Whole,
}

impl Shelf {
    pub(super) fn new(target: Arc<dyn Target>) -> Self {
        Shelf {
            target,
            read: BTreeMap::new(),
            bytes: 0,
            about: BTreeMap::new(),
        }
    }

    /// A manifest that was read.
    pub(super) fn manifest(&self, digest: Digest) -> Option<&RawManifest> {
        self.read.get(&digest)
    }

    /// It may not be there any more, or may be there again.
    pub(super) fn forget(&mut self, digest: Digest) {
        self.read.remove(&digest);
    }

    /// What every tag names, asked for one by one.
    pub(super) async fn tags(&self) -> Result<BTreeMap<Tag, Digest>, Fault> {
        let list = self.target.tag_list().await?;
        if let Some(doubt) = list.doubt {
            let what = "it does not tell whether its list of tags is whole";
            return Err(Fault {
                detail: format!("{what}: {}", doubt.detail),
                ..doubt
            });
        }
        let mut listed: BTreeSet<Tag> = list.tags.into_iter().collect();
        listed.extend(self.target.more_tags().await?);
        stream::iter(listed)
            .map(|tag| async move {
                let found = self.target.resolve(&tag.clone().into()).await?;
                let missing =
                    || self.odd(&format!("{tag} is in its list of tags and names nothing"));
                Ok((tag.clone(), found.ok_or_else(missing)?))
            })
            .buffered(ASKED_AT_ONCE)
            .try_collect()
            .await
    }

    /// What is listed as there and was not read, and is not there.
    pub(super) async fn missing(&self, holdings: &Holdings) -> Result<Vec<Digest>, Fault> {
        let target = &*self.target;
        let listed = holdings.manifests.iter().filter(|(digest, look)| {
            matches!(look, Look::There(_)) && !self.read.contains_key(digest)
        });
        let answers: Vec<(Digest, Option<Digest>)> =
            stream::iter(listed)
                .map(|(digest, _)| async move {
                    Ok((*digest, target.resolve(&(*digest).into()).await?))
                })
                .buffered(ASKED_AT_ONCE)
                .try_collect()
                .await?;
        let missing = answers.into_iter().filter(|(_, found)| found.is_none());
        Ok(missing.map(|(digest, _)| digest).collect())
    }

    /// All that has to be known to decide what may go. `tags` are those that were just asked for; without them the place's
    /// own list of manifests will do, where it has one.
    pub(super) async fn look(
        &mut self,
        tags: Option<BTreeMap<Tag, Digest>>,
        wish: &Wish,
        past: &Formers,
    ) -> Result<Holdings, Fault> {
        let versions = self.target.versions().await?;
        let tags = match (tags, &versions) {
            (Some(tags), _) => tags,
            (None, Some(_)) => BTreeMap::new(),
            (None, None) => self.tags().await?,
        };
        let mut holdings = Holdings {
            tags,
            ..Holdings::default()
        };
        self.enter(&mut holdings, versions.unwrap_or_default())?;
        // What may go is read first, and whole.
        let young = |(digest, age): (&Digest, &Duration)| {
            (wish.sweep || *age < wish.grace).then_some(*digest)
        };
        let untagged: Vec<Digest> = holdings.untagged.iter().filter_map(young).collect();
        let whole = (wish.superseded.iter().copied())
            .chain(untagged)
            .chain(past.going.iter().map(|going| going.digest));
        let whole: Vec<Digest> = whole.collect();
        self.read_all(&mut holdings, whole, Depth::Whole, past)
            .await?;
        let roots = (holdings.tags.values().copied())
            .chain(wish.needed.iter().copied())
            .chain(wish.stuck.iter().copied());
        let roots: Vec<Digest> = roots.collect();
        self.read_all(&mut holdings, roots, Depth::Names, past)
            .await?;
        Ok(holdings)
    }

    /// What the place lists by itself: what no tag names, and tags that the registry's own list lacks.
    fn enter(&self, holdings: &mut Holdings, versions: Vec<Version>) -> Result<(), Fault> {
        for version in versions {
            if version.tags.is_empty() {
                let unknown =
                    || self.odd("its answers have no Date: how old things are is not known");
                let age = version.age.ok_or_else(unknown)?;
                holdings.untagged.insert(version.digest, age);
            }
            for tag in version.tags {
                let named = *holdings.tags.entry(tag.clone()).or_insert(version.digest);
                if named != version.digest {
                    let what = format!("{tag} is listed at {} and names {named}", version.digest);
                    return Err(self.odd(&what));
                }
            }
        }
        // Between two answers a tag may have come.
        let tagged: BTreeSet<Digest> = holdings.tags.values().copied().collect();
        holdings
            .untagged
            .retain(|digest, _| !tagged.contains(digest));
        Ok(())
    }

    /// Reads these, and all that they name and that is about them.
    async fn read_all(
        &mut self,
        holdings: &mut Holdings,
        from: Vec<Digest>,
        depth: Depth,
        past: &Formers,
    ) -> Result<(), Fault> {
        let mut wave: BTreeSet<Digest> = from.into_iter().collect();
        while !wave.is_empty() {
            wave.retain(|digest| !holdings.manifests.contains_key(digest));
            if holdings.manifests.len() + wave.len() > MOST {
                return Err(self.too_much(&format!("{MOST} manifests")));
            }
            let looks = self.read_these(&wave, past).await?;
            let mut leaves: Vec<(Digest, Links)> = Vec::new();
            let mut next: BTreeSet<Digest> = BTreeSet::new();
            let mut enter = |one: &Descriptor, links: Links| {
                if depth == Depth::Names && is_image(one) {
                    leaves.push((one.digest, links));
                } else {
                    next.insert(one.digest);
                }
            };
            for digest in &wave {
                for child in self.read.get(digest).map_or(&[][..], RawManifest::children) {
                    enter(child, Links::default());
                }
            }
            for (digest, look) in looks {
                if let Look::Gone(Some(links)) = &look {
                    next.extend(&links.children);
                }
                holdings.manifests.insert(digest, look);
            }
            let mut asked: Vec<Digest> = wave.iter().copied().collect();
            asked.extend(leaves.iter().map(|(digest, _)| *digest));
            for (digest, links) in leaves.drain(..) {
                let look = Look::There(links);
                holdings.manifests.entry(digest).or_insert(look);
            }
            self.ask_about(&asked).await?;
            for digest in asked {
                for one in self.about.get(&digest).map_or(&[][..], Vec::as_slice) {
                    let subject = Some(digest);
                    if depth == Depth::Names && is_image(one) {
                        let links = Links {
                            children: Vec::new(),
                            subject,
                        };
                        let look = Look::There(links);
                        holdings.manifests.entry(one.digest).or_insert(look);
                    } else {
                        next.insert(one.digest);
                    }
                }
            }
            wave = next;
        }
        Ok(())
    }

    /// What came of reading these, each once in this look.
    async fn read_these(
        &mut self,
        digests: &BTreeSet<Digest>,
        past: &Formers,
    ) -> Result<Vec<(Digest, Look)>, Fault> {
        let known = digests.iter().filter_map(|digest| {
            let manifest = self.read.get(digest)?;
            Some((*digest, Look::There(Links::of(manifest))))
        });
        let mut looks: Vec<(Digest, Look)> = known.collect();
        let unknown = digests
            .iter()
            .filter(|digest| !self.read.contains_key(digest));
        let unknown: Vec<Digest> = unknown.copied().collect();
        let target = Arc::clone(&self.target);
        let mut reads = stream::iter(unknown)
            .map(|digest| {
                let target = &target;
                async move { (digest, target.read_manifest(&digest.into()).await) }
            })
            .buffered(ASKED_AT_ONCE);
        while let Some((digest, read)) = reads.next().await {
            let look = match read {
                Ok(Some(manifest)) => {
                    let look = Look::There(Links::of(&manifest));
                    self.bytes += manifest.bytes().len();
                    if self.bytes > MOST_BYTES {
                        let mib = MOST_BYTES / (1024 * 1024);
                        return Err(self.too_much(&format!("{mib} MiB of manifests")));
                    }
                    self.read.insert(digest, manifest);
                    look
                }
                Ok(None) => Look::Gone(past.links(digest)),
                // It is there, and nobody knows what it names.
                Err(fault) if fault.class == Class::Content => Look::Unreadable(fault.what()),
                Err(fault) => return Err(fault),
            };
            looks.push((digest, look));
        }
        Ok(looks)
    }

    /// Asks what is about each of these, once.
    async fn ask_about(&mut self, digests: &[Digest]) -> Result<(), Fault> {
        let new = digests
            .iter()
            .filter(|digest| !self.about.contains_key(digest));
        let new: Vec<Digest> = new.copied().collect();
        let target = Arc::clone(&self.target);
        let mut answers = stream::iter(new)
            .map(|digest| {
                let target = &target;
                async move { Ok::<_, Fault>((digest, target.referrers(digest).await?)) }
            })
            .buffered(ASKED_AT_ONCE);
        let mut many: usize = self.about.values().map(Vec::len).sum();
        while let Some((digest, about)) = answers.try_next().await? {
            let about = about.unwrap_or_default();
            many += about.len();
            if many > MOST {
                return Err(self.too_much(&format!("{MOST} referrers")));
            }
            self.about.insert(digest, about);
        }
        Ok(())
    }

    fn too_much(&self, what: &str) -> Fault {
        Fault {
            class: Class::Refused,
            ..self.odd(&format!("there are more than {what}"))
        }
    }

    fn odd(&self, what: &str) -> Fault {
        let place = self.target.repository().to_string();
        Fault::new(Class::Content, place.clone(), place, what)
    }
}

/// Whether a descriptor points at an image's manifest, which names no other manifest.
fn is_image(descriptor: &Descriptor) -> bool {
    [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST]
        .contains(&descriptor.media_type.as_str())
}
