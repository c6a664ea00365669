//! Decides what is remembered of a repository's past, so that what `latest` named before can be pruned, and put back.
//! Must never forget what was decided to be deleted before it is known that nobody missed it.

use super::{
    digest::Digest,
    journal::{BadJournal, Stored},
    manifest::RawManifest,
    retention::Links,
};
use serde::{Deserialize, Serialize};

/// So many former lists are remembered; what is older is only found by a sweep.
const REMEMBERED: usize = 20;

/// One repository's past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Formers {
    /// The version of this document's form: 1.
    pub schema: u32,
    /// The repository, as users write it.
    pub repository: String,
    /// The lists that `latest` named, newest first, whole. The first may be what it names still: a release that is taken
    /// back leaves it here.
    pub lists: Vec<Stored>,
    /// What was decided to be deleted, whole, until it was seen afterwards that nothing needs it.
    pub going: Vec<Stored>,
}

impl Formers {
    /// Nothing is remembered.
    pub fn new(repository: String) -> Self {
        Formers {
            schema: 1,
            repository,
            lists: Vec::new(),
            going: Vec::new(),
        }
    }

    /// Reads what was remembered; every manifest's digest is checked.
    pub fn parse(text: &str) -> Result<Self, BadJournal> {
        let formers: Formers = serde_json::from_str(text).map_err(|e| BadJournal::new(&e))?;
        if formers.schema != 1 {
            return Err(BadJournal::unknown_schema(formers.schema));
        }
        for stored in formers.all() {
            stored.manifest()?;
        }
        Ok(formers)
    }

    fn all(&self) -> impl Iterator<Item = &Stored> {
        self.lists.iter().chain(&self.going)
    }

    /// `latest` names this list now and will name another one.
    pub fn note(&mut self, list: Stored) {
        self.lists.retain(|known| known.digest != list.digest);
        self.lists.insert(0, list);
        self.lists.truncate(REMEMBERED);
    }

    /// The lists that `latest` named before, newest first.
    pub fn superseded(&self) -> Vec<Digest> {
        self.lists.iter().map(|list| list.digest).collect()
    }

    /// A manifest that is remembered, whole.
    pub fn manifest(&self, digest: Digest) -> Option<RawManifest> {
        let stored = self.all().find(|stored| stored.digest == digest)?;
        stored.manifest().ok()
    }

    /// What a manifest named, if it is remembered.
    pub fn links(&self, digest: Digest) -> Option<Links> {
        self.manifest(digest).map(|manifest| Links::of(&manifest))
    }

    /// Every manifest that is remembered.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        self.all().map(|stored| stored.digest)
    }

    /// Whether there is anything to remember.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.going.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::media_type;

    fn stored(number: usize) -> Stored {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[],"annotations":{{"n":"{number}"}}}}"#,
            media_type::OCI_INDEX
        );
        Stored::of(&RawManifest::parse(text.into_bytes(), "").unwrap()).unwrap()
    }

    #[test]
    fn the_newest_stands_first_and_each_once() {
        let mut formers = Formers::new("ghcr.io/o/app".to_owned());
        for number in [1, 2, 3, 2] {
            formers.note(stored(number));
        }
        let expected = [2, 3, 1].map(|number| stored(number).digest);
        assert_eq!(formers.superseded(), expected);
        let text = serde_json::to_string(&formers).unwrap();
        assert_eq!(Formers::parse(&text).unwrap(), formers);
    }

    #[test]
    fn a_manifest_that_is_not_what_its_digest_says_is_refused() {
        let mut formers = Formers::new("ghcr.io/o/app".to_owned());
        let mut forged = stored(1);
        forged.digest = stored(2).digest;
        formers.going.push(forged);
        assert!(Formers::parse(&serde_json::to_string(&formers).unwrap()).is_err());
        assert!(Formers::parse("{").is_err());
    }
}
