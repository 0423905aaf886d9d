//! The expressions of a bake file, and their values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// A literal.
    Literal(Value),
    /// A string with `${…}`.
    Template(Vec<Self>),
    /// A variable.
    Variable(String),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(Vec<(Self, Self)>),
    /// `NAME(ARGUMENT, …)`.
    Call(String, Vec<Self>),
    /// `CONDITION ? ONE : OTHER`.
    Condition(Box<[Self; 3]>),
    /// `ONE OPERATOR OTHER`.
    Binary(&'static str, Box<[Self; 2]>),
    /// `!ONE`.
    Not(Box<Self>),
}

impl Expression {
    /// The value. Fails with the reason if golden cannot compute it.
    pub(super) fn value(&self, variables: &BTreeMap<String, Value>) -> Result<Value, String> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Template(parts) => {
                let mut out = String::new();
                for part in parts {
                    out.push_str(&text(&part.value(variables)?));
                }
                Ok(Value::String(out))
            }
            Self::Variable(name) => variables
                .get(name)
                .cloned()
                .ok_or_else(|| format!("the variable {name} is not defined")),
            Self::List(items) => {
                let items = items.iter().map(|item| item.value(variables));
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Object(pairs) => {
                let mut object = Map::new();
                for (key, value) in pairs {
                    object.insert(text(&key.value(variables)?), value.value(variables)?);
                }
                Ok(Value::Object(object))
            }
            Self::Call(name, arguments) => {
                let arguments = arguments.iter().map(|one| one.value(variables));
                call(name, &arguments.collect::<Result<Vec<_>, _>>()?)
            }
            Self::Condition(parts) => {
                let [condition, one, other] = parts.as_ref();
                if is_true(&condition.value(variables)?) {
                    one.value(variables)
                } else {
                    other.value(variables)
                }
            }
            Self::Binary(operator, sides) => {
                let [one, other] = sides.as_ref();
                let (one, other) = (one.value(variables)?, other.value(variables)?);
                Ok(Value::Bool(match *operator {
                    "==" => one == other,
                    "!=" => one != other,
                    "&&" => is_true(&one) && is_true(&other),
                    _ => is_true(&one) || is_true(&other),
                }))
            }
            Self::Not(one) => Ok(Value::Bool(!is_true(&one.value(variables)?))),
        }
    }
}

fn is_true(value: &Value) -> bool {
    value == &Value::Bool(true) || value == "true"
}

/// A value in a string.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The result of a function of the standard library.
fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let texts: Vec<String> = arguments.iter().map(text).collect();
    let string = |text: String| Ok(Value::String(text));
    match (name, arguments, texts.as_slice()) {
        ("equal", [one, other], _) => Ok(Value::Bool(one == other)),
        ("notequal", [one, other], _) => Ok(Value::Bool(one != other)),
        ("and", [one, other], _) => Ok(Value::Bool(is_true(one) && is_true(other))),
        ("or", [one, other], _) => Ok(Value::Bool(is_true(one) || is_true(other))),
        ("not", [one], _) => Ok(Value::Bool(!is_true(one))),
        ("lower", _, [one]) => string(one.to_lowercase()),
        ("upper", _, [one]) => string(one.to_uppercase()),
        ("trimspace", _, [one]) => string(one.trim().to_owned()),
        ("trimprefix", _, [one, prefix]) => {
            string(one.strip_prefix(prefix.as_str()).unwrap_or(one).to_owned())
        }
        ("trimsuffix", _, [one, suffix]) => {
            string(one.strip_suffix(suffix.as_str()).unwrap_or(one).to_owned())
        }
        ("replace", _, [one, from, to]) if !from.is_empty() => string(one.replace(from, to)),
        ("split", _, [separator, one]) if !separator.is_empty() => {
            let parts = one.split(separator.as_str());
            Ok(Value::Array(
                parts.map(|part| Value::String(part.to_owned())).collect(),
            ))
        }
        ("join", [_, Value::Array(items)], [separator, _]) => {
            let items: Vec<String> = items.iter().map(text).collect();
            string(items.join(separator))
        }
        ("concat", lists, _) => {
            let lists = lists.iter().filter_map(Value::as_array).flatten();
            Ok(Value::Array(lists.cloned().collect()))
        }
        ("coalesce", values, texts) => {
            let found = values.iter().zip(texts).find(|(_, text)| !text.is_empty());
            Ok(found.map_or(Value::Null, |(value, _)| value.clone()))
        }
        _ => Err(format!("golden does not evaluate the function {name}")),
    }
}
