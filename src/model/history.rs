//! Decides which step of an image's history made which of its layers, and how that reads.
//! Must never guess: where the two do not fit, no layer has a step.

use super::{
    manifest::{Descriptor, Step},
    report::LayerReport,
};

/// No step is longer, in characters.
const LONGEST: usize = 200;

/// The layers with the steps that made them.
pub fn layers(layers: &[Descriptor], history: &[Step]) -> Vec<LayerReport> {
    let made = |step: &&Step| step.empty_layer != Some(true);
    let steps: Vec<&Step> = history.iter().filter(made).collect();
    let fits = steps.len() == layers.len();
    let one = |(index, layer): (usize, &Descriptor)| LayerReport {
        digest: layer.digest,
        size: layer.size,
        created_by: steps
            .get(index)
            .filter(|_| fits)
            .and_then(|step| step.created_by.as_deref())
            .map(short)
            .filter(|text| !text.is_empty()),
    };
    layers.iter().enumerate().map(one).collect()
}

/// As it stood in the Containerfile, about: builders write `/bin/sh -c #(nop) COPY file:… in /x` and `|1 A=b /bin/sh -c …`.
fn short(step: &str) -> String {
    let flat = step.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = match flat.split_once("/bin/sh -c ") {
        Some((before, rest)) if before.is_empty() || before.starts_with('|') => {
            match rest.trim_start().strip_prefix("#(nop) ") {
                Some(written) => without_date(written.trim_start()).to_owned(),
                None => format!("RUN {rest}"),
            }
        }
        _ => flat,
    };
    // The sum of what was copied says nothing to people.
    let words = text.split(' ').map(|word| match word.split_once(':') {
        Some((kind @ ("file" | "dir" | "multi"), sum)) if sum.len() >= 32 => kind,
        _ => word,
    });
    let text = words.collect::<Vec<_>>().join(" ");
    let mut out: String = (text.chars())
        .filter(|c| !c.is_control())
        .take(LONGEST)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// podman 5.6 and newer note the time that files are dated to behind COPY and ADD, as a part of what the step is known by.
fn without_date(written: &str) -> &str {
    match written.rsplit_once(" |force-mtime=") {
        Some((step, seconds)) if seconds.bytes().all(|b| b.is_ascii_digit()) => step,
        _ => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;

    fn step(created_by: &str, empty: bool) -> Step {
        Step {
            created_by: Some(created_by.to_owned()),
            empty_layer: empty.then_some(true),
        }
    }

    fn layer(name: &str) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            digest: Digest::of(name.as_bytes()),
            size: 7,
            platform: None,
        }
    }

    #[test]
    fn steps_read_as_they_were_written() {
        let sum = "0123456789abcdef".repeat(4);
        for (given, expected) in [
            ("/bin/sh -c apt-get update", "RUN apt-get update"),
            ("|1 A=b /bin/sh -c make", "RUN make"),
            (
                &format!("/bin/sh -c #(nop) COPY file:{sum} in /x "),
                "COPY file in /x",
            ),
            (
                &format!("/bin/sh -c #(nop) COPY file:{sum} in /x |force-mtime=1795307615"),
                "COPY file in /x",
            ),
            (
                "/bin/sh -c #(nop) CMD a |force-mtime=x",
                "CMD a |force-mtime=x",
            ),
            ("COPY a  b # buildkit", "COPY a b # buildkit"),
            ("a\u{1b}[2J\nb", "a[2J b"),
            ("echo /bin/sh -c x", "echo /bin/sh -c x"),
        ] {
            assert_eq!(short(given), expected);
        }
        let long = short(&"ü".repeat(LONGEST + 1));
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn a_layer_has_the_step_that_made_it_or_none() {
        let all = [layer("a"), layer("b")];
        let history = [step("A", false), step("E", true), step("B", false)];
        let told = |history: &[Step]| {
            let layers = layers(&all, history).into_iter();
            layers.map(|layer| layer.created_by).collect::<Vec<_>>()
        };
        let both = ["A", "B"].map(|step| Some(step.to_owned()));
        assert_eq!(told(&history), both);
        assert_eq!(told(&history[..2]), [None, None]);
        assert_eq!(told(&[]), [None, None]);
    }
}
