//! Decides whether what is written to a repository's folders stays there: no link in it leads a file elsewhere.
//! Must never make the folder, nor look into what lies there.

use crate::{
    config::Grants,
    error::{Error, Result},
    files::{Fence, LeadsOut},
    model::{
        allow::Access,
        spec::{Destination, Spec},
    },
};
use std::path::Path;

/// Checks each directory store of `spec`; `typed` says that the user named it, not the repository.
///
/// # Errors
/// It, or a folder in it that rpub writes to, is a link to somewhere else.
pub fn check(
    spec: &Spec,
    folder: &Path,
    home: Option<&Path>,
    grants: &Grants,
    typed: bool,
) -> Result<()> {
    let repository = Fence::around(folder, home, &grants.allow);
    for destination in &spec.destinations {
        let Destination::Directory(shown) = destination else {
            continue;
        };
        let store = folder.join(shown);
        if !typed && let Some(out) = repository.leads_out(&store, Access::Write) {
            return Err(refused(&store, &out));
        }
        let within = Fence::at(&store, &grants.allow);
        let mut places = vec![store.join(".rpub")];
        for image in &spec.images {
            let layout = store.join(image.name.as_str());
            places.extend([layout.join("blobs/sha256"), layout.join("blobs"), layout]);
        }
        for place in places {
            if let Some(out) = within.leads_out(&place, Access::Write) {
                return Err(refused(&place, &out));
            }
        }
    }
    Ok(())
}

/// Checks the folders that a file within `folder` is to be written into.
///
/// # Errors
/// One of them is a link to somewhere else.
pub(super) fn check_folders(folder: &Path, file: &Path, grants: &Grants) -> Result<()> {
    let fence = Fence::at(folder, &grants.allow);
    for above in file.ancestors().skip(1) {
        let above = folder.join(above);
        if let Some(out) = fence.leads_out(&above, Access::Write) {
            return Err(refused(&above, &out));
        }
    }
    Ok(())
}

fn refused(place: &Path, out: &LeadsOut) -> Error {
    let (real, top) = (out.real.display(), out.top.display());
    Error::usage(
        format!("what is written there would go to {real}, out of {top}"),
        place.display().to_string(),
        format!("remove that link, or add {} if it is meant", out.switch),
    )
}
