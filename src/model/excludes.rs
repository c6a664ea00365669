//! Decides which rules of an ignore file podman reads as Docker does, and how they are written for it.
//! Must never hand on a rule that one version of podman reads in another way: the caller then packs an archive itself.

use super::ignore::Ignore;

/// The rules as patterns for podman. `None` where it may read one of them differently:
///
/// - an exception (`!`): podman does not look into every ignored folder that holds one;
/// - `?`, an escape, a negated class, and `**` that is only part of a name.
///
/// podman matches the rest by the same regular expressions as Docker in all versions from 4.3 to 5.8.
pub fn patterns(ignore: &Ignore) -> Option<Vec<String>> {
    let mut out = Vec::new();
    for rule in &ignore.rules {
        if rule.exception {
            return None;
        }
        let cleaned = rule.cleaned.as_str();
        // The root itself, and what is above it: these match nothing.
        if matches!(cleaned, "" | "." | "..") || cleaned.starts_with("../") {
            continue;
        }
        let parts: Option<Vec<String>> = cleaned.split('/').map(part).collect();
        let pattern = parts?.join("/");
        out.push(Some(pattern).filter(|pattern| survives(pattern))?);
    }
    Some(out)
}

/// A pattern that means this path alone: podman takes a character after a `\` as it is.
pub fn literal(path: &str) -> Option<String> {
    let mut out = String::new();
    for c in path.chars() {
        push(&mut out, c);
    }
    survives(path).then_some(out)
}

/// podman trims patterns, and reads one from each line of a file.
fn survives(pattern: &str) -> bool {
    pattern == pattern.trim() && !pattern.contains(char::is_control)
}

/// One part of a path.
fn part(written: &str) -> Option<String> {
    if written == "**" {
        return Some(written.to_owned());
    }
    if written.contains("**") {
        return None;
    }
    let mut out = String::new();
    let mut rest = written.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => out.push('*'),
            '[' => out.push_str(&class(&mut rest)?),
            '?' | '\\' => return None,
            plain => push(&mut out, plain),
        }
    }
    Some(out)
}

/// The rest of a class of letters and digits, with its brackets.
fn class(rest: &mut std::str::Chars<'_>) -> Option<String> {
    let (members, after) = rest.as_str().split_once(']')?;
    *rest = after.chars();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let known = !members.is_empty() && members.chars().all(plain);
    known.then(|| format!("[{members}]"))
}

fn push(out: &mut String, c: char) {
    if c.is_ascii_punctuation() && !matches!(c, '/' | '_' | '-' | '.') {
        out.push('\\');
    }
    out.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        Some(patterns(&Ignore::parse(text).unwrap())?.join(" "))
    }

    #[test]
    fn plain_rules_are_handed_on_cleaned_and_escaped() {
        for (text, expected) in [
            ("", ""),
            ("# a\n\n.\n/\n../a\na/..", ""),
            ("a\n/b/\n./c//d/../e", "a b c/e"),
            ("*.md\n**/.env\nd/**\n**", "*.md **/.env d/** **"),
            ("**/*.py[cod]", "**/*.py[cod]"),
            ("a b+(c){d}|e^$#", "a b\\+\\(c\\)\\{d\\}\\|e\\^\\$\\#"),
            ("\u{e4}*", "\u{e4}*"),
        ] {
            assert_eq!(of(text).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn what_podman_may_read_differently_is_not_handed_on() {
        for text in [
            "*\n!a", "a?", "\\#a", "[^a]", "[a-z]", "[\\]]", "**.pem", "a**/b", "a\u{1}b",
        ] {
            assert_eq!(of(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_path_is_no_pattern() {
        let special = literal("!a*b?[c](d)+{e}|^$").unwrap();
        assert_eq!(special, "\\!a\\*b\\?\\[c\\]\\(d\\)\\+\\{e\\}\\|\\^\\$");
        assert_eq!(literal("a.b-c_d").unwrap(), "a.b-c_d");
        assert_eq!((literal("a "), literal("a\nb")), (None, None));
    }
}
