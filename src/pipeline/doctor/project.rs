//! Decides which files of a project are looked at.
//! Must never read a file beyond what rpub.toml names.

use super::{Asked, engine::Seen};
use crate::{
    error::Error,
    files,
    model::{
        doctor::{
            Finding,
            machine::Machine,
            project::{self as judge, Emulation, File},
            reading,
        },
        ignore::Ignore,
        platform::Platform,
        spec::ImageSpec,
    },
    podman::platform_here,
};
use std::{collections::BTreeSet, path::Path};

pub(super) fn look(asked: &Asked, machine: &Machine, engine: &Seen, found: &mut Vec<Finding>) {
    let shown = asked.config.display().to_string();
    let context = match &asked.project {
        None => return found.push(judge::no_config(&shown, &machine.user.rpub)),
        Some(Err(error)) => return found.extend(mistakes(error)),
        Some(Ok(context)) => context,
    };
    let images = &context.spec.images;
    found.push(judge::good_config(&shown, images.len()));
    let mut seen = BTreeSet::new();
    for image in images {
        for (_, file) in &image.platforms {
            if seen.insert((file, &image.target, &image.context)) {
                let file = containerfile(&context.folder, image, file);
                found.extend(judge::containerfile(&file, engine.version.as_deref()));
            }
        }
    }
    let mut platforms: BTreeSet<&Platform> = asked.platforms.iter().collect();
    let all = images.iter().flat_map(|image| &image.platforms);
    platforms.extend(all.map(|(platform, _)| platform));
    for platform in platforms
        .into_iter()
        .filter(|platform| !is_native(platform))
    {
        found.push(judge::emulation(
            &platform.to_string(),
            platform.arch(),
            &emulation(platform.arch()),
            asked.platforms.contains(platform),
            machine.distribution,
        ));
    }
}

/// Every mistake is a finding of its own; those after the first are lines `PLACE: what; hint`.
fn mistakes(error: &Error) -> Vec<Finding> {
    let mut found = vec![judge::bad_config(
        &error.what,
        &absolute(&error.place),
        &error.hint,
    )];
    for line in &error.tail {
        let (place, rest) = line.split_once(": ").unwrap_or(("", line));
        let (what, hint) = rest.rsplit_once("; ").unwrap_or((rest, ""));
        found.push(judge::bad_config(what, &absolute(place), hint));
    }
    found
}

/// `rpub.toml:3` from the root on, so that it can be opened from anywhere.
fn absolute(place: &str) -> String {
    std::path::absolute(place).map_or_else(|_| place.to_owned(), |path| path.display().to_string())
}

fn containerfile(folder: &Path, image: &ImageSpec, shown: &str) -> File {
    let path = folder.join(shown);
    let text = read(&path);
    let context = folder.join(&image.context);
    let ignore = ignore_rules(&context);
    let is_there = |source: &str| {
        let inside = source.trim_start_matches("./").trim_matches('/');
        let left_out = ignore.ignored(inside) && !ignore.may_hold_exceptions(inside);
        !left_out && context.join(inside).symlink_metadata().is_ok()
    };
    let mut missing = text.as_deref().map(reading::copied).unwrap_or_default();
    missing.retain(|copied| !is_there(&copied.source));
    File {
        path: path.display().to_string(),
        shown: shown.to_owned(),
        text,
        target: image.target.clone(),
        missing,
    }
}

fn read(path: &Path) -> Result<String, String> {
    files::text(path).map_err(|error| error.to_string())
}

fn ignore_rules(context: &Path) -> Ignore {
    let files = [".containerignore", ".dockerignore"].map(|name| context.join(name));
    let text = files.iter().find_map(|path| read(path).ok());
    // What is wrong with one is told by the build.
    text.and_then(|text| Ignore::parse(&text).ok())
        .unwrap_or_default()
}

fn is_native(platform: &Platform) -> bool {
    platform_here().is_some_and(|own| {
        platform.arch() == own.arch() || (own.arch(), platform.arch()) == ("amd64", "386")
    })
}

fn emulation(arch: &str) -> Emulation {
    let folder = Path::new("/proc/sys/fs/binfmt_misc");
    if !folder.join("status").exists() {
        return Emulation::NotMounted;
    }
    let name = match arch {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "386" => "i386",
        "loong64" => "loongarch64",
        "mips64le" => "mips64el",
        other => other,
    };
    let entry = folder.join(format!("qemu-{name}"));
    match std::fs::read_to_string(&entry) {
        Err(_) => Emulation::Missing,
        Ok(text) if text.starts_with("enabled") => {
            let program = text
                .lines()
                .find_map(|line| line.strip_prefix("interpreter "));
            Emulation::By(program.unwrap_or("an emulator").to_owned())
        }
        Ok(_) => Emulation::Off(entry.display().to_string()),
    }
}
