//! Decides how a finished release reads: what is where, how large, how to pull it, how long it took; as wide as the screen.
//! Must never shorten what somebody copies, nor anything at all where no screen is too narrow for it.

use super::{seconds, size};
use crate::model::{
    digest::Digest,
    pruned::Pruned,
    report::{Published, Report},
};

/// Before the first cell of a table.
const INDENT: &str = "  ";
/// Between two cells.
const GAP: usize = 2;
/// No digest is shortened to fewer hex digits.
const SHORTEST: usize = 12;

/// The text, for so many columns; whole where there is no screen.
pub(super) fn text(verb: &str, report: &Report, columns: Option<usize>) -> String {
    let page = Page { columns };
    let mut lines = Vec::new();
    for image in &report.images {
        lines.extend(page.head(format!("{verb} {}", image.name), image.digest));
        lines.extend(page.platforms(image));
        lines.extend(places(image));
    }
    let told = |one: &&Pruned| !one.is_idle();
    let pruned: Vec<Pruned> = report.pruned.iter().filter(told).cloned().collect();
    lines.extend(super::pruned::text(&pruned).lines().map(str::to_owned));
    lines.extend(took(report));
    let pulls = report.images.iter().flat_map(|image| page.pulls(image));
    let mut out = String::new();
    for line in lines.iter().flat_map(|line| page.wrapped(line)) {
        out.push_str(&line);
        out.push('\n');
    }
    let pulls: Vec<String> = pulls.collect();
    if !pulls.is_empty() {
        out.push_str("pull it:\n");
        out.push_str(&pulls.concat());
    }
    out
}

fn took(report: &Report) -> Option<String> {
    let long = |seconds: f64| seconds >= 0.05;
    let stages = report.stages.iter().filter(|stage| long(stage.seconds));
    let times: Vec<String> = stages
        .map(|stage| format!("{} {}", stage.name, seconds(stage.seconds)))
        .collect();
    let all = report.stages.iter().map(|stage| stage.seconds).sum();
    (!times.is_empty()).then(|| format!("took {}: {}", seconds(all), times.join(", ")))
}

/// What text is set for.
struct Page {
    columns: Option<usize>,
}

impl Page {
    /// A digest after `before` columns, as much of it as has room.
    fn digest(&self, before: usize, digest: Digest) -> String {
        let whole = digest.to_string();
        let room = self.columns.map(|columns| columns.saturating_sub(before));
        if room.is_none_or(|room| whole.len() <= room) {
            return whole;
        }
        let prefix = whole.len() - digest.hex().len();
        let room = room.unwrap_or_default().saturating_sub(prefix + 1);
        let hex: String = digest.hex().chars().take(room.max(SHORTEST)).collect();
        format!("{}{hex}…", &whole[..prefix])
    }

    /// What was done, and the digest: on a line of its own where it would have to be shortened.
    fn head(&self, words: String, digest: Digest) -> Vec<String> {
        let whole = format!("{words} {digest}");
        if self.columns.is_none_or(|columns| whole.len() <= columns) {
            return vec![whole];
        }
        let digest = self.digest(INDENT.len(), digest);
        vec![words, format!("{INDENT}{digest}")]
    }

    /// A table of the image's platforms.
    fn platforms(&self, image: &Published) -> Vec<String> {
        let mut rows = vec![["platform", "compressed"].map(str::to_owned)];
        let cells = |child: &crate::model::report::PlatformReport| {
            [child.platform.to_string(), size(child.size)]
        };
        rows.extend(image.platforms.iter().map(cells));
        let [first, second] = widths(&rows);
        let before = INDENT.len() + first + GAP + second + GAP;
        let digests = image.platforms.iter();
        let digests = digests.map(|child| self.digest(before, child.digest));
        let third = std::iter::once("digest".to_owned()).chain(digests);
        let line = |([platform, size], digest): (&[String; 2], String)| {
            format!("{INDENT}{platform:<first$}  {size:>second$}  {digest}")
        };
        rows.iter().zip(third).map(line).collect()
    }

    /// A command for each place, by its first tag; by its digest where it has none.
    fn pulls(&self, image: &Published) -> Vec<String> {
        let reference = |place: &String| match image.tags.first() {
            Some(tag) => format!("{place}:{tag}"),
            None => format!("{place}@{}", image.digest),
        };
        let command = |place| {
            let head = format!("{INDENT}{}", image.pull_from(place));
            let reference = reference(place);
            let long = head.len() + 1 + reference.len();
            // A shell takes both forms.
            if self.columns.is_some_and(|columns| long > columns) {
                format!("{head} \\\n{INDENT}{INDENT}{reference}\n")
            } else {
                format!("{head} {reference}\n")
            }
        };
        image.repositories.iter().map(command).collect()
    }

    /// A line, broken between words where it is too long; what follows is indented further.
    fn wrapped(&self, line: &str) -> Vec<String> {
        let wide = |text: &str| text.chars().count();
        let Some(columns) = self.columns.filter(|columns| wide(line) > *columns) else {
            return vec![line.to_owned()];
        };
        let start = line.len() - line.trim_start().len();
        let indent = " ".repeat(start + 2);
        let mut lines = Vec::new();
        let mut current = line[..start].to_owned();
        let mut empty = true;
        for word in line[start..].split_inclusive(' ') {
            if !empty && wide(&current) + wide(word.trim_end()) > columns {
                lines.push(current.trim_end().to_owned());
                current.clone_from(&indent);
            }
            current.push_str(word);
            empty = false;
        }
        lines.push(current.trim_end().to_owned());
        lines
    }
}

/// A table of where it is, under which tags.
fn places(image: &Published) -> Vec<String> {
    if image.repositories.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![["repository", "tags"].map(str::to_owned)];
    let tags = match image.tags.join(", ") {
        none if none.is_empty() => "none".to_owned(),
        tags => tags,
    };
    let places = image.repositories.iter();
    rows.extend(places.map(|place| [place.clone(), tags.clone()]));
    let [first, _] = widths(&rows);
    let line = |[place, tags]: &[String; 2]| format!("{INDENT}{place:<first$}  {tags}");
    rows.iter().map(line).collect()
}

/// The widest cell of each column.
fn widths(rows: &[[String; 2]]) -> [usize; 2] {
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    [widest(0), widest(1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::report::{PlatformReport, StageTime};

    fn report() -> Report {
        let child = |platform: &str, size| PlatformReport {
            platform: platform.parse().unwrap(),
            digest: Digest::of(platform.as_bytes()),
            size,
            config: Digest::of(b"config"),
            layers: Vec::new(),
        };
        let places = [
            "ghcr.io/steinbeck/qm-nmr-calc-api",
            "docker.io/steinbeck/qm-nmr-calc-api",
        ];
        let tags = ["1.2.3", "1.2", "latest"];
        let at = |place: &&str| tags.map(|tag| format!("{place}:{tag}"));
        let stage = |(name, seconds): (&str, f64)| StageTime {
            name: name.to_owned(),
            seconds,
        };
        Report {
            schema: 1,
            git_ref: "refs/tags/v1.2.3".to_owned(),
            version: Some("1.2.3".to_owned()),
            revision: None,
            podman: None,
            run: None,
            images: vec![Published {
                name: "qm-nmr-calc-api".to_owned(),
                digest: Digest::of(b"list"),
                tags: tags.map(str::to_owned).to_vec(),
                repositories: places.map(str::to_owned).to_vec(),
                plain_http: Vec::new(),
                references: places.iter().flat_map(at).collect(),
                platforms: vec![
                    child("linux/amd64", 231 << 20),
                    child("linux/arm/v7", 9 << 20),
                ],
            }],
            moves: Vec::new(),
            pruned: Vec::new(),
            stages: [("plan", 0.01), ("build", 100.0), ("push", 42.31)]
                .map(stage)
                .to_vec(),
        }
    }

    #[test]
    fn in_a_pipe_nothing_is_shortened() {
        insta::assert_snapshot!(text("released", &report(), None));
    }

    #[test]
    fn on_a_screen_every_line_fits() {
        insta::assert_snapshot!(text("released", &report(), Some(80)));
        insta::assert_snapshot!(text("released", &report(), Some(40)));
        for columns in 45..200 {
            for line in text("released", &report(), Some(columns)).lines() {
                let wide = line.chars().count();
                assert!(wide <= columns, "{wide} of {columns}: {line}");
            }
        }
    }

    #[test]
    fn what_is_copied_is_whole_on_any_screen() {
        for columns in 1..200 {
            let text = text("released", &report(), Some(columns));
            for place in &report().images[0].repositories {
                assert!(
                    text.contains(&format!(" {place}:1.2.3\n")),
                    "{columns}: {text}"
                );
            }
        }
    }

    #[test]
    fn a_list_without_tags_is_pulled_by_its_digest() {
        let mut report = report();
        report.images[0].tags.clear();
        let text = text("verified", &report, Some(20));
        let by_digest = format!("api@{}\n", report.images[0].digest);
        assert_eq!(text.matches(&by_digest).count(), 2, "{text}");
    }
}
