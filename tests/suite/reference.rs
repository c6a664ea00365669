//! Decides that `docs/reference` says what the program says: made of the schema of rpub.toml and of the commands' help.
//! Must never be changed by hand: `RPUB_UPDATE_DOCS=1 cargo nextest run -E 'test(reference_is)'` writes it.

use crate::keys::{resolved, schema, tables};
use clap::CommandFactory as _;
use serde_json::Value;
use std::{fmt::Write as _, path::PathBuf};

const NOTE: &str = "<!-- Made by a test (tests/suite/reference.rs), and held by it. -->";

/// The committed text is this one.
fn same(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("docs/reference/{name}.md"));
    if std::env::var_os("RPUB_UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, text, "write it with RPUB_UPDATE_DOCS=1");
}

/// rpub's commands as they are on any machine: of a usual width, whatever the environment says.
fn commands() -> clap::Command {
    let usual = |arg: clap::Arg| arg.hide_env_values(true);
    let mut rpub = rpub::cli::Cli::command()
        .disable_help_subcommand(true)
        .term_width(100)
        .mut_args(usual)
        .mut_subcommands(|command| command.term_width(100).mut_args(usual));
    rpub.build();
    rpub
}

fn help(command: &mut clap::Command) -> String {
    let text = command.render_long_help().to_string();
    let lines = text.trim_end().lines().map(str::trim_end);
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn reference_is_what_the_help_of_each_command_says() {
    let mut rpub = commands();
    let mut text = format!(
        "# Commands\n\n{NOTE}\n\nAs `--help` says it. Every command takes the options of rpub as well.\n\n\
         ## rpub\n\n```text\n{}```\n",
        help(&mut rpub)
    );
    for command in rpub.get_subcommands() {
        let name = command.get_name();
        // What every command has stands above.
        let own = |arg: clap::Arg| {
            let shared = arg.is_global_set() || matches!(arg.get_id().as_str(), "help" | "version");
            arg.hide(shared)
        };
        let mut command = command.clone().mut_args(own);
        write!(
            text,
            "\n## rpub {name}\n\n```text\n{}```\n",
            help(&mut command)
        )
        .unwrap();
    }
    same("commands", &text);
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// What a value may be, in words.
fn form(whole: &Value, schema: &Value) -> String {
    let schema = resolved(whole, schema);
    let alternatives = |key: &str| {
        let all = schema[key].as_array().into_iter().flatten();
        all.map(|one| form(whole, one))
            .collect::<Vec<_>>()
            .join(" or ")
    };
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().map(|value| code(value.as_str().unwrap()));
        return values.collect::<Vec<_>>().join(", ");
    }
    if let Some(value) = schema["const"].as_str() {
        return code(value);
    }
    if schema["oneOf"].is_array() {
        return alternatives("oneOf");
    }
    match schema["type"].as_str() {
        Some("string") => "text".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("integer") => format!("{} to {}", schema["minimum"], schema["maximum"]),
        Some("array") => match form(whole, &schema["items"]).as_str() {
            "table" => "tables".to_owned(),
            items => format!("list of {items}"),
        },
        Some("object") if schema["properties"].is_object() => "table".to_owned(),
        Some("object") => format!("table of {}", form(whole, &schema["additionalProperties"])),
        _ => alternatives("anyOf"),
    }
}

fn row(whole: &Value, key: &str, schema: &Value, required: bool) -> String {
    let default = schema.get("default").map(|value| {
        let value = toml::Value::try_from(value).unwrap();
        code(&value.to_string())
    });
    let default = match default {
        Some(default) => default,
        None if required => "must be there".to_owned(),
        None => String::new(),
    };
    let words = schema["description"].as_str().unwrap().replace('\n', " ");
    let examples = schema["examples"].as_array().into_iter().flatten();
    let examples: Vec<String> = examples.map(|one| code(&one.to_string())).collect();
    let such_as = match examples.as_slice() {
        [] => String::new(),
        some => format!(" Such as {}.", some.join(", ")),
    };
    let form = form(whole, schema);
    format!(
        "| {} | {form} | {default} | {}{such_as} |\n",
        code(key),
        words.replace('|', "\\|")
    )
}

#[test]
fn reference_is_what_the_schema_says() {
    let schema = schema();
    let mut text = format!(
        "# The keys of rpub.toml\n\n{NOTE}\n\nEvery key, as `rpub schema` has it for editors. [Configuration](../configuration.md) says how they go together.\n"
    );
    for (path, keys) in tables(&schema) {
        let list = schema["properties"][&path]["type"] == "array";
        let heading = match path.as_str() {
            "" => "At the top".to_owned(),
            _ if list => format!("[[{path}]]"),
            _ => format!("[{path}]"),
        };
        write!(
            text,
            "\n## {heading}\n\n| key | form | default | meaning |\n|---|---|---|---|\n"
        )
        .unwrap();
        let table = if path.is_empty() {
            &schema
        } else {
            table_of(&schema, &path)
        };
        for (key, one) in keys {
            let required = table["required"].as_array();
            let required = required.is_some_and(|all| all.contains(&Value::from(key.as_str())));
            text += &row(&schema, key, one, required);
        }
    }
    same("configuration", &text);
}

/// The table behind a key at the top: itself, what a list is of, or the one of several forms that is a table.
fn table_of<'s>(whole: &'s Value, key: &str) -> &'s Value {
    let mut schema = resolved(whole, &whole["properties"][key]);
    if schema["items"].is_object() {
        schema = resolved(whole, &schema["items"]);
    }
    let forms = schema["anyOf"].as_array().into_iter().flatten();
    let table = forms
        .map(|one| resolved(whole, one))
        .find(|one| one["properties"].is_object() && one["type"] == "object");
    if schema["properties"].is_object() {
        schema
    } else {
        table.unwrap()
    }
}
