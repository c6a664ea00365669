//! Decides how the mistakes of one file are gathered and told: all at once, each with its line.
//! Must never stop at the first.

use crate::error::{Error, Result};
use std::{cell::RefCell, ops::Range};

/// One mistake: its line, what it is, what to do; and for a missing key, which one in the table that begins where.
struct Mistake {
    line: usize,
    what: String,
    hint: String,
    missing: Option<(usize, &'static str)>,
}

/// The mistakes of one file, gathered so that all are told at once.
pub(super) struct Mistakes<'a> {
    file: &'a str,
    text: &'a str,
    found: RefCell<Vec<Mistake>>,
}

impl<'a> Mistakes<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Mistakes {
            file,
            text,
            found: RefCell::default(),
        }
    }

    /// One mistake at a byte range of the text.
    pub(super) fn add(&self, at: Range<usize>, what: String, hint: &str) {
        self.push(at.start, what, hint, None);
    }

    /// The same, for a key that is missing in the table that begins where it says.
    pub(super) fn push(
        &self,
        at: usize,
        what: String,
        hint: &str,
        missing: Option<(usize, &'static str)>,
    ) {
        let before = self.text.get(..at).unwrap_or(self.text);
        self.found.borrow_mut().push(Mistake {
            line: before.matches('\n').count() + 1,
            what,
            hint: hint.to_owned(),
            missing,
        });
    }

    /// Forgets that a key is missing: it is there, misspelled.
    pub(super) fn take_back(&self, missing: (usize, &'static str)) {
        let mut found = self.found.borrow_mut();
        found.retain(|mistake| mistake.missing != Some(missing));
    }

    /// `value` where there was no mistake; else the first in the file's order, the others below it.
    pub(super) fn into_result<T>(self, value: Option<T>) -> Result<T> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|mistake| mistake.line);
        let mut found = found.into_iter();
        match (found.next(), value) {
            (None, Some(value)) => Ok(value),
            (None, None) => {
                // `read` gives nothing only after it has added a mistake; told all the same.
                Err(Error::usage("it cannot be read", self.file, "check it"))
            }
            (Some(first), _) => {
                let also = found
                    .map(|m| format!("{}:{}: {}; {}", self.file, m.line, m.what, m.hint))
                    .collect();
                let place = format!("{}:{}", self.file, first.line);
                Err(Error::usage(first.what, place, first.hint).with_tail(also))
            }
        }
    }
}
