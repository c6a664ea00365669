//! Decides how a small repository is written down for one test: by names, one line for each manifest.
//! Must never say what is to be expected of it.

use rpub::model::{
    digest::Digest,
    retention::{Decision, Doubt, Holdings, Kept, Links, Look, Wish, decide},
};
use std::time::Duration;

/// So long after a push somebody may be about to tag it.
const HOUR: Duration = Duration::from_hours(1);

pub(super) fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

/// `sha256-<hex>` of this manifest.
pub(super) fn about(name: &str) -> String {
    format!("sha256-{}", digest(name).hex())
}

#[derive(Default)]
pub(super) struct Scene {
    holdings: Holdings,
    wish: Wish,
    names: Vec<&'static str>,
}

impl Scene {
    pub(super) fn new() -> Self {
        let mut scene = Scene::default();
        scene.wish.grace = HOUR;
        scene
    }

    fn links(children: &[&str], subject: Option<&str>) -> Links {
        Links {
            children: children.iter().map(|name| digest(name)).collect(),
            subject: subject.map(digest),
        }
    }

    fn look(mut self, name: &'static str, look: Look) -> Self {
        self.names.push(name);
        self.holdings.manifests.insert(digest(name), look);
        self
    }

    pub(super) fn image(self, name: &'static str) -> Self {
        self.list(name, &[])
    }

    pub(super) fn list(self, name: &'static str, children: &[&str]) -> Self {
        self.look(name, Look::There(Self::links(children, None)))
    }

    pub(super) fn referrer(self, name: &'static str, subject: &str, children: &[&str]) -> Self {
        self.look(name, Look::There(Self::links(children, Some(subject))))
    }

    pub(super) fn gone(self, name: &'static str, children: &[&str]) -> Self {
        self.gone_with(name, Self::links(children, None))
    }

    pub(super) fn gone_with(self, name: &'static str, links: Links) -> Self {
        self.look(name, Look::Gone(Some(links)))
    }

    pub(super) fn unreadable(self, name: &'static str) -> Self {
        self.look(name, Look::Unreadable("503".to_owned()))
    }

    pub(super) fn tag(mut self, tag: &str, name: &str) -> Self {
        self.holdings
            .tags
            .insert(tag.parse().unwrap(), digest(name));
        self
    }

    /// Listed without a tag, pushed a minute ago.
    pub(super) fn young(mut self, name: &str) -> Self {
        self.holdings.untagged.insert(digest(name), HOUR / 60);
        self
    }

    /// Listed without a tag, pushed a month ago.
    pub(super) fn old(mut self, name: &str) -> Self {
        self.holdings.untagged.insert(digest(name), HOUR * 24 * 30);
        self
    }

    /// What `latest` named before, newest first.
    pub(super) fn superseded(mut self, names: &[&str]) -> Self {
        self.wish.superseded = names.iter().map(|name| digest(name)).collect();
        self
    }

    pub(super) fn keep(mut self, count: usize) -> Self {
        self.wish.keep = count;
        self
    }

    pub(super) fn needs(mut self, name: &str) -> Self {
        self.wish.needed.insert(digest(name));
        self
    }

    pub(super) fn sweep(mut self) -> Self {
        self.wish.sweep = true;
        self
    }

    pub(super) fn decide(&self) -> Result<Decision, Doubt> {
        decide(&self.holdings, &self.wish)
    }

    /// What goes, in this order.
    pub(super) fn goes(&self) -> Vec<&'static str> {
        let decision = self.decide().unwrap();
        let name = |wanted: Digest| self.names.iter().find(|name| digest(name) == wanted);
        let deletions = decision.deletions.iter();
        deletions
            .map(|deletion| *name(deletion.digest()).unwrap())
            .collect()
    }

    /// Why this one stays.
    pub(super) fn kept(&self, name: &str) -> Kept {
        let kept = self.decide().unwrap().kept;
        kept.into_iter()
            .find(|kept| kept.digest == digest(name))
            .unwrap()
    }
}
