//! Decides what docs/benchmarks.md says: all that was kept, with when, on what and by which command it was measured.
//! Must never change what was written by hand, nor say a figure that no file holds.

use super::args::SECTIONS;
use super::plots;
use super::results::{Ratio, Row, Section, Table, bounds, kept, median};
use std::fmt::Write as _;
use std::path::Path;

/// All below this line of the page is written by hand.
const BY_HAND: &str = "<!-- by hand: scripts/bench leaves what follows as it is -->";

/// Writes the page and its plots from the results in `docs/benchmarks`.
pub(crate) fn render(docs: &Path) {
    let folder = docs.join("benchmarks");
    let page = docs.join("benchmarks.md");
    let mut sections = kept(&folder);
    let place = |name: &str| SECTIONS.iter().position(|known| *known == name);
    sections.sort_by_key(|section| (place(&section.of), section.name.clone()));

    let intro = "Registries are Debian's docker-registry on loopback, fresh for each run. The ways to do one thing take turns \
        (A B A B). Before each run the tools forget what they pushed, except where their memory is what is measured. Images are \
        made of files from /usr. Every single time is in [benchmarks/](benchmarks); `scripts/bench SECTION` measures a section \
        again.";
    let mut text = format!("# Benchmarks\n\n{}\n", filled(intro));
    let compared: Vec<(String, &Table)> = sections
        .iter()
        .filter(|one| is_push(one))
        .flat_map(titled)
        .collect();
    if !compared.is_empty() {
        plots::bars(&folder.join("push.svg"), &compared);
        text.push_str(
            "\n![Medians of pushes to two registries, in seconds](benchmarks/push.svg)\n",
        );
    }
    for section in &sections {
        text.push_str(&one(section));
        if section.of == "growth" {
            let file = format!("{}.svg", section.name);
            plots::lines(&folder.join(&file), section);
            writeln!(
                text,
                "\n![Seconds by registries and by layers](benchmarks/{file})"
            )
            .unwrap();
        }
    }
    let before = std::fs::read_to_string(&page).unwrap_or_default();
    let by_hand = before
        .split_once(BY_HAND)
        .map_or("", |(_, rest)| rest.trim());
    writeln!(text, "\n{BY_HAND}\n\n{by_hand}").unwrap();
    std::fs::write(&page, text).unwrap();
    eprintln!("{}", page.display());
}

fn is_push(section: &Section) -> bool {
    matches!(section.of.as_str(), "push" | "slow")
}

/// A section's tables, and what a picture calls them.
fn titled(section: &Section) -> Vec<(String, &Table)> {
    let title = |table: &Table| {
        let how = match (section.of.as_str(), section.name.as_str()) {
            ("slow", _) => ", 200 Mbit/s and 20 ms to each registry".to_owned(),
            (name, of) if name != of => format!(", podman {}", version(section, "podman")),
            _ => String::new(),
        };
        format!("{}: {}{how}", table.name, table.about)
    };
    section
        .tables
        .iter()
        .map(|table| (title(table), table))
        .collect()
}

fn version<'a>(section: &'a Section, of: &str) -> &'a str {
    section.versions.get(of).map_or("?", String::as_str)
}

/// The heading, and what a reader has to know beforehand.
fn words(name: &str) -> (&'static str, &'static str) {
    match name {
        "push" => (
            "Push to two registries",
            "`rpub push` sends one image to both at once; the other tools push to one registry, then to the other.",
        ),
        "slow" => (
            "Push over slow links",
            "The same, but each registry is behind a link of its own: 200 Mbit/s, 20 ms there and back, shared by all \
             connections to that registry. The link has no slow start.",
        ),
        "second" => (
            "What the second registry costs",
            "One image, pushed to one registry and to two. On loopback the second one's own process takes time from podman's, where \
             they share cores.",
        ),
        "base" => (
            "A base that is published already",
            "An image on a large base that was pulled. podman knows under which digests; neither target has the image. In the \
             first table the base is in a third registry, in the second in another repository of one of the two.",
        ),
        "levels" => (
            "Compression levels",
            "One image, pushed by rpub to two registries at each level (`compression_level`). podman's own is 5, rpub's is 3: the \
             quickest whose layers are less than 5 % larger.",
        ),
        "nothing" => (
            "A release with nothing to do",
            "All is published already. The same version again is not even built. A new version has a new commit in its labels, \
             so it is built, from the cache.",
        ),
        "process" => (
            "Memory and processor",
            "User and system time, of each program by itself. \"The podman that rpub asks to push\" is the `podman system service` \
             that rpub talks to; compression is its work.",
        ),
        "growth" => (
            "Growth",
            "How the time of a push grows with registries and with layers.",
        ),
        "build" => (
            "From a Containerfile to two registries",
            "Nothing is built or cached before. Where the command names a suite, each run begins a minute after what the one \
             before left was removed: for so long ext4 passes over the inodes of removed files, one by one.",
        ),
        "links" => (
            "From a Containerfile over slow links",
            "The same, but each registry is behind a link of its own: 200 Mbit/s, 20 ms there and back.",
        ),
        _ => (
            "Layer cache",
            "`rpub build` with a layer cache in a registry. Each step leaves 4 MB that do not compress, after hashing 600 MB. An \
             empty cache costs compression and upload of what the steps leave; a full one saves their work, and costs the download.",
        ),
    }
}

fn one(section: &Section) -> String {
    let (heading, intro) = words(&section.of);
    let beside = match &section.name {
        name if *name == section.of => String::new(),
        _ if matches!(section.of.as_str(), "build" | "links") => format!(
            " (podman {}, docker {})",
            version(section, "podman"),
            version(section, "docker")
        ),
        _ => format!(" (podman {})", version(section, "podman")),
    };
    let mut text = format!("\n## {heading}{beside}\n\n{}\n", filled(intro));
    for table in &section.tables {
        text.push_str(&rows(table));
    }
    let machine = &section.machine;
    let versions: Vec<String> = section
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let measured = format!(
        "Measured {} by `{}` ({}), on {} cores ({}, {} GiB of memory), {}, Linux {}; {}. \
         Load average {} at the start, {} at the end.",
        section.begun,
        section.command,
        match section.rounds {
            1 => "one round".to_owned(),
            more => format!("{more} rounds"),
        },
        machine.cores,
        machine.cpu,
        machine.memory_gib,
        machine.system,
        machine.kernel,
        versions.join(", "),
        section.load_before,
        section.load_after,
    );
    writeln!(text, "\n{}", filled(&measured)).unwrap();
    text
}

fn rows(table: &Table) -> String {
    let about = Some(&table.about).filter(|about| !about.is_empty());
    let about = about.map_or(String::new(), |about| format!(": {about}"));
    let (head, line) = match table.ratio {
        Ratio::None => ("", ""),
        Ratio::FirstOverThis => (" rpub ÷ this |", "---|"),
        Ratio::ThisOverFirst => (" this ÷ first |", "---|"),
    };
    let mut text = format!(
        "\n**{}**{about}\n\n| | median | min | max |{head} all |\n|---|---|---|---|{line}---|\n",
        table.name
    );
    for row in &table.rows {
        let ratio = table.ratio_of(row).map(|ratio| format!("{ratio:.2}"));
        let ratio = match table.ratio {
            Ratio::None => String::new(),
            _ => format!(" {} |", ratio.unwrap_or_default()),
        };
        let (Some(middle), Some((least, most))) = (median(&row.values), bounds(&row.values)) else {
            let why = row.missing.as_deref().unwrap_or("not here");
            writeln!(
                text,
                "| {} | {} | | |{ratio} |",
                row.name,
                why.replace('|', "/")
            )
            .unwrap();
            continue;
        };
        let [middle, least, most] = [middle, least, most].map(|value| figure(value, &row.unit));
        writeln!(
            text,
            "| {} | {middle} | {least} | {most} |{ratio} {} |",
            row.name,
            all(row)
        )
        .unwrap();
    }
    text
}

/// Every figure where there are few.
fn all(row: &Row) -> String {
    if row.values.len() > 10 {
        return String::new();
    }
    let each = row.values.iter().map(|value| figure(*value, ""));
    each.collect::<Vec<_>>().join(" ")
}

/// Text in lines of the width that the other documents have.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let more = word.chars().count() + 1;
        if width > 0 && width + more > 125 {
            filled.push('\n');
            width = 0;
        } else if width > 0 {
            filled.push(' ');
        }
        filled.push_str(word);
        width += more;
    }
    filled
}

/// A number with as many digits as say something.
pub(crate) fn figure(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        some if some >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}").trim().to_owned()
}
