//! Decides which layers of what is built are a base's own, and where that base lives.
//! Must never fail a release, nor hold it up for long: what is not known is compressed by podman as ever.

use super::{context::Context, push::ImageFor, targets};
use crate::{
    model::{
        bases::base,
        digest::Digest,
        manifest::Descriptor,
        origin::{Origin, origin},
        plan::Plan,
        platform::Platform,
        reference::{Host, Reference},
    },
    podman::Engine,
    registry::Registry,
    relay::BlobOrigin,
    retry::Patience,
    target::Target,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// A base's registry that does not answer by then is not worth waiting for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where each layer of a base can be read.
pub type Origins = HashMap<Digest, BlobOrigin>;

/// The layers of the bases of these images.
pub async fn look(
    context: &Context,
    engine: &Engine,
    plan: &Plan,
    images: &[ImageFor<'_>],
) -> Origins {
    if !engine.asks_for_bases() {
        return Origins::new();
    }
    let mut wanted: HashSet<(String, Platform)> = HashSet::new();
    for (name, platform) in images {
        let image = plan.images.iter().find(|image| image.name() == *name);
        let file = image.and_then(|image| {
            let (_, file) = (image.spec.platforms.iter()).find(|(one, _)| one == *platform)?;
            let text = crate::files::text(&context.path(file)).ok()?;
            base(&text, &image.spec.args, image.spec.target.as_deref())
        });
        wanted.extend(file.map(|name| (name, (*platform).clone())));
    }
    if wanted.is_empty() {
        return Origins::new();
    }
    let redirects = match tokio::time::timeout(PATIENCE, engine.redirects()).await {
        Ok(Ok(redirects)) => redirects,
        Ok(Err(error)) => {
            tracing::info!(%error, "the layers of bases are compressed again");
            return Origins::new();
        }
        Err(_) => {
            tracing::info!("podman does not answer: the layers of bases are compressed again");
            return Origins::new();
        }
    };
    let mut registries: HashMap<(Host, bool), Registry> = HashMap::new();
    let patience = Patience::new(PATIENCE);
    let mut looks = Vec::new();
    for (name, platform) in wanted {
        let Some(found) = origin(&name, redirects) else {
            continue;
        };
        let Origin {
            host,
            repository,
            reference,
            insecure,
        } = found;
        let key = (host.clone(), insecure);
        let registry = match registries.get(&key) {
            Some(known) => known.clone(),
            None => match targets::reading(context, host, insecure, &patience) {
                Ok(opened) => registries.entry(key).or_insert(opened).clone(),
                Err(error) => {
                    tracing::info!(%error, base = name, "its layers are compressed again");
                    continue;
                }
            },
        };
        let target: Arc<dyn Target> = Arc::new(registry.repository(repository));
        looks.push(async move {
            let layers = layers(&*target, &reference, &platform).await;
            layers.into_iter().map(move |(digest, size)| {
                let target = Arc::clone(&target);
                (digest, BlobOrigin { target, size })
            })
        });
    }
    let all = tokio::time::timeout(PATIENCE, futures::future::join_all(looks)).await;
    all.unwrap_or_default().into_iter().flatten().collect()
}

/// The layers of the base for a platform, as its registry has it now, with their sizes in bytes.
async fn layers(
    target: &dyn Target,
    reference: &Reference,
    platform: &Platform,
) -> Vec<(Digest, u64)> {
    let read = async |reference: &Reference| {
        let read = target.read_manifest(reference).await;
        read.inspect_err(|fault| tracing::info!(%fault, "a base's layers are compressed again"))
            .ok()
            .flatten()
    };
    let Some(mut manifest) = read(reference).await else {
        return Vec::new();
    };
    let fits = |child: &&Descriptor| {
        let told = child.platform.as_ref();
        told.is_some_and(|told| told.is(platform))
    };
    if let Some(child) = manifest.children().iter().find(fits) {
        let Some(found) = read(&Reference::Digest(child.digest)).await else {
            return Vec::new();
        };
        manifest = found;
    }
    // The first is the config. What is not gzip has no place in an image of docker's format.
    let layers = manifest.blobs().into_iter().skip(1);
    let gzip = layers.filter(|blob| blob.media_type.ends_with("gzip"));
    gzip.map(|blob| (blob.digest, blob.size)).collect()
}
