//! Decides how a question looks on the terminal, and what an answer to it is.
//! Must never ask where nobody sits.

use super::plain::visible;
use std::{
    fmt::Display,
    io::{IsTerminal as _, Write as _},
    str::FromStr,
};

/// Whether somebody can read questions and type answers.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The answer; the default where nothing is typed. A wrong one is told and asked for again. `None` where the input ends.
pub fn ask<T>(question: &str, default: T) -> Option<T>
where
    T: FromStr + Display,
    T::Err: Display,
{
    loop {
        // Not locked while nobody types: Ctrl-C has something to say too.
        let mut out = std::io::stderr();
        let _ = write!(out, "{} ", visible(&format!("{question} [{default}]")));
        let _ = out.flush();
        let mut line = String::new();
        match std::io::stdin().read_line(&mut line) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return None,
        }
        let text = line.trim();
        if text.is_empty() {
            return Some(default);
        }
        match text.parse() {
            Ok(answer) => return Some(answer),
            Err(error) => {
                let _ = writeln!(out, "{error}");
            }
        }
    }
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct YesNo(pub bool);

impl FromStr for YesNo {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_lowercase().as_str() {
            "y" | "yes" => Ok(YesNo(true)),
            "n" | "no" => Ok(YesNo(false)),
            _ => Err("type yes or no"),
        }
    }
}

impl Display for YesNo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0 { "yes" } else { "no" })
    }
}
