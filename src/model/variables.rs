//! Decides what a word of a Containerfile is once the variables in it have their values.
//! Must never guess: a variable that is not known stays as it is written.

use std::collections::BTreeMap;

/// `$NAME`, `${NAME}` and `${NAME:-default}` replaced, anywhere in the word; quotes around it go.
pub(super) fn expand(word: &str, arguments: &BTreeMap<String, String>) -> String {
    let mut rest = word.trim_matches(['"', '\'']);
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        let (inner, tail) = braced.unwrap_or_else(|| {
            let other = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            after.split_at(after.find(other).unwrap_or(after.len()))
        });
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let known = arguments.get(name).map(String::as_str);
        if let Some(value) = known.filter(|value| !value.is_empty()).or(default) {
            out.push_str(value);
        } else {
            out.push('$');
            out.push_str(inner);
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_their_values_wherever_they_stand() {
        let known = [("TAG", "12"), ("EMPTY", ""), ("A_1", "x")];
        let known = known.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let known = BTreeMap::from(known);
        for (word, expected) in [
            ("debian", "debian"),
            ("\"debian:$TAG\"", "debian:12"),
            ("ghcr.io/$A_1/app:${TAG}-slim", "ghcr.io/x/app:12-slim"),
            ("${EMPTY:-alpine}:${NONE:-3}", "alpine:3"),
            ("app-$TARGETARCH", "app-$TARGETARCH"),
            ("$", "$"),
            ("a${TAG", "a${TAG"),
        ] {
            assert_eq!(expand(word, &known), expected, "{word}");
        }
    }
}
