//! Decides how a step tells the runner something: the form of `GITHUB_OUTPUT` and `GITHUB_ENV`.
//! Must never take a line that GitHub would refuse.

/// `name=value`, or `name<<MARK`, lines, `MARK`.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let equals = line.find('=').unwrap_or(usize::MAX);
        let heredoc = line.find("<<").unwrap_or(usize::MAX);
        assert!(equals != heredoc, "GitHub refuses this line: {line:?}");
        if equals < heredoc {
            found.push((line[..equals].to_owned(), line[equals + 1..].to_owned()));
            continue;
        }
        let (name, mark) = (&line[..heredoc], &line[heredoc + 2..]);
        let mut value = Vec::new();
        loop {
            match lines.next() {
                Some(line) if line == mark => break,
                Some(line) => value.push(line),
                None => panic!("the end {mark:?} of {name:?} is missing"),
            }
        }
        found.push((name.to_owned(), value.join("\n")));
    }
    found
}

#[test]
fn files_are_read_as_github_reads_them() {
    let text = "a=1=2\n\nb<<END\nx=y\n\nEN\nEND\nc=\n";
    let expected = [("a", "1=2"), ("b", "x=y\n\nEN"), ("c", "")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs(text), expected);
    for bad in ["a\n", "a<<E\nb\n"] {
        assert!(std::panic::catch_unwind(|| pairs(bad)).is_err(), "{bad:?}");
    }
}
