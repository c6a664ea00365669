//! Decides which images a Containerfile needs that are none of its own stages.
//! Must never guess: what holds a variable that is not known here is left out.

use super::containerfile::{expand, instructions};
use std::collections::BTreeMap;

/// The images that FROM, `COPY --from` and `RUN --mount=from` name, each once, in their order; `args` are the build's.
pub fn bases(text: &str, args: &BTreeMap<String, String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut stages: Vec<String> = Vec::new();
    let mut begun = 0_usize;
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for (_, instruction) in instructions(text) {
        let mut words = instruction.split_whitespace();
        let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
        let mut wanted: Vec<String> = Vec::new();
        match keyword.as_str() {
            "ARG" if begun == 0 => {
                for word in words {
                    let (key, default) = word.split_once('=').unwrap_or((word, ""));
                    let value = args.get(key).map_or(default, String::as_str);
                    let value = value.trim_matches(['"', '\'']).to_owned();
                    known.insert(key.to_owned(), value);
                }
            }
            "FROM" => {
                let mut words = words.skip_while(|word| word.starts_with("--"));
                wanted.push(expand(words.next().unwrap_or_default(), &known));
                let name = words.nth(1).map(str::to_ascii_lowercase);
                begun += 1;
                add(&mut found, &stages, begun - 1, &wanted);
                stages.extend(name);
                continue;
            }
            "COPY" | "RUN" => {
                for flag in words.take_while(|word| word.starts_with("--")) {
                    let from = flag.strip_prefix("--from=");
                    let mount = flag.strip_prefix("--mount=").unwrap_or_default();
                    let mounted = mount.split(',').find_map(|part| part.strip_prefix("from="));
                    wanted.extend(from.or(mounted).map(str::to_owned));
                }
            }
            _ => {}
        }
        add(&mut found, &stages, begun, &wanted);
    }
    found
}

fn add(found: &mut Vec<String>, stages: &[String], begun: usize, wanted: &[String]) {
    for name in wanted {
        let is_stage = stages.contains(&name.to_ascii_lowercase())
            || name.parse::<usize>().is_ok_and(|index| index < begun);
        let is_image = !name.is_empty() && !name.contains('$') && name != "scratch";
        if is_image && !is_stage && !found.contains(name) {
            found.push(name.clone());
        }
    }
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
            ["debian:bookworm", "tools", "more", "alpine"]
        );
        let args = BTreeMap::from([("BASE".to_owned(), "fedora".to_owned())]);
        assert_eq!(bases(text, &args)[0], "fedora");
        assert!(bases("FROM scratch\n# FROM x\n", &none).is_empty());
    }
}
