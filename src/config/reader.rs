//! Decides how a TOML table is read key by key, so that every mistake has its line and every key is known.
//! Must never know what the keys mean.

use super::mistakes::Mistakes;
use crate::model::nearest::nearest;
use std::{collections::BTreeMap, ops::Range, str::FromStr};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A text and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

/// A value that may be a table or something plain.
pub(super) enum Either<'m, 'd, T> {
    Plain(T),
    Table(Table<'m, 'd>),
}

/// A table being read; [`Table::finish`] tells the keys that nobody asked for.
pub(super) struct Table<'m, 'd> {
    pub(super) mistakes: &'m Mistakes<'m>,
    path: String,
    rows: &'d DeTable<'d>,
    span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'m, 'd> Table<'m, 'd> {
    pub(super) fn new(
        mistakes: &'m Mistakes<'m>,
        path: &str,
        table: &'d Spanned<DeTable<'d>>,
    ) -> Self {
        Table {
            mistakes,
            path: path.to_owned(),
            rows: table.get_ref(),
            span: table.span(),
            asked: Vec::new(),
        }
    }

    /// Where the table stands.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// From now on `key` is known here.
    fn ask(&mut self, key: &'static str) {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
    }

    fn get(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.ask(key);
        self.rows.get(key)
    }

    fn key_name(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Whether `key` is not there.
    pub(super) fn missing(&self, key: &str) -> bool {
        !self.rows.contains_key(key)
    }

    /// Whether `key` is not there, or an empty list.
    pub(super) fn nothing_in(&self, key: &str) -> bool {
        let items = self.rows.get(key).map(|value| value.get_ref().as_array());
        items.is_none_or(|items| items.is_some_and(|items| items.is_empty()))
    }

    /// Where `key`'s value stands.
    pub(super) fn value_span(&self, key: &str) -> Option<Range<usize>> {
        Some(self.rows.get(key)?.span())
    }

    /// A mistake in `key`'s value.
    pub(super) fn mistake(&self, key: &str, what: &str, hint: &str) {
        let at = self.value_span(key).unwrap_or_else(|| self.span());
        self.mistakes
            .add(at, format!("{}: {what}", self.key_name(key)), hint);
    }

    /// `key` must be there and is not; taken back if [`Table::finish`] finds it misspelled.
    pub(super) fn is_missing(&mut self, key: &'static str, hint: &str) {
        self.ask(key);
        let (at, what) = (self.span.start, format!("[{}] {key} is missing", self.path));
        self.mistakes.push(at, what, hint, Some((at, key)));
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        self.mistakes.add(
            value.span(),
            format!(
                "{} must be {wanted}, not {}",
                self.key_name(key),
                value.get_ref().type_str()
            ),
            &format!("write {wanted}"),
        );
    }

    pub(super) fn string(&mut self, key: &'static str) -> Option<Value> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) if !text.trim().is_empty() => Some(Value {
                text: text.clone().into_owned(),
                span: value.span(),
            }),
            DeValue::String(_) => {
                self.mistake(key, "it is empty", "give it a value, or remove it");
                None
            }
            _ => {
                self.wrong_type(key, value, "a text in quotes");
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        let read = value.get_ref().as_bool();
        if read.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        read
    }

    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let value = self.get(key)?;
        let read = value
            .get_ref()
            .as_integer()
            .and_then(|n| u32::from_str_radix(n.as_str(), n.radix()).ok())
            .filter(|n| range.contains(n));
        if read.is_none() {
            let wanted = format!("a whole number from {} to {}", range.start(), range.end());
            self.mistake(
                key,
                &format!("it must be {wanted}"),
                &format!("write {wanted}"),
            );
        }
        read
    }

    /// A text that must be there and must parse.
    pub(super) fn parsed<T>(&mut self, key: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        if self.missing(key) {
            // Nobody misses it, but it is known.
            self.ask(key);
            return None;
        }
        self.required_parsed(key)
    }

    /// The same of a key that must be there.
    pub(super) fn required_parsed<T>(&mut self, key: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        if self.missing(key) {
            self.is_missing(key, &format!("add {key} = \"…\""));
            return None;
        }
        let value = self.string(key)?;
        match value.text.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let lower = value.text.to_lowercase();
                let hint = if lower != value.text && lower.parse::<T>().is_ok() {
                    format!("did you mean {lower:?}?")
                } else {
                    format!("mend {key} there")
                };
                self.mistakes.add(
                    value.span,
                    format!("{}: {error}", self.key_name(key)),
                    &hint,
                );
                None
            }
        }
    }

    /// A list of texts, each parsed; a list with nothing in it is a mistake.
    pub(super) fn parsed_list_spanned<T>(
        &mut self,
        key: &'static str,
    ) -> Option<Vec<(T, Range<usize>)>>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let value = self.get(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of texts");
            return None;
        };
        if items.is_empty() {
            self.mistake(key, "it is empty", "name at least one, or remove it");
            return None;
        }
        let mut out = Vec::new();
        for item in items {
            let Some(text) = item.get_ref().as_str() else {
                self.wrong_type(key, item, "a list of texts");
                continue;
            };
            match text.parse() {
                Ok(parsed) => out.push((parsed, item.span())),
                Err(error) => self.mistakes.add(
                    item.span(),
                    format!("{}: {error}", self.key_name(key)),
                    &format!("mend {text:?} there"),
                ),
            }
        }
        Some(out)
    }

    /// As [`Table::parsed_list_spanned`], without the places; here an empty list is allowed.
    pub(super) fn parsed_list<T>(&mut self, key: &'static str) -> Option<Vec<T>>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let empty = self.rows.get(key).is_some_and(|value| {
            value
                .get_ref()
                .as_array()
                .is_some_and(|items| items.is_empty())
        });
        if empty {
            self.ask(key);
            return Some(Vec::new());
        }
        let list = self.parsed_list_spanned(key)?;
        Some(list.into_iter().map(|(item, _)| item).collect())
    }

    /// A table of texts, as `{ KEY = "value" }`; empty where it is not there.
    pub(super) fn strings_by_key(&mut self, key: &'static str) -> BTreeMap<String, String> {
        self.table(key).map_or_else(BTreeMap::new, |table| {
            table
                .entries()
                .into_iter()
                .map(|(key, value)| (key.text, value.text))
                .collect()
        })
    }

    /// Every key of this table with its text.
    pub(super) fn entries(&self) -> Vec<(Value, Value)> {
        let mut out = Vec::new();
        for (key, value) in self.rows {
            match value.get_ref().as_str() {
                Some(text) => out.push((
                    Value {
                        text: key.get_ref().clone().into_owned(),
                        span: key.span(),
                    },
                    Value {
                        text: text.to_owned(),
                        span: value.span(),
                    },
                )),
                None => self.wrong_type(key.get_ref(), value, "a text in quotes"),
            }
        }
        out.sort_by_key(|(key, _)| key.span.start);
        out
    }

    fn inner(&self, key: &str, value: &'d Spanned<DeValue<'d>>) -> Option<Table<'m, 'd>> {
        let table = value.get_ref().as_table()?;
        Some(Table {
            mistakes: self.mistakes,
            path: self.key_name(key),
            rows: table,
            span: value.span(),
            asked: Vec::new(),
        })
    }

    pub(super) fn table(&mut self, key: &'static str) -> Option<Table<'m, 'd>> {
        let value = self.get(key)?;
        let table = self.inner(key, value);
        if table.is_none() {
            self.wrong_type(key, value, &format!("a table: [{key}]"));
        }
        table
    }

    fn is_table(&mut self, key: &'static str) -> Option<bool> {
        self.ask(key);
        Some(self.rows.get(key)?.get_ref().is_table())
    }

    pub(super) fn string_or_table(&mut self, key: &'static str) -> Option<Either<'m, 'd, Value>> {
        if self.is_table(key)? {
            self.table(key).map(Either::Table)
        } else {
            self.string(key).map(Either::Plain)
        }
    }

    pub(super) fn boolean_or_table(&mut self, key: &'static str) -> Option<Either<'m, 'd, bool>> {
        if self.is_table(key)? {
            self.table(key).map(Either::Table)
        } else {
            self.boolean(key).map(Either::Plain)
        }
    }

    /// `[[key]]`, each.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table<'m, 'd>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let items = value.get_ref().as_array();
        let all_tables = items.is_some_and(|items| items.iter().all(|i| i.get_ref().is_table()));
        let (Some(items), true) = (items, all_tables) else {
            self.wrong_type(key, value, &format!("tables: [[{key}]]"));
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| self.inner(key, item))
            .collect()
    }

    /// Tells every key that nobody asked for, with the nearest one that somebody did.
    pub(super) fn finish(self) {
        for key in self.rows.keys() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let hint = match nearest(name, self.asked.iter().copied()) {
                Some(known) => {
                    let misspelled = (self.span.start, known);
                    self.mistakes.take_back(misspelled);
                    format!("did you mean {known:?}?")
                }
                None => format!("known keys here: {}", self.asked.join(", ")),
            };
            self.mistakes.add(
                key.span(),
                format!("unknown key {:?}", self.key_name(name)),
                &hint,
            );
        }
    }
}
