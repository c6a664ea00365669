//! Decides how text of any origin becomes part of Markdown: words, code, fences, tables.
//! Must never let a text end the cell, the fence or the tag that it stands in.

use super::commands::flat;
use std::fmt::Write as _;

/// A text as it reads, whatever it holds: what Markdown or HTML could take for its own becomes a character reference.
pub(super) fn text(text: &str) -> String {
    let flat = flat(text);
    let mut out = String::with_capacity(flat.len());
    let mut chars = flat.trim().chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        // Between digits a point is a version's; elsewhere it could make a list's number or a link's host.
        let in_number = |next: &char| before.is_ascii_digit() && next.is_ascii_digit();
        let point = c == '.' && chars.peek().is_some_and(in_number);
        before = c;
        if c.is_alphanumeric() || matches!(c, ' ' | ',' | '/') || point {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "&#{};", u32::from(c));
        }
    }
    out
}

/// A text in the typeface of code.
pub(super) fn code(words: &str) -> String {
    format!("<code>{}</code>", text(words))
}

/// Lines of code as they are, in a fence that none of them can end.
pub(super) fn fence<S: AsRef<str>>(language: &str, lines: impl IntoIterator<Item = S>) -> String {
    let lines: Vec<String> = lines.into_iter().map(|line| flat(line.as_ref())).collect();
    let longest = lines.iter().flat_map(|line| {
        let runs = line.split(|c| c != '`');
        runs.map(str::len)
    });
    let bar = "`".repeat(longest.max().unwrap_or(0).max(2) + 1);
    format!("{bar}{language}\n{}\n{bar}\n", lines.join("\n"))
}

/// A table; the cells are Markdown already.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut out = line(head.to_vec());
    out.push_str(&line(vec!["---"; head.len()]));
    for row in rows {
        out.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    out
}

/// A list; the items are Markdown already.
pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    items
        .into_iter()
        .fold(String::new(), |out, item| format!("{out}- {item}\n"))
}

/// A word of a shell's command line.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_cell() {
        let evil = "a|b`c`<script>&\\|\n| x |\r*_[l](u)~#:@";
        for told in [text(evil), code(evil)] {
            let inner = told.replace("<code>", "").replace("</code>", "");
            let free = |c: char| "|`<>\\\n\r*_[]()~:@".contains(c);
            assert!(!inner.contains(free), "{told}");
        }
        assert_eq!(text("    1.2.3 <"), "1.2.3 &#60;");
        assert_eq!(text("1. www.x.org"), "1&#46; www&#46;x&#46;org");
        let table = table(&["a", "b"], &[vec![text("x|y"), code("|")]]);
        assert_eq!(
            table,
            "| a | b |\n| --- | --- |\n| x&#124;y | <code>&#124;</code> |\n"
        );
    }

    #[test]
    fn a_fence_is_longer_than_any_in_it() {
        assert_eq!(fence("sh", ["x"]), "```sh\nx\n```\n");
        assert_eq!(
            fence("", ["````", "a\n```\nb"]),
            "`````\n````\na ``` b\n`````\n"
        );
    }

    #[test]
    fn a_path_with_a_space_is_one_word() {
        assert_eq!(word("ghcr.io/o/a:1"), "ghcr.io/o/a:1");
        assert_eq!(word("oci:./my out/a:1"), "'oci:./my out/a:1'");
        assert_eq!(word("a'$(x)"), "'a'\\''$(x)'");
    }
}
