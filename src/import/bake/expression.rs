//! The expressions of a bake file, and their values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The maximum size of a value, in bytes.
const MAX_SIZE: usize = 1 << 20;
/// The deepest nesting of lists and objects in a value.
const MAX_NESTING: usize = 64;

/// An expression of HCL, as far as bake files use it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Literal(Value),
    /// A string with `${…}`.
    Template(Vec<Self>),
    Variable(String),
    List(Vec<Self>),
    Object(Vec<(Self, Self)>),
    /// `NAME(ARGUMENT, …)`.
    Call(String, Vec<Self>),
    /// `CONDITION ? ONE : OTHER`.
    Condition(Box<[Self; 3]>),
    /// `ONE OPERATOR OTHER OPERATOR OTHER …`, from left to right.
    Operators(Box<Self>, Vec<(&'static str, Self)>),
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
                    within_limit(out.len())?;
                }
                Ok(Value::String(out))
            }
            Self::Variable(name) => variables
                .get(name)
                .cloned()
                .ok_or_else(|| format!("the variable {name} is not defined")),
            Self::List(items) => values(items, variables).map(Value::Array),
            Self::Object(pairs) => {
                let mut object = Map::new();
                let mut total = 0;
                for (key, value) in pairs {
                    let (key, value) = (text(&key.value(variables)?), value.value(variables)?);
                    total += key.len() + size_within(&value, MAX_NESTING - 1)?;
                    within_limit(total)?;
                    object.insert(key, value);
                }
                Ok(Value::Object(object))
            }
            Self::Call(name, arguments) => call(name, &values(arguments, variables)?),
            Self::Condition(parts) => {
                let [condition, one, other] = parts.as_ref();
                if is_true(&condition.value(variables)?) {
                    one.value(variables)
                } else {
                    other.value(variables)
                }
            }
            Self::Operators(first, rest) => {
                let mut one = first.value(variables)?;
                for (operator, other) in rest {
                    let other = other.value(variables)?;
                    one = Value::Bool(match *operator {
                        "==" => one == other,
                        "!=" => one != other,
                        "&&" => is_true(&one) && is_true(&other),
                        _ => is_true(&one) || is_true(&other),
                    });
                }
                Ok(one)
            }
            Self::Not(one) => Ok(Value::Bool(!is_true(&one.value(variables)?))),
        }
    }
}

/// The values of expressions. Fails if one of them fails, or if they are too large together.
fn values(items: &[Expression], variables: &BTreeMap<String, Value>) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    let mut total = 0;
    for item in items {
        let value = item.value(variables)?;
        total += size_within(&value, MAX_NESTING - 1)?;
        within_limit(total)?;
        values.push(value);
    }
    Ok(values)
}

/// The size of a value in bytes: its texts, and one for each value in it. Fails if the value is
/// nested too deeply.
pub(super) fn size(value: &Value) -> Result<usize, String> {
    size_within(value, MAX_NESTING)
}

fn size_within(value: &Value, depth: usize) -> Result<usize, String> {
    let below = depth
        .checked_sub(1)
        .ok_or_else(|| "the value is nested too deeply".to_owned())?;
    let mut total = 1;
    match value {
        Value::String(text) => total += text.len(),
        Value::Array(items) => {
            for item in items {
                total += size_within(item, below)?;
            }
        }
        Value::Object(object) => {
            for (key, value) in object {
                total += key.len() + size_within(value, below)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(total)
}

fn within_limit(size: usize) -> Result<(), String> {
    if size > MAX_SIZE {
        return Err(format!("the value is longer than {} MiB", MAX_SIZE >> 20));
    }
    Ok(())
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
        ("replace", _, [one, from, to]) if !from.is_empty() => {
            let added = one.matches(from.as_str()).count().saturating_mul(to.len());
            within_limit(one.len().saturating_add(added))?;
            string(one.replace(from, to))
        }
        ("split", _, [separator, one]) if !separator.is_empty() => {
            let parts = one.split(separator.as_str());
            Ok(Value::Array(
                parts.map(|part| Value::String(part.to_owned())).collect(),
            ))
        }
        ("join", [_, Value::Array(items)], [separator, _]) => {
            let separators = items.len().saturating_mul(separator.len());
            within_limit(separators)?;
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
