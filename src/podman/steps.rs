//! Decides which images a build made on its way: one per step, by which podman knows the step again the next time.
//! Must never name an image that was there before the build: one from the cache, or one that a stage begins with.

/// What the lines of a build, heard one by one, say of the images of its steps.
#[derive(Debug, Default)]
pub struct Steps {
    /// Whether the stage has only begun, from an image that somebody else made.
    at_base: bool,
    cached: Option<String>,
    /// Whether the step's image was just fetched from a layer cache: it is not from before the build.
    fetched: bool,
    /// Whether the finished image will have the layers of what comes next, and is not that itself.
    towards_image: bool,
    made: Vec<String>,
}

impl Steps {
    /// Takes the next line of the build's output. Answers the first digits of an image's id where the line says that a
    /// step made it whose layers the finished image will have: one of the last stage, and not that image itself.
    pub fn hear(&mut self, line: &str) -> Option<&str> {
        if let Some(instruction) = instruction(line) {
            let mut words = instruction.split_whitespace();
            let from = words.next().is_some_and(|w| w.eq_ignore_ascii_case("FROM"));
            // A stage that begins with nothing is an image of this build, even without a step.
            let base = words.find(|word| !word.starts_with("--"));
            self.at_base = from && base.is_none_or(|base| !base.eq_ignore_ascii_case("scratch"));
            self.cached = None;
            self.fetched = false;
            self.towards_image = stage(line).is_none_or(|(at, stages)| at == stages);
        } else if commits(line) {
            self.towards_image = false;
        } else if fetched(line).is_some() {
            self.fetched = true;
        } else if let Some(id) = line.strip_prefix("--> Using cache ") {
            self.cached = (!self.fetched).then(|| id.trim().to_owned());
        } else if let Some(id) = line.strip_prefix("--> ") {
            let id = id.trim();
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            let is_id = (8..=64).contains(&id.len()) && id.bytes().all(hex);
            let cached = self.cached.take().is_some_and(|full| full.starts_with(id));
            if is_id && !cached && !self.at_base {
                self.made.push(id.to_owned());
                let newest = self.made.last().map(String::as_str);
                return newest.filter(|_| self.towards_image && !self.fetched);
            }
        }
        None
    }

    /// The first digits of the ids of what was made, in that order; the finished image may be among them.
    pub fn made(self) -> Vec<String> {
        self.made
    }
}

/// The name that an image has in podman's storage which this line says came from a layer cache.
///
/// 5.x says `REPOSITORY:KEY:KEY`, 4.3 without the second key; a key is 64 hex digits.
pub fn fetched(line: &str) -> Option<&str> {
    let name = line.strip_prefix("--> Cache pulled from remote ")?.trim();
    let key = |part: &str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let mut names = name.match_indices(':').filter_map(|(colon, _)| {
        let end = colon + 1 + 64;
        let is_key = name.get(colon + 1..end).is_some_and(key);
        is_key.then(|| name.get(..end)).flatten()
    });
    names.next()
}

/// Whether a line announces the finished image: `COMMIT name`, or `[2/2] COMMIT name`.
fn commits(line: &str) -> bool {
    let rest = stage(line).and_then(|_| line.split_once("] "));
    rest.map_or(line, |(_, rest)| rest).starts_with("COMMIT ")
}

/// `1` and `2` of `[1/2] STEP 2/3: COPY x /`.
fn stage(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('[')?.split_once("] ")?.0.split_once('/')
}

/// Which step a line announces, and what that does: `2/3` and `COPY x /` of `STEP 2/3: COPY x /`, or `[1/2] 2/3` and
/// the same of `[1/2] STEP 2/3: COPY x /`.
pub fn step(line: &str) -> Option<(String, &str)> {
    let (stage, rest) = match line.strip_prefix('[') {
        Some(staged) => staged.split_once("] ").map(|(s, rest)| (Some(s), rest))?,
        None => (None, line),
    };
    let (count, instruction) = rest.strip_prefix("STEP ")?.split_once(": ")?;
    let counts = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '/');
    if !counts(count) {
        return None;
    }
    let count = match stage {
        Some(stage) if counts(stage) => format!("[{stage}] {count}"),
        _ => count.to_owned(),
    };
    Some((count, instruction))
}

/// `COPY x /` of `STEP 2/3: COPY x /` or `[1/2] STEP 2/3: COPY x /`.
pub(super) fn instruction(line: &str) -> Option<&str> {
    step(line).map(|(_, instruction)| instruction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_a_layer_cache_is_of_this_build() {
        let id = format!("429fe6f4ee8{}", "0".repeat(53));
        let key = "ab".repeat(32);
        let name = format!("127.0.0.1:1/cache:{key}");
        for told in [name.clone(), format!("{name}:{key}")] {
            let line = format!("--> Cache pulled from remote {told}");
            assert_eq!(fetched(&line), Some(&*name));
            let mut steps = Steps::default();
            for line in [
                "STEP 2/3: RUN x",
                &line,
                &format!("--> Using cache {id}"),
                "--> 429fe6f4ee8",
                "STEP 3/3: RUN y",
                &format!("--> Using cache {id}"),
                "--> 429fe6f4ee8",
            ] {
                assert_eq!(steps.hear(line), None);
            }
            assert_eq!(steps.made(), ["429fe6f4ee8"]);
        }
        assert_eq!(fetched("--> Cache pulled from remote x:1"), None);
        assert_eq!(fetched(&name), None);
    }

    #[test]
    fn steps_are_counted_as_podman_counts_them() {
        for (line, count, instruction) in [
            ("STEP 2/3: COPY x: /", "2/3", "COPY x: /"),
            ("[1/2] STEP 12/13: RUN y", "[1/2] 12/13", "RUN y"),
            ("[x] STEP 1/1: RUN y", "1/1", "RUN y"),
        ] {
            assert_eq!(step(line), Some((count.to_owned(), instruction)));
        }
        assert_eq!(step("STEP one: x"), None);
    }

    #[test]
    fn only_what_the_build_made_is_named() {
        let cached = format!("429fe6f4ee8{}", "0".repeat(53));
        let (mut steps, mut towards_image) = (Steps::default(), Vec::new());
        for line in [
            "[1/4] STEP 1/1: FROM scratch AS a",
            "--> f69fc3053bb",
            "[2/4] STEP 1/2: FROM --platform=linux/amd64 debian AS b",
            "--> 111111111111",
            "[2/4] STEP 2/2: COPY file /file",
            &format!("--> Using cache {cached}"),
            "--> 429fe6f4ee8",
            "[4/4] STEP 1/2: FROM 7193e6a41eec",
            "[4/4] STEP 2/3: RUN x",
            "--> not an id",
            "--> 429fe6f4ee8f more",
            "--> 745cff07c60",
            "[4/4] STEP 3/3: LABEL a=b",
            "[4/4] COMMIT localhost/loc:x",
            "--> 0123456789a",
            "Successfully tagged localhost/loc:x",
        ] {
            towards_image.extend(steps.hear(line).map(str::to_owned));
        }
        assert_eq!(towards_image, ["745cff07c60"]);
        assert_eq!(steps.made(), ["f69fc3053bb", "745cff07c60", "0123456789a"]);
    }
}
