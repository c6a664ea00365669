//! Decides which paths of a build context `.containerignore` or `.dockerignore` leaves out, by Docker's rules.
//! Must never touch a file: it sees the ignore file's text and paths as text, and no more.
//!
//! Docker's rules are not gitignore's: a pattern is anchored at the context's root, and what matches a folder leaves
//! out all that is in it, until a later `!` pattern brings something back. The patterns become regular expressions, as
//! in moby's patternmatcher, because globs of other kinds differ from them (`a**b`, `[^x]`, a leading `**name`).

use regex::Regex;

/// A pattern that cannot be read; the whole file is refused, as Docker and podman do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {pattern:?} is not a pattern: {reason}")]
pub struct BadPattern {
    /// The line, from 1.
    pub line: usize,
    /// The pattern, as written, at most 200 characters of it.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// An ignore file's rules, in order. The empty one leaves nothing out.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// Matches the pattern's own paths, and all that is beneath them.
    regex: Regex,
    /// Written with `!`: brings back.
    pub(super) exception: bool,
    /// Without `.`, `..`, double slashes and those at its ends.
    pub(super) cleaned: String,
    /// The pattern's parts up to the first that may match across `/`.
    parts: Vec<Regex>,
}

impl Ignore {
    /// Reads an ignore file's text: comments, blank lines and a byte order mark are skipped.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            // Only a `#` in the very first column makes a comment.
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            rules.push(Rule::parse(line.trim()).map_err(|reason| BadPattern {
                line: index + 1,
                pattern: line.trim().chars().take(200).collect(),
                reason,
            })?);
        }
        Ok(Ignore { rules })
    }

    /// Whether `path` is left out: relative to the context's root, parts divided by `/`, no leading or trailing one.
    ///
    /// The root itself (`""` or `"."`) never is.
    pub fn ignored(&self, path: &str) -> bool {
        if path.is_empty() || path == "." {
            return false;
        }
        // The last rule that matches wins.
        let last = self.rules.iter().rev().find(|r| r.regex.is_match(path));
        last.is_some_and(|rule| !rule.exception)
    }

    /// Whether something beneath an ignored folder could be brought back, so that a walk must enter it.
    ///
    /// Errs towards `true`: a walk that enters for nothing only loses time.
    pub fn may_hold_exceptions(&self, folder: &str) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.exception && rule.may_match_beneath(folder))
    }
}

impl Rule {
    fn parse(written: &str) -> Result<Self, &'static str> {
        let (exception, pattern) = match written.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, written),
        };
        if pattern.is_empty() {
            return Err("a ! must be followed by what it brings back");
        }
        let cleaned = clean(pattern);
        let cleaned = cleaned.strip_prefix('/').unwrap_or(&cleaned);
        let whole = translate(cleaned)?;
        let mut parts = Vec::new();
        for part in cleaned.split('/') {
            // `**` crosses folders; a class or an escape may hold a `/` itself, so that splitting there was wrong.
            if part.contains("**") || part.contains(['[', '\\']) {
                break;
            }
            parts.push(compile(&translate(part)?, "$")?);
        }
        Ok(Rule {
            regex: compile(&whole, "(?:/.*)?$")?,
            exception,
            cleaned: cleaned.to_owned(),
            parts,
        })
    }

    /// Whether this pattern could match `folder`, one of its parents, or something beneath it.
    fn may_match_beneath(&self, folder: &str) -> bool {
        // Where one of the two is shorter, the rest of the other is free.
        let mut both = self.parts.iter().zip(folder.split('/'));
        both.all(|(part, name)| part.is_match(name))
    }
}

fn compile(body: &str, end: &str) -> Result<Regex, &'static str> {
    regex::RegexBuilder::new(&format!("^{body}{end}"))
        // A file's name may hold a line break.
        .dot_matches_new_line(true)
        .build()
        .map_err(|_| "it is too large, or a range in it runs backwards")
}

/// Go's `filepath.Clean`, on which Docker's rules stand: no `.`, no double `/`, no trailing one, `..` resolved.
fn clean(pattern: &str) -> String {
    let rooted = pattern.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// A cleaned pattern as a regular expression's body, without anchors.
fn translate(pattern: &str) -> Result<String, &'static str> {
    // moby takes a leading `**` before plain text as "ends with": `**.pem` is any path that ends in `.pem`.
    if let Some(rest) = pattern.strip_prefix("**")
        && !rest.is_empty()
        && !rest.starts_with('/')
        && !rest.contains(['*', '?', '[', ']', '\\'])
    {
        return Ok(format!(".*{}", regex::escape(rest)));
    }
    let mut out = String::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                rest.next_if_eq(&'/');
                // At the end it takes everything; elsewhere any number of whole folders, none too.
                out.push_str(if rest.peek().is_none() {
                    ".*"
                } else {
                    "(?:.*/)?"
                });
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => class(&mut rest, &mut out)?,
            '\\' => {
                let escaped = rest.next().ok_or("it ends in a \\ that escapes nothing")?;
                push_literal(&mut out, escaped);
            }
            plain => push_literal(&mut out, plain),
        }
    }
    Ok(out)
}

/// The rest of a class, after its `[`, by Go's `filepath.Match`: `^` negates, `\` escapes, a bare `-` is an error.
fn class(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    out: &mut String,
) -> Result<(), &'static str> {
    const OPEN: &str = "a [ lacks its ]";
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let member = |rest: &mut std::iter::Peekable<std::str::Chars<'_>>| match rest.next() {
        None => Err(OPEN),
        Some('-' | ']') => Err("in a class, - and ] need a \\ before them"),
        Some('\\') => rest.next().ok_or(OPEN),
        Some(plain) => Ok(plain),
    };
    let mut first = true;
    while first || rest.next_if_eq(&']').is_none() {
        first = false;
        let low = member(rest)?;
        let high = match rest.next_if_eq(&'-') {
            Some(_) => member(rest)?,
            None => low,
        };
        push_literal(out, low);
        out.push('-');
        push_literal(out, high);
    }
    out.push(']');
    Ok(())
}

fn push_literal(out: &mut String, c: char) {
    let mut buffer = [0; 4];
    out.push_str(&regex::escape(c.encode_utf8(&mut buffer)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ignored(text: &str, path: &str) -> bool {
        Ignore::parse(text).unwrap().ignored(path)
    }

    #[test]
    fn patterns_match_as_docker_says() {
        for (text, taken, kept) in [
            ("", "", "a a/b"),
            ("# a\n\n  \n#b", "", "a b #b"),
            (" # a", "# a", "a"),
            ("a", "a a/b a/b/c", "b b/a ab"),
            ("/a/", "a a/b", "b/a"),
            ("./a//b/../c", "a/c a/c/d", "a/b a"),
            ("*", "a .a a/b", ""),
            ("*/", "a a/b", ""),
            ("*.md", "x.md .md", "a/x.md x.mdx"),
            ("*/*.md", "a/x.md", "x.md a/b/x.md"),
            ("**/*.md", "x.md a/x.md a/b/x.md", "x.mdx"),
            ("a/**", "a/b a/b/c", "a ab"),
            ("a/**/c", "a/c a/b/c a/b/b/c/d", "a/b c"),
            ("a**/c", "a/c ax/c/c ab/x/c", "c b/a/c"),
            ("**", "a a/b", ""),
            ("**/", "a a/b", ""),
            ("**.pem", "x.pem a/x.pem", "x.pem.txt"),
            ("**/.env", ".env a/.env", "x.env"),
            ("a?c", "abc a\u{e9}c", "ac a/c abbc"),
            ("[a-c]x", "ax cx", "dx a"),
            ("[^a-c]x", "dx", "ax"),
            ("[!a]x", "!x ax", "bx"),
            ("[\\]a]x", "]x ax", "x"),
            ("\\!a", "!a", "a"),
            ("\\#a", "#a", "a"),
            ("a\\*b", "a*b", "axb"),
            ("a.b$(c)+{d}|^e", "a.b$(c)+{d}|^e", "axb"),
            ("\\d", "d", "1"),
            ("a\n!a", "", "a a/b"),
            ("!a\na", "a a/b", ""),
            ("a\n!a/b", "a a/c a/bc", "a/b a/b/c"),
            ("a\n!a/b\na/b/c", "a a/b/c", "a/b a/b/d"),
            ("*\n!src\nsrc/*.tmp", "a src/x.tmp", "src src/a src/a/x.tmp"),
            ("*\n! src", "a", "src src/a"),
            ("*\n!/src/", "a", "src src/a"),
            ("\u{feff}a", "a", "b"),
            ("a\r\nb\r\n", "a b", "c"),
            ("  a  ", "a a/b", "b"),
            (".\n/\n./", "", "a"),
            ("../a", "", "a"),
            ("a/..", "", "a"),
        ] {
            for path in taken.split(' ').filter(|p| !p.is_empty()) {
                let path = if text == " # a" { "# a" } else { path };
                assert!(ignored(text, path), "{text:?} must leave out {path:?}");
            }
            for path in kept.split(' ').filter(|p| !p.is_empty()) {
                assert!(!ignored(text, path), "{text:?} must keep {path:?}");
            }
        }
    }

    #[test]
    fn the_root_itself_is_never_left_out() {
        for root in ["", "."] {
            assert!(!ignored("**", root) && !ignored(".", root) && !ignored("/", root));
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_line() {
        for bad in [
            "!", "! ", "[", "a[", "[^", "[^bc", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[z-a]",
            "[&~a--]x", "\\", "a\\",
        ] {
            let error = Ignore::parse(&format!("# first\nfine\n{bad}\n")).unwrap_err();
            assert_eq!((error.line, error.pattern.as_str()), (3, bad.trim()));
        }
    }

    #[test]
    fn only_folders_without_exceptions_may_be_skipped() {
        for (text, enter, skip) in [
            ("a", "", "a a/b"),
            ("a\n!b", "b b/c", "a a/b"),
            ("a\n!a/b/c", "a a/b a/b/c a/b/c/d", "b a/c a/b/d"),
            ("*\n!src/*.rs", "src", "docs"),
            ("*\n!s*/x", "src", "docs src/y"),
            ("*\n!**/x", "a a/b", ""),
            ("*\n![ab]/x", "a c", ""),
            ("*\n!a\\/x", "a b", ""),
        ] {
            let ignore = Ignore::parse(text).unwrap();
            for folder in enter.split(' ').filter(|p| !p.is_empty()) {
                assert!(ignore.may_hold_exceptions(folder), "{text:?} {folder:?}");
            }
            for folder in skip.split(' ').filter(|p| !p.is_empty()) {
                assert!(!ignore.may_hold_exceptions(folder), "{text:?} {folder:?}");
            }
        }
    }

    fn pattern() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "a", "b", "c", "/", "*", "**", "?", "[ab]", "[^a]", "\\a", ".", "..",
        ]);
        (any::<bool>(), prop::collection::vec(piece, 1..7)).prop_map(|(exception, pieces)| {
            format!("{}{}", if exception { "!" } else { "" }, pieces.concat())
        })
    }

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec("[abc.]{1,3}", 1..5).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}(\n\\PC{0,40}){0,3}", path in "\\PC{0,20}") {
            if let Ok(ignore) = Ignore::parse(&text) {
                let _ = ignore.ignored(&path);
                let _ = ignore.may_hold_exceptions(&path);
            }
        }

        #[test]
        fn a_walk_that_skips_finds_all_that_is_kept(patterns in prop::collection::vec(pattern(), 1..5), path in path()) {
            let ignore = Ignore::parse(&patterns.join("\n")).unwrap();
            if !ignore.ignored(&path) {
                for (end, _) in path.match_indices('/') {
                    let folder = &path[..end];
                    prop_assert!(
                        !ignore.ignored(folder) || ignore.may_hold_exceptions(folder),
                        "{patterns:?} hides {path:?} at {folder:?}"
                    );
                }
            }
        }

        #[test]
        fn without_exceptions_a_folder_takes_all_that_is_in_it(patterns in prop::collection::vec(pattern(), 1..5), path in path(), name in "[abc]{1,2}") {
            let text = patterns.iter().map(|p| p.trim_start_matches('!')).collect::<Vec<_>>().join("\n");
            let ignore = Ignore::parse(&text).unwrap();
            if ignore.ignored(&path) {
                let child = format!("{path}/{name}");
                prop_assert!(ignore.ignored(&child));
            }
        }
    }
}
