//! Decides which images a Containerfile needs that are none of its own stages, and which one its published stage is on.
//! Must never guess: what holds a variable that is not known here is left out.

use super::{containerfile::instructions, variables::expand};
use std::collections::BTreeMap;

/// Where a Containerfile names an image or a stage.
enum Mention {
    /// FROM: a stage begins, perhaps with a name.
    From(String, Option<String>),
    /// `COPY --from`, `RUN --mount=from`.
    Use(String),
}

/// The images that FROM, `COPY --from` and `RUN --mount=from` name, each once, in their order; `args` are the build's.
pub fn bases(text: &str, args: &BTreeMap<String, String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut stages: Vec<Option<String>> = Vec::new();
    for mention in mentions(text, args) {
        let (name, begins) = match mention {
            Mention::From(name, alias) => (name, Some(alias)),
            Mention::Use(name) => (name, None),
        };
        if is_image(&name) && stage(&stages, &name).is_none() && !found.contains(&name) {
            found.push(name);
        }
        stages.extend(begins);
    }
    found
}

/// The image that the published stage begins with, through the stages that it begins with; none for `scratch`.
pub fn base(text: &str, args: &BTreeMap<String, String>, target: Option<&str>) -> Option<String> {
    let (mut froms, mut names) = (Vec::new(), Vec::new());
    for mention in mentions(text, args) {
        if let Mention::From(from, alias) = mention {
            froms.push(from);
            names.push(alias);
        }
    }
    let mut at = match target {
        Some(name) => stage(&names, name)?,
        None => froms.len().checked_sub(1)?,
    };
    while let Some(parent) = stage(&names[..at], &froms[at]) {
        at = parent;
    }
    Some(froms.swap_remove(at)).filter(|name| is_image(name))
}

fn mentions(text: &str, args: &BTreeMap<String, String>) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut begun = false;
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for (_, instruction) in instructions(text) {
        let mut words = instruction.split_whitespace();
        let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
        match keyword.as_str() {
            "ARG" if !begun => {
                for word in words {
                    let (key, default) = word.split_once('=').unwrap_or((word, ""));
                    let value = args.get(key).map_or(default, String::as_str);
                    let value = value.trim_matches(['"', '\'']).to_owned();
                    known.insert(key.to_owned(), value);
                }
            }
            "FROM" => {
                begun = true;
                let mut words = words.skip_while(|word| word.starts_with("--"));
                let from = expand(words.next().unwrap_or_default(), &known);
                found.push(Mention::From(from, words.nth(1).map(str::to_owned)));
            }
            "COPY" | "RUN" => {
                for flag in words.take_while(|word| word.starts_with("--")) {
                    let from = flag.strip_prefix("--from=");
                    let mount = flag.strip_prefix("--mount=").unwrap_or_default();
                    let mounted = mount.split(',').find_map(|part| part.strip_prefix("from="));
                    found.extend(from.or(mounted).map(|name| Mention::Use(name.to_owned())));
                }
            }
            _ => {}
        }
    }
    found
}

/// The stage of that name or number; a later one of the same name hides the earlier one.
fn stage(stages: &[Option<String>], name: &str) -> Option<usize> {
    let named = |stage: &Option<String>| {
        let stage = stage.as_deref();
        stage.is_some_and(|stage| stage.eq_ignore_ascii_case(name))
    };
    let by_number = || name.parse().ok().filter(|number| *number < stages.len());
    stages.iter().rposition(named).or_else(by_number)
}

fn is_image(name: &str) -> bool {
    !name.is_empty() && !name.contains('$') && name != "scratch"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_what_is_no_stage() {
        let text = "ARG TAG=12\nARG BASE=\"debian:bookworm\"\nFROM --platform=linux/amd64 $BASE AS Build\n\
                    ARG BASE=none\nCOPY --from=tools /x /x\nRUN --mount=type=bind,from=more,source=/ x\n\
                    FROM scratch AS last\nCOPY --from=build --chown=1 /x /x\nCOPY --from=0 /x /x\nFROM build\n\
                    FROM debian:$TAG\nFROM ${OTHER:-alpine}\nFROM tools\nRUN echo --from=no\n";
        let none = BTreeMap::new();
        assert_eq!(
            bases(text, &none),
            ["debian:bookworm", "tools", "more", "debian:12", "alpine"]
        );
        let args = BTreeMap::from([("BASE".to_owned(), "fedora".to_owned())]);
        assert_eq!(bases(text, &args)[0], "fedora");
        assert!(bases("FROM scratch\n# FROM x\n", &none).is_empty());
    }

    #[test]
    fn the_base_is_that_of_the_published_stage() {
        let text = "ARG TAG=12\nFROM golang:1 AS tools\nFROM debian:$TAG AS Base\nFROM base AS app\n\
                    COPY --from=tools /x /x\nFROM scratch AS none\nFROM 2\n";
        let none = BTreeMap::new();
        for (target, expected) in [
            (None, Some("debian:12")),
            (Some("app"), Some("debian:12")),
            (Some("tools"), Some("golang:1")),
            (Some("none"), None),
            (Some("nowhere"), None),
        ] {
            assert_eq!(base(text, &none, target).as_deref(), expected, "{target:?}");
        }
        let args = BTreeMap::from([("TAG".to_owned(), "13".to_owned())]);
        assert_eq!(base(text, &args, None).as_deref(), Some("debian:13"));
        for nothing in [
            "",
            "# FROM x\n",
            "FROM $X\n",
            "FROM itself AS itself2\nFROM ${Y}\n",
        ] {
            assert_eq!(base(nothing, &none, None), None, "{nothing}");
        }
    }
}
