//! Decides whether what podman built is what was asked for: platform, docker format, HEALTHCHECK.
//! Must never ask podman anything: it is handed what podman said.

use super::Inspected;
use crate::error::{Error, Kind, Result};
use crate::model::{manifest::media_type, platform::Platform};

/// Whether the image is for `platform`, in docker format, and has a HEALTHCHECK if its Containerfile declares one.
///
/// # Errors
/// [`Kind::Build`], naming the image's id and the first thing that is wrong.
pub fn check_built(built: &Inspected, platform: &Platform, wants_healthcheck: bool) -> Result<()> {
    let wrong = |what: String, hint: &str| {
        let place = format!("image {}", built.id.get(..12).unwrap_or(&built.id));
        Err(Error::new(Kind::Build, what, place, hint))
    };
    if !is_for(built, platform) {
        return wrong(
            format!(
                "the image is for {}/{}, not {platform}",
                built.os, built.arch
            ),
            "check the platform of its base images and of any FROM --platform in the Containerfile",
        );
    }
    if built.media_type != media_type::DOCKER_MANIFEST {
        return wrong(
            format!(
                "the image came out as {:?}, not in docker format",
                built.media_type
            ),
            "update podman: this one does not keep to the format that was asked for",
        );
    }
    if wants_healthcheck && !built.healthcheck {
        return wrong(
            "the Containerfile declares a HEALTHCHECK, but the image has none".to_owned(),
            "update podman: this one dropped it; or declare it in the stage that is published",
        );
    }
    Ok(())
}

/// Whether os, architecture and (where podman tells it) variant are the platform's.
pub(super) fn is_for(built: &Inspected, platform: &Platform) -> bool {
    let variant = built.variant.as_deref().or(platform.variant());
    platform.accepts(&built.os, &built.arch, variant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn built() -> Inspected {
        Inspected {
            id: "0123456789abcdef".repeat(4),
            os: "linux".to_owned(),
            arch: "arm64".to_owned(),
            variant: None,
            media_type: media_type::DOCKER_MANIFEST.to_owned(),
            labels: BTreeMap::new(),
            healthcheck: false,
            size: 1,
            layers: Vec::new(),
        }
    }

    #[test]
    fn only_what_was_asked_for_passes() {
        let arm64: Platform = "linux/arm64".parse().unwrap();
        let amd64: Platform = "linux/amd64".parse().unwrap();
        let v7: Platform = "linux/arm/v7".parse().unwrap();
        let arm = |variant: Option<&str>| Inspected {
            arch: "arm".to_owned(),
            variant: variant.map(str::to_owned),
            ..built()
        };
        let oci = Inspected {
            media_type: media_type::OCI_MANIFEST.to_owned(),
            ..built()
        };
        let healthy = Inspected {
            healthcheck: true,
            ..built()
        };
        for (image, platform, wants, complaint) in [
            (built(), &arm64, false, None),
            (healthy.clone(), &arm64, true, None),
            (healthy, &arm64, false, None),
            (
                built(),
                &amd64,
                false,
                Some("the image is for linux/arm64, not linux/amd64"),
            ),
            (oci, &arm64, false, Some("not in docker format")),
            (built(), &arm64, true, Some("HEALTHCHECK")),
            (arm(None), &v7, false, None),
            (arm(Some("v7")), &v7, false, None),
            (arm(Some("v6")), &v7, false, Some("not linux/arm/v7")),
        ] {
            match (check_built(&image, platform, wants), complaint) {
                (Ok(()), None) => {}
                (Err(error), Some(complaint)) => {
                    assert_eq!(error.kind, Kind::Build);
                    assert!(error.what.contains(complaint), "{error}");
                    assert_eq!(error.place, "image 0123456789ab");
                }
                (result, complaint) => panic!("{result:?} instead of {complaint:?}"),
            }
        }
    }
}
