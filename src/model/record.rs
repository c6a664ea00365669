//! Decides what a digest record says, and whether a set of them is exactly what a plan needs.
//! Must never let a record of another commit, version, image or repository end in a list.

use super::{
    digest::Digest,
    plan::{Child, ImagePlan, Plan},
    platform::Platform,
    run::Run,
};
use serde::{Deserialize, Serialize};

/// One image for one platform, pushed by digest: what one machine hands over to the one that assembles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The version of this document's form: 1.
    pub schema: u32,
    /// The image's name in rpub.toml.
    pub image: String,
    /// The platform that was asked for and built.
    pub platform: Platform,
    /// Its manifest's digest, the same on every repository.
    pub digest: Digest,
    /// Its manifest's media type.
    pub media_type: String,
    /// Its manifest's size in bytes.
    pub size: u64,
    /// Where it was pushed to, as users write it.
    pub repositories: Vec<String>,
    /// The full ref it was built for.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// The commit it was built from.
    pub revision: Option<String>,
    /// The version, without its `v`.
    pub version: Option<String>,
    /// The CI run that made it; none outside of CI.
    pub run: Option<Run>,
    /// podman's version.
    pub podman: String,
    /// When it was pushed.
    pub created: jiff::Timestamp,
}

/// Why records do not make a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecords {
    /// A platform of the plan has no record.
    #[error("there is no digest record of {image} for {platform}")]
    Missing {
        /// The image.
        image: String,
        /// The platform.
        platform: Platform,
    },
    /// A platform has two.
    #[error("there are two digest records of {image} for {platform}")]
    Doubled {
        /// The image.
        image: String,
        /// The platform.
        platform: Platform,
    },
    /// The plan does not know it.
    #[error("the digest record of {image} for {platform} is none of this plan's")]
    Foreign {
        /// The image.
        image: String,
        /// The platform.
        platform: Platform,
    },
    /// It was made for something else.
    #[error(
        "the digest record of {image} for {platform} is of another {what}: {theirs}, not {ours}"
    )]
    Other {
        /// The image.
        image: String,
        /// The platform.
        platform: Platform,
        /// `revision`, `version`, `ref`, `schema`, `repositories`, `run`.
        what: &'static str,
        /// What the record says.
        theirs: String,
        /// What the plan says.
        ours: String,
    },
    /// Two platforms cannot be one manifest: podman would make a list with one entry of it.
    #[error("{image}: {first} and {second} are the same manifest {digest}")]
    Same {
        /// The image.
        image: String,
        /// One platform.
        first: Platform,
        /// The other.
        second: Platform,
        /// The digest they share.
        digest: Digest,
    },
}

fn file_name(image: &str, platform: &Platform) -> String {
    format!("{}.{}.json", image.replace('/', "_"), platform.slug())
}

impl BadRecords {
    /// The file that is wrong, or that is missing.
    pub fn file_name(&self) -> String {
        match self {
            BadRecords::Missing { image, platform }
            | BadRecords::Doubled { image, platform }
            | BadRecords::Foreign { image, platform }
            | BadRecords::Other {
                image, platform, ..
            }
            | BadRecords::Same {
                image,
                second: platform,
                ..
            } => file_name(image, platform),
        }
    }
}

impl Record {
    /// `api.linux-amd64.json`; a `/` in an image's name becomes `_`.
    pub fn file_name(&self) -> String {
        file_name(&self.image, &self.platform)
    }

    /// Whether it was made for this plan's commit, version and repositories.
    fn check(&self, plan: &Plan, image: &ImagePlan) -> Result<(), BadRecords> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        let repositories = |list: Vec<String>| list.join(" ");
        let ours = image
            .repositories
            .iter()
            .map(|(_, r)| r.to_string())
            .collect();
        let pairs = [
            ("schema", self.schema.to_string(), "1".to_owned()),
            ("ref", self.git_ref.clone(), plan.git_ref.to_string()),
            (
                "revision",
                text(&self.revision),
                text(&plan.revision.as_ref().map(ToString::to_string)),
            ),
            ("version", text(&self.version), text(&plan.version())),
            (
                "repository",
                repositories(self.repositories.clone()),
                repositories(ours),
            ),
        ];
        // Whoever assembles by hand, outside of CI, may take the records of any run of this commit.
        let run = plan.run.as_ref();
        let run = run.and_then(|ours| ours.differs_from(self.run.as_ref()));
        let run = run.map(|(theirs, ours)| ("run", theirs, ours));
        let mut pairs = pairs.into_iter().filter(|(_, theirs, ours)| theirs != ours);
        match pairs.next().or(run) {
            None => Ok(()),
            Some((what, theirs, ours)) => Err(BadRecords::Other {
                image: self.image.clone(),
                platform: self.platform.clone(),
                what,
                theirs,
                ours,
            }),
        }
    }
}

/// For every image of the plan, in order, its children: exactly one per platform, in the plan's order.
pub fn children(plan: &Plan, records: &[Record]) -> Result<Vec<Vec<Child>>, BadRecords> {
    let foreign = records.iter().find(|record| {
        !plan.images.iter().any(|image| {
            image.name().as_str() == record.image
                && image
                    .spec
                    .platforms
                    .iter()
                    .any(|(p, _)| *p == record.platform)
        })
    });
    if let Some(record) = foreign {
        return Err(BadRecords::Foreign {
            image: record.image.clone(),
            platform: record.platform.clone(),
        });
    }
    plan.images
        .iter()
        .map(|image| children_of(plan, image, records))
        .collect()
}

fn children_of(
    plan: &Plan,
    image: &ImagePlan,
    records: &[Record],
) -> Result<Vec<Child>, BadRecords> {
    let name = image.name().to_string();
    let mut out: Vec<Child> = Vec::new();
    for (platform, _) in &image.spec.platforms {
        let mut own = records
            .iter()
            .filter(|record| record.image == name && record.platform == *platform);
        let (first, second) = (own.next(), own.next());
        let record = first.ok_or_else(|| BadRecords::Missing {
            image: name.clone(),
            platform: platform.clone(),
        })?;
        if second.is_some() {
            return Err(BadRecords::Doubled {
                image: name,
                platform: platform.clone(),
            });
        }
        record.check(plan, image)?;
        if let Some(same) = out.iter().find(|child| child.digest == record.digest) {
            return Err(BadRecords::Same {
                image: name,
                first: same.platform.clone(),
                second: platform.clone(),
                digest: record.digest,
            });
        }
        out.push(Child {
            platform: platform.clone(),
            digest: record.digest,
            size: record.size,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{plan, version::GitRef};

    fn run(id: &str, attempt: u32) -> Run {
        Run {
            id: id.to_owned(),
            attempt,
            url: String::new(),
        }
    }

    fn a_plan() -> Plan {
        let text = "[[registry]]\nhost=\"ghcr.io\"\nnamespace=\"o\"\n[[image]]\nname=\"app\"\nplatforms=[\"linux/amd64\",\"linux/arm64\"]\n";
        let spec = crate::config::parse(text, "rpub.toml", &|_| None, &|_, _| true).unwrap();
        let inputs = plan::Inputs {
            tagging: plan::Tagging::ByRef,
            git_ref: GitRef::parse("refs/tags/v1.2.3").unwrap(),
            revision: Some("0123456789abcdef0123456789abcdef01234567".parse().unwrap()),
            created: jiff::Timestamp::UNIX_EPOCH,
            source: None,
            run: Some(run("77", 2)),
        };
        plan::plan(&spec, &inputs, &[]).unwrap()
    }

    fn record(platform: &str) -> Record {
        Record {
            schema: 1,
            image: "app".to_owned(),
            platform: platform.parse().unwrap(),
            digest: Digest::of(platform.as_bytes()),
            media_type: crate::model::manifest::media_type::DOCKER_MANIFEST.to_owned(),
            size: 500,
            repositories: vec!["ghcr.io/o/app".to_owned()],
            git_ref: "refs/tags/v1.2.3".to_owned(),
            revision: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            version: Some("1.2.3".to_owned()),
            run: Some(run("77", 1)),
            podman: "4.9.3".to_owned(),
            created: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn exactly_one_record_per_platform_makes_children_in_the_plans_order() {
        let got = children(&a_plan(), &[record("linux/arm64"), record("linux/amd64")]).unwrap();
        let platforms: Vec<String> = got[0].iter().map(|c| c.platform.to_string()).collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let (amd, arm) = (record("linux/amd64"), record("linux/arm64"));
        let changed = |change: fn(&mut Record)| {
            let mut other = arm.clone();
            change(&mut other);
            vec![amd.clone(), other]
        };
        let table: Vec<(Vec<Record>, &str)> = vec![
            (vec![], "no digest record of app for linux/amd64"),
            (vec![amd.clone()], "no digest record of app for linux/arm64"),
            (
                vec![amd.clone(), amd.clone(), arm.clone()],
                "two digest records",
            ),
            (
                changed(|r| r.image = "other".to_owned()),
                "none of this plan's",
            ),
            (
                changed(|r| r.platform = "linux/s390x".parse().unwrap()),
                "none of this plan's",
            ),
            (
                changed(|r| r.revision = Some("f".repeat(40))),
                "another revision",
            ),
            (changed(|r| r.revision = None), "another revision: none"),
            (
                changed(|r| r.version = Some("1.2.4".to_owned())),
                "another version",
            ),
            (
                changed(|r| r.git_ref = "refs/heads/main".to_owned()),
                "another ref",
            ),
            (changed(|r| r.schema = 2), "another schema"),
            (changed(|r| r.run = Some(run("76", 1))), "another run: 76"),
            (changed(|r| r.run = Some(run("77", 3))), "another run"),
            (changed(|r| r.run = None), "another run: none"),
            (
                changed(|r| r.repositories.push("evil.example/app".to_owned())),
                "another repository",
            ),
            (
                changed(|r| r.digest = Digest::of(b"linux/amd64")),
                "the same manifest",
            ),
        ];
        for (records, words) in table {
            let error = children(&a_plan(), &records).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
