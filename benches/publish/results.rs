//! Decides what is kept of a measurement: every single figure, and where, when and how it was taken.
//! Must never keep a median alone: whoever doubts one can look at what it was made of.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// One section of docs/benchmarks.md, as docs/benchmarks/NAME.json holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Section {
    /// Which section of the page.
    #[serde(rename = "section")]
    pub(crate) of: String,
    /// The file's name without its end: the section, and the place or the part where it is not the usual one.
    pub(crate) name: String,
    /// The command line that made it.
    pub(crate) command: String,
    pub(crate) begun: String,
    pub(crate) ended: String,
    pub(crate) rounds: u32,
    pub(crate) machine: Machine,
    /// The load averages of 1, 5 and 15 minutes.
    pub(crate) load_before: String,
    pub(crate) load_after: String,
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) tables: Vec<Table>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) memory_gib: u64,
    pub(crate) system: String,
    pub(crate) kernel: String,
}

/// What is compared with each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) ratio: Ratio,
    pub(crate) rows: Vec<Row>,
}

/// What the column beside the medians tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ratio {
    None,
    /// The first row's median over this row's: how much of that time rpub takes.
    FirstOverThis,
    /// This row's median over the first row's: what more costs.
    ThisOverFirst,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: String,
    /// In the order they were taken in.
    pub(crate) values: Vec<f64>,
    /// Why there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<String>,
    /// Where it stands in a line plot: the line's name, and how far to the right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) point: Option<(String, f64)>,
}

impl Table {
    pub(crate) fn new(name: &str, about: impl Into<String>, ratio: Ratio, rows: Vec<Row>) -> Self {
        Table {
            name: name.to_owned(),
            about: about.into(),
            ratio,
            rows,
        }
    }

    /// A row's ratio, where the table has one and both rows have figures.
    pub(crate) fn ratio_of(&self, row: &Row) -> Option<f64> {
        let first = self.rows.first()?;
        if std::ptr::eq(first, row) {
            return None;
        }
        let (first, this) = (median(&first.values)?, median(&row.values)?);
        match self.ratio {
            Ratio::None => None,
            Ratio::FirstOverThis => Some(first / this),
            Ratio::ThisOverFirst => Some(this / first),
        }
    }
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, unit: &str) -> Self {
        Row {
            name: name.into(),
            unit: unit.to_owned(),
            values: Vec::new(),
            missing: None,
            point: None,
        }
    }

    /// A row without figures, and why.
    pub(crate) fn missing(name: impl Into<String>, why: impl Into<String>) -> Self {
        Row {
            missing: Some(why.into()),
            ..Row::new(name, "s")
        }
    }

    pub(crate) fn at(mut self, line: &str, x: u32) -> Self {
        self.point = Some((line.to_owned(), f64::from(x)));
        self
    }

    /// Adds what a run took, or why it took nothing; one that failed is not run again.
    pub(crate) fn add(&mut self, taken: Result<f64, String>) {
        match taken {
            Ok(value) => self.values.push(value),
            Err(why) => self.missing = Some(why),
        }
    }
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The least and the most.
pub(crate) fn bounds(values: &[f64]) -> Option<(f64, f64)> {
    let first = *values.first()?;
    let widen = |(low, high): (f64, f64), value: &f64| (low.min(*value), high.max(*value));
    Some(values.iter().fold((first, first), widen))
}

/// Takes finished sections from lines of text (what the measuring user printed) and puts each into its file.
pub(crate) fn keep(lines: impl Iterator<Item = String>, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for line in lines.filter(|line| line.starts_with('{')) {
        let section: Section = serde_json::from_str(&line).expect("a section");
        let text = serde_json::to_string_pretty(&section).unwrap() + "\n";
        let file = folder.join(format!("{}.json", section.name));
        std::fs::write(&file, text).unwrap();
        eprintln!("{}", file.display());
    }
}

/// All that were kept, by name.
pub(crate) fn kept(folder: &Path) -> Vec<Section> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.retain(|path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "json"));
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    files.iter().map(read).collect()
}
