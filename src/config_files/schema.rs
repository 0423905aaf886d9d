//! The JSON Schemas of golden.toml and image.toml, generated from the types that parse them.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{ImageSpec, WorkspaceSpec};

/// Patterns of strings that are parsed into their own types. Each pattern also accepts a template,
/// since the schema cannot know its result.
pub(super) mod pattern {
    /// A version: the regular expression of semver.org.
    pub(in crate::config_files) const VERSION: &str = r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-((0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*))?(\+([0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*))?$|\{\{";
    /// The path of a repository.
    pub(in crate::config_files) const NAME: &str =
        r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$|\{\{";
    /// A variant, or the empty string.
    pub(in crate::config_files) const VARIANT: &str = r"^([a-z][a-z0-9]*([._-][a-z0-9]+)*)?$|\{\{";
    /// Permission bits.
    pub(in crate::config_files) const MODE: &str = r"^0?[0-7]{3,4}$|\{\{";
    /// A date.
    pub(in crate::config_files) const DATE: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$|\{\{";
}

/// The schema of image.toml.
#[must_use]
pub fn image() -> Value {
    finished::<ImageSpec>()
}

/// The schema of golden.toml.
#[must_use]
pub fn workspace() -> Value {
    finished::<WorkspaceSpec>()
}

fn finished<T: schemars::JsonSchema>() -> Value {
    let schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    tidy(&mut schema);
    schema
}

/// Removes null, which TOML does not have, and the defaults, and accepts a template wherever the
/// schema lists fixed words.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(object) => {
            object.remove("default");
            object.remove("format");
            without_null(object);
            for (key, below) in object.iter_mut() {
                match below {
                    // The keys of these objects are names, not keywords of JSON Schema.
                    Value::Object(named) if key == "properties" || key == "definitions" => {
                        named.values_mut().for_each(tidy);
                    }
                    _ => tidy(below),
                }
            }
            templated(object);
        }
        _ => {}
    }
}

fn without_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else {
        return;
    };
    choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
    if let [only] = choices.as_mut_slice() {
        let only = std::mem::take(only);
        object.remove("anyOf");
        if let Value::Object(only) = only {
            object.extend(only);
        }
    }
}

fn templated(object: &mut Map<String, Value>) {
    let words = object.get("enum").is_some_and(|words| {
        words
            .as_array()
            .is_some_and(|w| w.iter().all(Value::is_string))
    });
    let constants = object.get("oneOf").is_some_and(|choices| {
        choices.as_array().is_some_and(|c| {
            c.iter()
                .all(|c| c.get("const").is_some_and(Value::is_string) || c.get("enum").is_some())
        })
    });
    let template = json!({ "type": "string", "pattern": r"\{\{" });
    let keep = |key: &str| {
        key == "description" || key == "title" || key == "definitions" || key == "$schema"
    };
    if words {
        let mut closed = Map::new();
        for key in object
            .keys()
            .filter(|key| !keep(key))
            .cloned()
            .collect::<Vec<_>>()
        {
            closed.extend(object.remove_entry(&key));
        }
        object.insert("anyOf".to_owned(), json!([Value::Object(closed), template]));
    } else if constants {
        let choices = object.remove("oneOf").unwrap_or_default();
        object.insert("anyOf".to_owned(), json!([{ "oneOf": choices }, template]));
    }
}
