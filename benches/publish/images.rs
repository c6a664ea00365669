//! Decides what the images are made of: files of this machine, in layers of about the same size, the same in every run.
//! Must never make up contents: what compresses like nothing real says nothing.

use super::home::Home;
use super::run::run;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const MIB: u64 = 1024 * 1024;

/// The version that all images are built and pushed as.
pub(crate) const VERSION: &str = "v0.0.1";

/// An image in podman's storage, built by rpub, and the folder that it is pushed from.
pub(crate) struct Image {
    pub(crate) name: String,
    /// What it is called in podman's storage.
    pub(crate) reference: String,
    pub(crate) about: String,
    folder: TempDir,
}

impl Image {
    /// Where its rpub.toml is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// How large an image is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) layers: u64,
    pub(crate) mib: u64,
}

/// The shapes by name; `size` is that of the large one.
pub(crate) fn shape(name: &str, size: u64) -> Shape {
    let (layers, mib) = match name {
        "small" => (2, 6),
        "layers" => (60, 60),
        "one-layer" => (1, size / 2),
        "levels" => (5, size / 4),
        "base" => (5, size / 2),
        _ => (5, size),
    };
    Shape {
        layers,
        mib: mib.max(1),
    }
}

/// An image of files, built.
pub(crate) fn build(home: &Home, files: &Path, name: &str, shape: Shape) -> Image {
    eprintln!("making the image {name}");
    let folder = tempfile::tempdir().unwrap();
    let mut source = Files::of(files);
    let (file, bytes) = layers(&mut source, folder.path(), shape);
    let image = write(folder, name, &file, about(shape, bytes));
    run(&mut home.rpub(image.folder(), &["build", VERSION])).unwrap();
    image
}

/// Files in layers, and the Containerfile that copies them; how many bytes they are.
pub(crate) fn layers(source: &mut Files, folder: &Path, shape: Shape) -> (String, u64) {
    let mut file = "FROM scratch\n".to_owned();
    let mut bytes = 0;
    for layer in 1..=shape.layers {
        let each = shape.mib * MIB / shape.layers;
        bytes += source.fill(&folder.join(layer.to_string()), each);
        writeln!(file, "COPY {layer} /{layer}").unwrap();
    }
    (file, bytes)
}

/// An image that a Containerfile makes, not built yet.
pub(crate) fn write(folder: TempDir, name: &str, containerfile: &str, about: String) -> Image {
    let platform = format!("linux/{}", architecture());
    std::fs::write(folder.path().join("Containerfile"), containerfile).unwrap();
    let toml = format!("[[image]]\nname = \"bench-{name}\"\nplatforms = [\"{platform}\"]\n");
    std::fs::write(folder.path().join("rpub.toml"), toml).unwrap();
    Image {
        name: name.to_owned(),
        reference: format!("localhost/rpub/bench-{name}:linux-{}", architecture()),
        about,
        folder,
    }
}

pub(crate) fn about(shape: Shape, bytes: u64) -> String {
    let layers = match shape.layers {
        1 => "one layer".to_owned(),
        more => format!("{more} layers"),
    };
    format!("{} MiB of files in {layers}", bytes / MIB)
}

/// As images name it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    }
}

/// The files of a folder that are left, in the order of their names.
pub(crate) struct Files {
    root: PathBuf,
    left: std::iter::Peekable<std::vec::IntoIter<(PathBuf, u64)>>,
}

impl Files {
    pub(crate) fn of(root: &Path) -> Self {
        let mut found = Vec::new();
        for name in ["lib", "bin", "share"] {
            list(&root.join(name), &mut found);
        }
        found.sort();
        Files {
            root: root.to_owned(),
            left: found.into_iter().peekable(),
        }
    }

    /// Copies files until there are `wanted` bytes; how many there are then.
    pub(crate) fn fill(&mut self, folder: &Path, wanted: u64) -> u64 {
        std::fs::create_dir_all(folder).unwrap();
        let mut bytes = 0;
        while bytes < wanted {
            let Some((path, size)) = self.left.next() else {
                break;
            };
            // One that is too large for the layer would make it another layer's size.
            if bytes + size > wanted + wanted / 10 {
                continue;
            }
            let target = folder.join(path.strip_prefix(&self.root).unwrap());
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            if std::fs::copy(&path, &target).is_ok() {
                bytes += size;
            }
        }
        bytes
    }
}

/// Regular files of 8 KiB and more that anybody may read.
fn list(folder: &Path, found: &mut Vec<(PathBuf, u64)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(about) = entry.path().symlink_metadata() else {
            continue;
        };
        if about.is_dir() {
            list(&entry.path(), found);
        } else if about.is_file() && about.size() >= 8192 && about.mode() & 0o004 != 0 {
            found.push((entry.path(), about.size()));
        }
    }
}
