//! Decides how text of any origin is shown: what moves a cursor, turns the order of letters or is not seen is written out.
//! Must never be given rpub's own colours: it comes before them.

use std::fmt::Write as _;

/// Whether a character is none that people see in its place.
pub(super) fn hides(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The same text with such characters as `\u{202e}`; lines stay lines.
pub(super) fn visible(text: &str) -> String {
    written_out(text, |c| hides(c) && !matches!(c, '\n' | '\t'))
}

/// What tracing wrote: its colours stay, what it was told has none by now.
pub(super) fn log(text: &str) -> String {
    written_out(text, |c| hides(c) && !matches!(c, '\n' | '\t' | '\u{1b}'))
}

fn written_out(text: &str, hidden: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A JSON document with them as JSON writes them: the same document. They stand in its strings only.
pub(super) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// A line of a program's output, without them: a build's colours are no news.
pub(super) fn printable(line: &str) -> String {
    let seen = |c: &char| !hides(*c) || *c == '\t';
    line.chars().filter(seen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind: cursor, colour, C1, order of letters, nothing to see.
    const EVIL: &str =
        "a\u{1b}[2K\r\u{7}\u{9b}\u{202e}\u{2066}\u{200f}\u{61c}\u{200b}\u{feff}\u{e0041}é";

    #[test]
    fn what_is_not_seen_is_written_out() {
        let told = visible(EVIL);
        assert!(!told.contains(hides), "{told:?}");
        assert!(told.starts_with("a\\u{1b}[2K\\r\\u{7}\\u{9b}\\u{202e}") && told.ends_with('é'));
        assert_eq!(visible("a\n\tb ✓ →"), "a\n\tb ✓ →");
        assert_eq!(printable(EVIL), "a[2Ké");
        assert_eq!(log("\u{1b}[31mx\u{202e}\n"), "\u{1b}[31mx\\u{202e}\n");
    }

    #[test]
    fn a_json_document_says_the_same() {
        let text = serde_json::to_string_pretty(&[EVIL]).unwrap();
        let told = json(&text);
        assert!(!told.replace('\n', "").contains(hides), "{told:?}");
        let [back]: [String; 1] = serde_json::from_str(&told).unwrap();
        assert_eq!(back, EVIL);
    }
}
