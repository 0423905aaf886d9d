//! The reference of all keys of golden.toml and image.toml. It is generated from the JSON Schema,
//! so that it cannot differ from the parser.

use std::fmt::Write as _;

use serde_json::Value;

use crate::config_files::schema;

/// The reference as Markdown.
pub(super) fn reference() -> String {
    let mut text = String::new();
    for (file, schema) in [
        ("image.toml", schema::image()),
        ("golden.toml", schema::workspace()),
    ] {
        let _ = writeln!(text, "## The keys of {file}\n");
        for (key, value) in properties(&schema) {
            table(&mut text, &schema, key, value);
        }
    }
    text
}

/// Writes one table of the file and the tables inside it.
fn table(text: &mut String, schema: &Value, path: &str, value: &Value) {
    let is_list = value["type"] == "array";
    let inner = resolved(schema, if is_list { &value["items"] } else { value });
    let heading = if is_list {
        format!("[[{path}]]")
    } else {
        format!("[{path}]")
    };
    let _ = writeln!(text, "### `{heading}`\n\n{}\n", description(schema, value));
    // [defaults] has the tables of image.toml, which the reference lists already.
    if path == "defaults" {
        return;
    }
    let (tables, keys): (Vec<_>, Vec<_>) =
        properties(inner).partition(|(_, value)| !is_list && is_table(schema, value));
    if !keys.is_empty() {
        text.push_str("| key | type | meaning |\n|---|---|---|\n");
        for (key, value) in keys {
            let kind = kind(schema, value);
            let meaning = meaning(schema, value);
            let _ = writeln!(text, "| `{key}` | {kind} | {meaning} |");
        }
        text.push('\n');
    }
    for (key, value) in tables {
        table(text, schema, &format!("{path}.{key}"), value);
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
}

/// The definition that a value refers to, or the value itself.
fn resolved<'a>(schema: &'a Value, value: &'a Value) -> &'a Value {
    let reference = value["$ref"]
        .as_str()
        .or_else(|| value["allOf"][0]["$ref"].as_str());
    match reference.and_then(|reference| reference.strip_prefix("#/definitions/")) {
        Some(name) => &schema["definitions"][name],
        None => value,
    }
}

fn is_table(schema: &Value, value: &Value) -> bool {
    resolved(schema, value)["properties"].is_object()
}

fn description(schema: &Value, value: &Value) -> String {
    let text = value["description"]
        .as_str()
        .or_else(|| resolved(schema, value)["description"].as_str());
    text.unwrap_or_default()
        .replace('\n', " ")
        .replace('|', "\\|")
}

/// The description of a key, and the values that it accepts.
fn meaning(schema: &Value, value: &Value) -> String {
    let text = description(schema, value);
    let words = words(resolved(
        schema,
        if value["type"] == "array" {
            &value["items"]
        } else {
            value
        },
    ));
    if words.is_empty() {
        text
    } else {
        format!("{text} Values: {}.", words.join(", "))
    }
}

/// The values of an enumeration, each with its meaning.
fn words(value: &Value) -> Vec<String> {
    let choices = value["anyOf"]
        .as_array()
        .into_iter()
        .flatten()
        .chain(std::iter::once(value));
    let words = choices
        .filter_map(|choice| choice["oneOf"].as_array())
        .flatten();
    words
        .filter_map(|word| {
            let name = word["const"].as_str()?;
            let meaning = word["description"]
                .as_str()
                .unwrap_or_default()
                .trim_end_matches('.');
            Some(format!(
                "`\"{name}\"` ({})",
                meaning.replace('\n', " ").replace('|', "\\|")
            ))
        })
        .collect()
}

/// The type of a key, such as `list of strings`.
fn kind(schema: &Value, value: &Value) -> String {
    let inner = resolved(schema, value);
    if let Some(kind) = inner["type"].as_str() {
        return match kind {
            "array" => {
                let items = self::kind(schema, &inner["items"]);
                format!("list of {}s", items.replace(" or ", "s or "))
            }
            "integer" => "number".to_owned(),
            "object" => "table".to_owned(),
            other => other.to_owned(),
        };
    }
    let choices = inner["anyOf"].as_array().into_iter().flatten();
    let mut kinds: Vec<String> = choices.map(|choice| self::kind(schema, choice)).collect();
    kinds.dedup();
    match kinds.as_slice() {
        [] if inner["oneOf"].is_array() => "string".to_owned(),
        [] if inner["const"] == false => "`false`".to_owned(),
        [] => "string".to_owned(),
        kinds => kinds.join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_type_and_a_meaning() {
        let text = reference();
        for line in text.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.split(" | ").collect();
            assert!(
                cells.len() >= 3
                    && cells
                        .iter()
                        .all(|cell| !cell.trim_matches([' ', '|']).is_empty()),
                "{line}"
            );
        }
        for key in [
            "`zero_major`",
            "`fan_out`",
            "`immutable`",
            "`[policy.base]`",
            "`[[files]]`",
            "`[config.healthcheck]`",
        ] {
            assert!(text.contains(key), "{key}");
        }
    }
}
