//! Decides what of a Markdown document is a block, a span of code, a link or an anchor.
//! Must never guess at what these documents do not use (reference links, HTML, indented fences).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// What stands between two fences.
pub(super) struct Block {
    /// `sh`; empty where the fence says nothing.
    pub(super) language: String,
    pub(super) line: usize,
    pub(super) text: String,
}

/// A document, taken apart.
pub(super) struct Document {
    pub(super) path: PathBuf,
    pub(super) blocks: Vec<Block>,
    /// What stands between backticks, with its line.
    pub(super) spans: Vec<(usize, String)>,
    /// What links lead to, with their lines.
    pub(super) links: Vec<(usize, String)>,
    /// What `#…` may say, as GitHub makes it of headings.
    pub(super) anchors: BTreeSet<String>,
}

impl Document {
    pub(super) fn new(path: PathBuf, text: &str) -> Self {
        let mut document = Document {
            path,
            blocks: Vec::new(),
            spans: Vec::new(),
            links: Vec::new(),
            anchors: BTreeSet::new(),
        };
        let mut open: Option<Block> = None;
        for (line, text) in text.lines().enumerate().map(|(n, text)| (n + 1, text)) {
            match (&mut open, text.strip_prefix("```")) {
                (Some(_), Some(_)) => document.blocks.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(text);
                    block.text.push('\n');
                }
                (None, Some(language)) => {
                    open = Some(Block {
                        language: language.trim().to_owned(),
                        line,
                        text: String::new(),
                    });
                }
                (None, None) => document.read(line, text),
            }
        }
        assert!(open.is_none(), "{}: a fence stays open", document.name());
        document
    }

    pub(super) fn name(&self) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = self.path.strip_prefix(root).unwrap_or(&self.path);
        path.display().to_string()
    }

    fn read(&mut self, line: usize, text: &str) {
        if let Some(heading) = text.strip_prefix('#') {
            self.anchors.insert(anchor(heading.trim_start_matches('#')));
        }
        // Every second part is code: the others are prose.
        for (at, part) in text.split('`').enumerate() {
            if at % 2 == 1 {
                self.spans.push((line, part.to_owned()));
            }
        }
        for part in text.split("](").skip(1) {
            if let Some((link, _)) = part.split_once(')') {
                self.links.push((line, link.to_owned()));
            }
        }
    }
}

/// Lower case, spaces as dashes, punctuation gone.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn docs_markdown_is_taken_apart() {
    let text = "# A `b` of c\n[x](y.md#z) `rpub plan`\n```sh\n# no heading\nls\n```\n";
    let document = Document::new("a.md".into(), text);
    assert!(document.anchors.contains("a-b-of-c") && document.anchors.len() == 1);
    assert_eq!(document.links, [(2, "y.md#z".to_owned())]);
    assert_eq!(document.spans[1], (2, "rpub plan".to_owned()));
    assert_eq!(document.blocks[0].text, "# no heading\nls\n");
}
