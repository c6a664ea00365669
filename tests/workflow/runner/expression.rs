//! Decides what GitHub's expressions say: the part of the language that the project's workflow uses.
//! Must never guess: a word, a name or a type that it does not know ends the test with the expression's text.

use serde_json::{Map, Value};

/// What an expression may look at: `github`, `inputs`, `needs`, …
pub(crate) type Contexts = Map<String, Value>;

/// How the jobs or steps before went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Success,
    Failure,
    Cancelled,
}

/// What an expression is evaluated in.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) contexts: &'a Contexts,
    pub(crate) status: Status,
}

#[derive(Debug, Clone, PartialEq)]
enum Word {
    Name(String),
    Text(String),
    Number(f64),
    Sign(&'static str),
}

const SIGNS: &[&str] = &["==", "!=", "&&", "||", "!", "(", ")", ",", "."];

fn words(text: &str) -> Vec<Word> {
    let (mut found, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' {
            let mut value = String::new();
            let mut at = 1;
            loop {
                let end = rest[at..].find('\'').map(|end| at + end);
                let end = end.unwrap_or_else(|| panic!("a ' is missing in {text:?}"));
                value.push_str(&rest[at..end]);
                at = end + 1;
                // Two of them are one of the text.
                if !rest[at..].starts_with('\'') {
                    break;
                }
                value.push('\'');
                at += 1;
            }
            found.push(Word::Text(value));
            at
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            found.push(Word::Sign(sign));
            sign.len()
        } else {
            let inside = |c: char| {
                c.is_ascii_alphanumeric()
                    || "_-".contains(c)
                    || (first.is_ascii_digit() && c == '.')
            };
            let length = rest.find(|c| !inside(c)).unwrap_or(rest.len());
            assert!(length > 0, "the runner does not know {rest:?} in {text:?}");
            let word = &rest[..length];
            found.push(if first.is_ascii_digit() {
                Word::Number(word.parse().unwrap())
            } else {
                Word::Name(word.to_owned())
            });
            length
        };
        rest = rest[length..].trim_start();
    }
    found
}

/// Evaluates as it reads; what `&&` and `||` pass over has no effect, so it may be evaluated too.
struct Reader<'a> {
    text: &'a str,
    words: Vec<Word>,
    at: usize,
    scope: Scope<'a>,
    /// Whether a function asked for the status.
    asked_for_status: bool,
}

impl Reader<'_> {
    fn unknown(&self) -> ! {
        panic!(
            "the runner does not know {:?}, at word {} of {:?}",
            self.words.get(self.at),
            self.at + 1,
            self.text
        )
    }

    fn next_is(&mut self, sign: &str) -> bool {
        let is = self.words.get(self.at)
            == Some(&Word::Sign(SIGNS.iter().find(|s| **s == sign).unwrap()));
        self.at += usize::from(is);
        is
    }

    fn or(&mut self) -> Value {
        let mut left = self.and();
        while self.next_is("||") {
            let right = self.and();
            if !truthy(&left) {
                left = right;
            }
        }
        left
    }

    fn and(&mut self) -> Value {
        let mut left = self.equality();
        while self.next_is("&&") {
            let right = self.equality();
            if truthy(&left) {
                left = right;
            }
        }
        left
    }

    fn equality(&mut self) -> Value {
        let mut left = self.unary();
        loop {
            let equal = if self.next_is("==") {
                true
            } else if self.next_is("!=") {
                false
            } else {
                return left;
            };
            let right = self.unary();
            left = Value::Bool(equals(&left, &right) == equal);
        }
    }

    fn unary(&mut self) -> Value {
        if self.next_is("!") {
            return Value::Bool(!truthy(&self.unary()));
        }
        if self.next_is("(") {
            let value = self.or();
            if !self.next_is(")") {
                self.unknown();
            }
            return value;
        }
        let Some(word) = self.words.get(self.at).cloned() else {
            self.unknown();
        };
        self.at += 1;
        match word {
            Word::Text(text) => Value::String(text),
            Word::Number(number) => serde_json::json!(number),
            Word::Name(name) => match name.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ if self.next_is("(") => self.call(&name),
                _ => self.context(&name),
            },
            Word::Sign(_) => {
                self.at -= 1;
                self.unknown()
            }
        }
    }

    fn context(&mut self, name: &str) -> Value {
        let Some(mut value) = self.scope.contexts.get(name).cloned() else {
            panic!("there is no context {name:?} for {:?}", self.text);
        };
        // These are always filled: what is not in them here, the runner lacks.
        let whole = ["github", "runner", "matrix"].contains(&name);
        while self.next_is(".") {
            let Some(Word::Name(property)) = self.words.get(self.at).cloned() else {
                self.unknown();
            };
            self.at += 1;
            let inner = value.get(&property).cloned();
            assert!(
                inner.is_some() || !whole,
                "{name}.{property} in {:?}",
                self.text
            );
            value = inner.unwrap_or_default();
        }
        value
    }

    fn call(&mut self, name: &str) -> Value {
        let mut given = Vec::new();
        while !self.next_is(")") {
            given.push(self.or());
            if !self.next_is(",") && self.words.get(self.at) != Some(&Word::Sign(")")) {
                self.unknown();
            }
        }
        let status = self.scope.status;
        let of_status = |is: bool| Value::Bool(is);
        self.asked_for_status |= ["success", "failure", "cancelled", "always"].contains(&name);
        match (name, given.as_slice()) {
            ("success", []) => of_status(status == Status::Success),
            ("failure", []) => of_status(status == Status::Failure),
            ("cancelled", []) => of_status(status == Status::Cancelled),
            ("always", []) => of_status(true),
            ("fromJSON", [Value::String(json)]) => serde_json::from_str(json)
                .unwrap_or_else(|error| panic!("{error}: {json:?} in {:?}", self.text)),
            ("format", [Value::String(pattern), values @ ..]) => {
                let mut out = pattern.clone();
                for (index, value) in values.iter().enumerate() {
                    out = out.replace(&format!("{{{index}}}"), &text_of(value));
                }
                Value::String(out)
            }
            _ => panic!(
                "the runner does not know {name}({given:?}) in {:?}",
                self.text
            ),
        }
    }
}

fn read(text: &str, scope: Scope<'_>) -> (Value, bool) {
    let words = words(text);
    let mut reader = Reader {
        text,
        words,
        at: 0,
        scope,
        asked_for_status: false,
    };
    let value = reader.or();
    if reader.at < reader.words.len() {
        reader.unknown();
    }
    (value, reader.asked_for_status)
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Texts by their letters in any case; values of two types as numbers.
fn equals(left: &Value, right: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Null => 0.0,
        Value::Bool(is) => f64::from(u8::from(*is)),
        Value::Number(number) => number.as_f64().unwrap(),
        Value::String(text) if text.trim().is_empty() => 0.0,
        Value::String(text) => text.trim().parse().unwrap_or(f64::NAN),
        Value::Array(_) | Value::Object(_) => panic!("{value} is compared"),
    };
    match (left, right) {
        (Value::String(left), Value::String(right)) => left.eq_ignore_ascii_case(right),
        #[allow(clippy::float_cmp)] // as GitHub does
        _ => number(left) == number(right),
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(is) => is.to_string(),
        Value::Number(number) => number.as_f64().unwrap().to_string(),
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => panic!("{value} is put into a text"),
    }
}

/// A value of the workflow with what stands between `${{` and `}}` filled in; one expression alone keeps its type.
pub(crate) fn fill(value: &Value, scope: Scope<'_>) -> Value {
    let Value::String(text) = value else {
        return value.clone();
    };
    let alone = text
        .trim()
        .strip_prefix("${{")
        .and_then(|rest| rest.strip_suffix("}}"));
    match alone {
        Some(expression) if !expression.contains("}}") => read(expression, scope).0,
        _ => Value::String(fill_text(text, scope)),
    }
}

/// As [`fill`], as a text.
pub(crate) fn fill_text(text: &str, scope: Scope<'_>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${{") {
        let (expression, after) = after.split_once("}}").expect("a }} is missing");
        out.push_str(before);
        out.push_str(&text_of(&read(expression, scope).0));
        rest = after;
    }
    out + rest
}

/// Whether an `if:` lets its job or step run: none asks for success, as one does that names no status function.
pub(crate) fn holds(condition: Option<&Value>, scope: Scope<'_>) -> bool {
    let succeeded = scope.status == Status::Success;
    let Some(condition) = condition else {
        return succeeded;
    };
    let text = match condition {
        Value::Bool(is) => return *is && succeeded,
        Value::String(text) => text.trim(),
        other => panic!("if: {other}"),
    };
    let inner = text
        .strip_prefix("${{")
        .and_then(|rest| rest.strip_suffix("}}"));
    let (value, asked_for_status) = read(inner.unwrap_or(text), scope);
    truthy(&value) && (asked_for_status || succeeded)
}

#[test]
fn expression_means_what_github_documents() {
    let contexts = serde_json::json!({
        "github": { "ref": "refs/heads/main" },
        "inputs": { "skip_push": true, "name": "" },
        "matrix": { "image": "app" },
    });
    let contexts = contexts.as_object().unwrap();
    let scope = |status| Scope { contexts, status };
    let good = scope(Status::Success);
    for (text, expected) in [
        ("inputs.skip_push != true", "false"),
        // An input that nobody gave is null, and null is false.
        ("inputs.other != true", "true"),
        ("inputs.other == false", "true"),
        ("inputs.name == false", "true"),
        ("github.ref == 'REFS/heads/main'", "true"),
        ("!inputs.skip_push && 'a' || 'it''s'", "it's"),
        (
            "(inputs.skip_push && format('{0}/{1}', matrix.image, 2))",
            "app/2",
        ),
        ("fromJSON('{\"a\":[1]}').a != null && 'x'", "panic"),
        ("success() || always()", "true"),
        ("'a' == 1", "false"),
    ] {
        if expected == "panic" {
            let asked = std::panic::catch_unwind(|| read(text, good));
            assert!(asked.is_err(), "{text}: a list is compared with nothing");
            continue;
        }
        assert_eq!(text_of(&read(text, good).0), expected, "{text}");
    }
    let text = Value::String("${{ github.ref }}-${{ matrix.image }}".to_owned());
    assert_eq!(fill(&text, good), "refs/heads/main-app");
    let condition = |text: &str| Some(Value::String(text.to_owned()));
    let failed = scope(Status::Failure);
    assert!(holds(None, good) && !holds(None, failed));
    assert!(holds(condition("inputs.skip_push").as_ref(), good));
    assert!(!holds(condition("inputs.skip_push").as_ref(), failed));
    assert!(holds(condition("${{ always() }}").as_ref(), failed));
    assert!(holds(condition("failure()").as_ref(), failed));
}

#[test]
fn expression_that_is_not_known_ends_the_test() {
    let contexts = Contexts::new();
    let scope = Scope {
        contexts: &contexts,
        status: Status::Success,
    };
    for text in [
        "vars.x",
        "a[0]",
        "hashFiles('x')",
        "1 < 2",
        "'open",
        "true false",
        "github.*",
    ] {
        let asked = std::panic::catch_unwind(|| read(text, scope));
        assert!(asked.is_err(), "{text}");
    }
}
