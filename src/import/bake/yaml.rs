//! Reads YAML into a JSON value. Anchors and `<<` are resolved, within a limit.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::TScalarStyle;

/// The deepest nesting.
const MAX_DEPTH: usize = 64;
/// The maximum number of values, with those of aliases.
const MAX_VALUES: usize = 100_000;

/// A list or an object that is not complete.
struct Open {
    anchor: usize,
    /// The number of values in it.
    size: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Value>),
    Object(Map<String, Value>, Option<String>),
}

/// The state of reading a document.
#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    /// The values of the anchors, with the numbers of their values.
    anchors: BTreeMap<usize, (Value, usize)>,
    read: usize,
    document: Option<Value>,
}

/// The first document of a text. Strings, numbers and booleans are strings.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser::new_from_str(text);
    let mut reader = Reader::default();
    loop {
        let (event, _) = parser.next_token().map_err(|error| error.to_string())?;
        if matches!(event, Event::DocumentEnd | Event::StreamEnd) {
            return Ok(reader.document.unwrap_or_default());
        }
        reader.add(event)?;
    }
}

impl Reader {
    fn add(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_null =
                    style == TScalarStyle::Plain && ["", "~", "null"].contains(&text.as_str());
                let value = if is_null {
                    Value::Null
                } else {
                    Value::String(text)
                };
                self.push(value, 1, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, Kind::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(anchor, Kind::Object(Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let value = match open.kind {
                    Kind::List(items) => Value::Array(items),
                    Kind::Object(object, _) => Value::Object(merged(object)),
                };
                self.push(value, open.size + 1, open.anchor)
            }
            Event::Alias(anchor) => {
                let (value, size) = self
                    .anchors
                    .get(&anchor)
                    .ok_or("an alias names an anchor that is not complete")?;
                if self.read + size > MAX_VALUES {
                    return Err("the file has too many values".to_owned());
                }
                let (value, size) = (value.clone(), *size);
                self.push(value, size, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, kind: Kind) -> Result<(), String> {
        if self.open.len() == MAX_DEPTH {
            return Err("the nesting is too deep".to_owned());
        }
        self.open.push(Open {
            anchor,
            size: 0,
            kind,
        });
        Ok(())
    }

    /// Adds a complete value to the list or object around it.
    fn push(&mut self, value: Value, size: usize, anchor: usize) -> Result<(), String> {
        self.read += size;
        if self.read > MAX_VALUES * 2 {
            return Err("the file has too many values".to_owned());
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.document = Some(value);
            return Ok(());
        };
        open.size += size;
        match &mut open.kind {
            Kind::List(items) => items.push(value),
            Kind::Object(object, key) => match key.take() {
                Some(key) => drop(object.insert(key, value)),
                None => match value {
                    Value::String(text) => *key = Some(text),
                    Value::Null => *key = Some(String::new()),
                    _ => return Err("a key is not a string".to_owned()),
                },
            },
        }
        Ok(())
    }
}

/// The object with the keys of the objects under `<<`.
fn merged(mut object: Map<String, Value>) -> Map<String, Value> {
    let parents = match object.shift_remove("<<") {
        Some(Value::Object(parent)) => vec![Value::Object(parent)],
        Some(Value::Array(parents)) => parents,
        _ => Vec::new(),
    };
    for parent in parents {
        let Value::Object(parent) = parent else {
            continue;
        };
        for (key, value) in parent {
            object.entry(key).or_insert(value);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_with_their_anchors() {
        let text =
            "x: &x\n  a: 1\n  b: [c, \"d e\"]\ny:\n  <<: *x\n  a: ~\n  t: |\n    one\n    two\n";
        assert_eq!(
            parse(text).unwrap(),
            serde_json::json!({
                "x": { "a": "1", "b": ["c", "d e"] },
                "y": { "a": null, "t": "one\ntwo\n", "b": ["c", "d e"] },
            })
        );
        assert_eq!(parse("").unwrap(), Value::Null);
        assert!(parse("a: [").is_err());
    }

    #[test]
    fn a_file_cannot_grow_without_bound() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for number in 1..9 {
            let alias = format!("*a{}", number - 1);
            let items = vec![alias; 10].join(", ");
            text.extend([format!("a{number}: &a{number} [{items}]\n")]);
        }
        assert!(parse(&text).is_err());
        assert!(parse(&"[".repeat(10_000)).is_err());
    }
}
