//! Decides how the time of a push grows with registries and with layers.
//! Must never let the size of the layers hide their number: each holds a few bytes.

use super::images::{self, Image, VERSION, architecture};
use super::push::{self, command};
use super::results::{Ratio, Table};
use super::run::run;
use super::world::{Way, World, addresses};
use rpub::model::digest::Digest;
use serde_json::json;
use std::path::Path;

/// `growth`: the small image to 1, 2, 4, 8 registries; images of 10, 100, 1000 layers to one.
pub(crate) fn growth(world: &World) -> Vec<Table> {
    vec![registries(world), layers(world)]
}

fn registries(world: &World) -> Table {
    let image = world.image("small");
    let mut rows = Vec::new();
    for count in [1, 2, 4, 8] {
        let names =
            ["rpub push", "podman push"].map(|tool| format!("`{tool}`, registries: {count}"));
        let many = count as usize;
        let ways = [
            Way::new(&names[0], || push::by_rpub(world, &image, many, false)),
            Way::new(&names[1], || {
                push::by_another(world, "podman", &image, many, false)
            }),
        ];
        let lines = ["rpub push, all at once", "podman push, one after the other"];
        rows.extend(push::at(count, world.in_turn("growth", &ways), &lines));
    }
    Table::new("registries", &image.about, Ratio::None, rows)
}

fn layers(world: &World) -> Table {
    let storage = world.home.storage_in_memory();
    let mut rows = Vec::new();
    for count in [10, 100, 1000] {
        let image = image(&storage, world, count);
        let fresh = || {
            let registries = World::registries(1);
            world.settle();
            registries
        };
        let names = ["rpub push", "podman push"].map(|tool| format!("`{tool}`, layers: {count}"));
        let ways = [
            Way::new(&names[0], || {
                let to = fresh();
                run(&mut storage.of(world.rpub_push(&image, &addresses(&to))))
            }),
            Way::new(&names[1], || {
                let to = fresh();
                let push = command(world, "podman", &image.reference, &addresses(&to)[0]);
                run(&mut storage.of(push))
            }),
        ];
        let lines = ["rpub push, one registry", "podman push, one registry"];
        rows.extend(push::at(count, world.in_turn("growth", &ways), &lines));
    }
    let about = "layers of a few bytes each, in a vfs storage in memory, to one registry";
    Table::new("layers", about, Ratio::None, rows)
}

/// An image of so many layers: all but the last are a base's, which no build could stack in reasonable time.
fn image(storage: &super::home::Storage<'_>, world: &World, count: u32) -> Image {
    eprintln!("making an image of {count} layers");
    let folder = tempfile::tempdir().unwrap();
    let base = format!("localhost/bench-layers:{count}");
    layout(folder.path(), count - 1);
    let mut copy = storage.of(world.home.command("skopeo"));
    copy.args(["copy", "--quiet", "--insecure-policy"]);
    copy.arg(format!("dir:{}", folder.path().display()));
    run(copy.arg(format!("containers-storage:{base}"))).unwrap();

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("last"), "last").unwrap();
    let file = format!("FROM {base}\nCOPY last /last\n");
    let image = images::write(folder, &format!("layers-{count}"), &file, String::new());
    run(&mut storage.of(world.home.rpub(image.folder(), &["build", VERSION]))).unwrap();
    image
}

/// An image as `skopeo copy dir:` reads it; each layer writes the same small file anew.
fn layout(folder: &Path, count: u32) {
    let blob = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(folder.join(digest.hex()), bytes).unwrap();
        (digest.to_string(), bytes.len())
    };
    let docker = |end: &str| format!("application/vnd.docker.{end}");
    let mut layers = Vec::new();
    let mut diffs = Vec::new();
    for number in 0..count {
        let text = format!("{number}\n");
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        let mut layer = tar::Builder::new(Vec::new());
        layer
            .append_data(&mut header, "number", text.as_bytes())
            .unwrap();
        let (digest, size) = blob(&layer.into_inner().unwrap());
        let kind = docker("image.rootfs.diff.tar");
        layers.push(json!({"mediaType": kind, "digest": digest, "size": size}));
        diffs.push(digest);
    }
    let history =
        vec![json!({"created": "2023-11-14T22:13:20Z", "created_by": "number"}); diffs.len()];
    let config = json!({
        "architecture": architecture(), "os": "linux", "created": "2023-11-14T22:13:20Z",
        "config": {}, "rootfs": {"type": "layers", "diff_ids": diffs}, "history": history,
    });
    let (digest, size) = blob(config.to_string().as_bytes());
    let kind = docker("container.image.v1+json");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": docker("distribution.manifest.v2+json"),
        "config": {"mediaType": kind, "digest": digest, "size": size}, "layers": layers,
    });
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    std::fs::write(folder.join("version"), "Directory Transport Version: 1.1\n").unwrap();
}
