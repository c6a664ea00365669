//! Decides what the benchmark is asked for.
//! Must never guess: an argument that it does not know ends it.

use std::path::PathBuf;

pub(crate) const SECTIONS: [&str; 11] = [
    "push", "slow", "second", "base", "levels", "nothing", "process", "growth", "build", "links",
    "cache",
];

/// What one run does.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) rounds: u32,
    /// MiB of files in the image called 2gb; the other large ones go with it.
    pub(crate) size: u64,
    pub(crate) rpub: PathBuf,
    /// Where the images' files are taken from.
    pub(crate) files: PathBuf,
    /// Which machine or podman this is, where it is not the usual one.
    pub(crate) label: Option<String>,
    /// The command that whoever reads the results can repeat.
    pub(crate) told: String,
    /// Puts the sections that stdin has into this folder, and measures nothing.
    pub(crate) keep: Option<PathBuf>,
    /// Makes the page from what is kept, and measures nothing.
    pub(crate) page: Option<PathBuf>,
    /// A section, and the part of it: `push`, or `push` and `2gb`.
    pub(crate) sections: Vec<(String, Option<String>)>,
}

impl Args {
    pub(crate) fn parse() -> Result<Self, String> {
        let mut args = Args {
            rounds: 3,
            size: 2048,
            rpub: PathBuf::from(env!("CARGO_BIN_EXE_rpub")),
            files: PathBuf::from("/usr"),
            label: None,
            told: "scripts/bench".to_owned(),
            keep: None,
            page: None,
            sections: Vec::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            match word.as_str() {
                "--rounds" => args.rounds = number(&value()?)?,
                "--size" => args.size = number(&value()?)?,
                "--rpub" => args.rpub = value()?.into(),
                "--files" => args.files = value()?.into(),
                "--label" => args.label = Some(value()?),
                "--told" => args.told = value()?,
                "--keep" => args.keep = Some(value()?.into()),
                "--page" => args.page = Some(value()?.into()),
                "--bench" => {} // cargo bench adds it
                _ => args.sections.push(section(&word)?),
            }
        }
        if args.sections.is_empty() {
            let all = SECTIONS.iter().map(|name| ((*name).to_owned(), None));
            args.sections = all.collect();
        }
        Ok(args)
    }
}

fn section(word: &str) -> Result<(String, Option<String>), String> {
    let (name, part) = match word.split_once(':') {
        Some((name, part)) => (name, Some(part.to_owned())),
        None => (word, None),
    };
    if !SECTIONS.contains(&name) {
        return Err(format!(
            "no section {word}; there are {}",
            SECTIONS.join(" ")
        ));
    }
    Ok((name.to_owned(), part))
}

fn number<N: std::str::FromStr + Default + PartialEq>(text: &str) -> Result<N, String> {
    let number = text.parse().ok().filter(|number| *number != N::default());
    number.ok_or(format!("not a number above 0: {text}"))
}
