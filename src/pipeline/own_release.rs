//! Decides which release of rpub a workflow takes, and which checksums of its programs it is held to from then on.
//! Must never answer without both checksums, nor ask again where the folder's own action holds them.

use crate::{
    error::{Error, Kind, Result},
    events::{Event, Events},
    files,
    model::{
        checksums::{Checksums, VERSION, asset},
        digest::Digest,
        reference::Host,
        workflow::{self, Program, Slug},
    },
    registry::describe,
};
use reqwest::{Client, Url, redirect::Policy};
use std::{error::Error as _, path::Path, time::Duration};

/// Where this rpub's own releases are, if it is one of them (`scripts/release-binaries`).
const RELEASES: Option<&str> = option_env!("RPUB_REPOSITORY");
/// Two lines are far shorter, in bytes.
const LIMIT: usize = 4096;
/// As many as a registry may send us on.
const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);
const ALL: Duration = Duration::from_mins(1);
/// What to do where the checksums cannot be had.
const HINT: &str = "give the SHA256SUMS of a release whose programs you trust: rpub init --checksums FILE; \
                    rpub init --no-ci writes no workflow";

/// What the user says of it.
pub(super) struct Wanted<'a> {
    /// Whose releases; those that this rpub is from where nothing is said.
    pub rpub: Option<Slug>,
    /// A file or a URL with the checksums; that of the release where nothing is said.
    pub checksums: Option<&'a str>,
    /// The GitHub that has the releases.
    pub server: &'a str,
    /// Where it is told what is trusted from now on.
    pub events: &'a Events,
}

/// Where the workflow of this folder takes rpub from.
pub(super) async fn program(folder: &Path, wanted: Wanted<'_>) -> Result<Program> {
    let own = RELEASES.and_then(|text| text.parse().ok());
    let slug = match wanted.rpub {
        Some(slug) => slug,
        None if is_own(folder) => return Ok(Program::Checkout),
        None => own.clone().ok_or_else(|| {
            Error::usage(
                "this rpub was built by hand, and knows of no release that CI could take",
                "--rpub",
                "name the repository with rpub's releases: rpub init --rpub OWNER/NAME",
            )
        })?,
    };
    let place = wanted.checksums.filter(|place| !place.is_empty());
    if let Some(place) = place {
        let is_url = place.starts_with("https://") || place.starts_with("http://");
        let text = if is_url {
            get(place).await?
        } else {
            from_file(Path::new(place))?
        };
        let sums = checksums(&text, place, wanted.events)?;
        return Ok(Program::Release(slug, sums));
    }
    if let Some(sums) = workflow::pinned(&text_of(&folder.join(workflow::ACTION)), &slug) {
        return Ok(Program::Release(slug, sums));
    }
    let server = wanted.server.trim_end_matches('/');
    let place = format!("{server}/{slug}/releases/download/{VERSION}/SHA256SUMS");
    let sums = checksums(&get(&place).await?, &place, wanted.events)?;
    if own.as_ref() == Some(&slug) {
        check_own(&sums, &place)?;
    }
    Ok(Program::Release(slug, sums))
}

/// Whether it is rpub's own checkout.
fn is_own(folder: &Path) -> bool {
    let manifest: Option<toml::Table> = text_of(&folder.join("Cargo.toml")).parse().ok();
    let name = manifest
        .as_ref()
        .and_then(|m| m.get("package")?.get("name")?.as_str());
    name == Some(env!("CARGO_PKG_NAME"))
}

fn checksums(text: &[u8], place: &str, events: &Events) -> Result<Checksums> {
    let text = String::from_utf8_lossy(text);
    let sums = text.parse().map_err(|wrong| {
        let what = format!("these are not the checksums of rpub {VERSION}: {wrong}");
        Error::usage(what, place, HINT)
    })?;
    events.send(Event::Note(format!(
        "the workflow takes rpub {VERSION} with the checksums of {place}, and no other"
    )));
    Ok(sums)
}

fn from_file(path: &Path) -> Result<Vec<u8>> {
    let text = files::read(path).map_err(|error| Error::io("read the checksums", path, &error))?;
    bounded(text, &path.display().to_string())
}

/// A file of the repository; nothing where it cannot be read.
fn text_of(path: &Path) -> String {
    files::text(path).unwrap_or_default()
}

fn bounded(text: Vec<u8>, place: &str) -> Result<Vec<u8>> {
    if text.len() > LIMIT {
        let what = format!("this is longer than {LIMIT} bytes, and so no list of two checksums");
        return Err(Error::usage(what, place, HINT));
    }
    Ok(text)
}

async fn get(place: &str) -> Result<Vec<u8>> {
    let no_url = |what: &str| Error::usage(what, place, HINT);
    let url: Url = place
        .parse()
        .map_err(|_| no_url("the checksums' URL is not a URL"))?;
    let plain = url.scheme() == "http";
    if plain && !is_loopback(&url) {
        return Err(no_url(
            "checksums come over https only: over plain HTTP anybody could write them",
        ));
    }
    let failed = |what: String| Error::new(Kind::Failed, what, place, HINT);
    let unanswered = |error: &reqwest::Error| {
        let what = format!(
            "cannot read the checksums of rpub {VERSION}: {}",
            describe(error)
        );
        failed(what).caused_by(error.source())
    };
    let client = client(plain).map_err(|error| unanswered(&error))?;
    let mut answer = match client.get(url).send().await {
        Ok(answer) => answer,
        Err(error) => return Err(unanswered(&error)),
    };
    let status = answer.status().as_u16();
    if status == 404 {
        return Err(failed(format!(
            "there is no release {VERSION} with checksums (404)"
        )));
    }
    if status != 200 {
        return Err(failed(format!(
            "the checksums' server answers with {status}"
        )));
    }
    let mut text = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| unanswered(&error))? {
        text.extend_from_slice(&piece);
        if text.len() > LIMIT {
            break;
        }
    }
    bounded(text, place)
}

/// Follows GitHub to where it keeps the files of releases, over https; from a plain loopback address only on this machine.
fn client(plain: bool) -> reqwest::Result<Client> {
    // Err means that it is installed already, which is all we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let redirects = Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            return attempt.error("too many redirects");
        }
        let safe = attempt.url().scheme() == "https" || (plain && is_loopback(attempt.url()));
        if safe {
            attempt.follow()
        } else {
            attempt.error("refused a redirect to a URL that is not https")
        }
    });
    let mut builder = Client::builder()
        .user_agent(concat!("rpub/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .timeout(ALL)
        .redirect(redirects)
        .referer(false);
    // A proxy cannot reach this machine's loopback, whatever the environment says.
    if plain {
        builder = builder.no_proxy();
    }
    builder.build()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().and_then(|host| host.parse::<Host>().ok());
    host.is_some_and(|host| host.is_loopback())
}

/// That the release has the program which runs here: it is said to be from there.
fn check_own(sums: &Checksums, place: &str) -> Result<()> {
    let failed = |e: &std::io::Error| Error::io("read rpub itself", Path::new("rpub"), e);
    let program = std::env::current_exe().map_err(|e| failed(&e))?;
    let bytes = std::fs::read(&program).map_err(|e| failed(&e))?;
    same(sums, std::env::consts::ARCH, Digest::of(&bytes), place)
}

fn same(sums: &Checksums, arch: &str, program: Digest, place: &str) -> Result<()> {
    if sums.of(arch) == Some(program) {
        return Ok(());
    }
    let what = format!(
        "this rpub is not the {} of its own release: one of them was replaced",
        asset(arch)
    );
    Err(Error::new(Kind::Failed, what, place, HINT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_has_another_program_than_this_one_is_refused() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let sums = Checksums {
            x86_64: one,
            aarch64: other,
        };
        same(&sums, "x86_64", one, "here").unwrap();
        for (arch, program) in [("x86_64", other), ("aarch64", one), ("riscv64", one)] {
            let error = same(&sums, arch, program, "here").unwrap_err();
            assert!(error.what.contains(&asset(arch)), "{error}");
        }
    }
}
