//! Decides which simple commands a piece of shell consists of, and what their words are.
//! Must never be taken for a shell: it knows what the documents use, and expands nothing.

/// The words of each command, without assignments before it, redirections and comments.
pub(super) fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut here_documents: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    let end_word = |word: &mut Option<String>, words: &mut Vec<String>| words.extend(word.take());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(next) => word.get_or_insert_default().push(next),
            },
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                word.extend(chars.by_ref().take_while(|next| *next != c));
            }
            '#' if word.is_none() => while chars.next_if(|next| *next != '\n').is_some() {},
            '<' if chars.peek() == Some(&'<') => {
                chars.next();
                let end: String =
                    std::iter::from_fn(|| chars.next_if(|c| !c.is_whitespace())).collect();
                here_documents.push(end.trim_matches(['\'', '"', '-']).to_owned());
            }
            '\n' | ';' | '|' | '&' => {
                end_word(&mut word, &mut words);
                found.push(std::mem::take(&mut words));
                if c == '\n' {
                    for end in here_documents.drain(..) {
                        skip_until(&mut chars, &end);
                    }
                }
            }
            '>' | '<' => {
                // A file's descriptor before it is part of it; what follows names a file.
                word.take_if(|word| word.chars().all(|c| c.is_ascii_digit()));
                end_word(&mut word, &mut words);
                while chars
                    .next_if(|next| matches!(next, '>' | '&' | ' '))
                    .is_some()
                {}
                while chars.next_if(|next| !next.is_whitespace()).is_some() {}
            }
            c if c.is_whitespace() => end_word(&mut word, &mut words),
            c => word.get_or_insert_default().push(c),
        }
    }
    end_word(&mut word, &mut words);
    found.push(words);
    let assigns = |word: &String| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    found
        .into_iter()
        .map(|words| words.into_iter().skip_while(assigns).collect())
        .filter(|words: &Vec<String>| !words.is_empty())
        .collect()
}

fn skip_until(chars: &mut impl Iterator<Item = char>, end: &str) {
    let mut line = String::new();
    for c in chars {
        if c == '\n' {
            if line == end {
                return;
            }
            line.clear();
        } else {
            line.push(c);
        }
    }
}

#[test]
fn docs_shell_is_taken_apart() {
    let text = "A=b rpub plan 'a b' \\\n  --to ./out 2>&1 | tee x # why\ncat >f <<'END'\nrpub nonsense\nEND\nrpub serve & kill %1";
    let found = commands(text);
    let words: Vec<String> = found.iter().map(|words| words.join(",")).collect();
    assert_eq!(
        words,
        [
            "rpub,plan,a b,--to,./out",
            "tee,x",
            "cat",
            "rpub,serve",
            "kill,%1"
        ]
    );
}
