//! Reads YAML into a JSON value. Anchors and `<<` are resolved, within a limit.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::TScalarStyle;

/// The deepest nesting.
const MAX_DEPTH: usize = 64;
/// The maximum number of values, with those of aliases.
const MAX_VALUES: usize = 100_000;
/// The maximum length of all texts, with those of aliases, in bytes.
const MAX_TEXT: usize = 16 << 20;

/// The size of a value.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// The number of values in it, with itself.
    values: usize,
    /// The length of its texts, in bytes.
    text: usize,
}

impl Size {
    const fn plus(self, other: Self) -> Self {
        Self {
            values: self.values + other.values,
            text: self.text + other.text,
        }
    }
}

/// A list or an object that is not complete.
struct OpenValue {
    anchor: usize,
    /// The size of the values in it.
    size: Size,
    kind: ValueKind,
}

enum ValueKind {
    List(Vec<Value>),
    Object(Map<String, Value>, Option<String>),
}

/// The state of reading a document.
#[derive(Default)]
struct BakeReader {
    open: Vec<OpenValue>,
    /// The values of the anchors, with their sizes.
    anchors: BTreeMap<usize, (Value, Size)>,
    read: Size,
    document: Option<Value>,
}

/// The first document of a text. Strings, numbers and booleans are strings.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser::new_from_str(text);
    let mut reader = BakeReader::default();
    loop {
        let (event, _) = parser.next_token().map_err(|error| error.to_string())?;
        if matches!(event, Event::DocumentEnd | Event::StreamEnd) {
            return Ok(reader.document.unwrap_or_default());
        }
        reader.add(event)?;
    }
}

impl BakeReader {
    fn add(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_null =
                    style == TScalarStyle::Plain && ["", "~", "null"].contains(&text.as_str());
                let size = Size {
                    values: 1,
                    text: text.len(),
                };
                let value = if is_null {
                    Value::Null
                } else {
                    Value::String(text)
                };
                self.count(size)?;
                self.push(value, size, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, ValueKind::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.begin(anchor, ValueKind::Object(Map::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let value = match open.kind {
                    ValueKind::List(items) => Value::Array(items),
                    ValueKind::Object(object, _) => Value::Object(merged(object)),
                };
                let own = Size { values: 1, text: 0 };
                self.count(own)?;
                self.push(value, open.size.plus(own), open.anchor)
            }
            Event::Alias(anchor) => {
                let (value, size) = self
                    .anchors
                    .get(&anchor)
                    .ok_or("an alias names an anchor that is not complete")?;
                let (read, size) = (self.read.plus(*size), *size);
                check(read)?;
                let value = value.clone();
                self.read = read;
                self.push(value, size, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, kind: ValueKind) -> Result<(), String> {
        if self.open.len() == MAX_DEPTH {
            return Err("the nesting is too deep".to_owned());
        }
        self.open.push(OpenValue {
            anchor,
            size: Size::default(),
            kind,
        });
        Ok(())
    }

    /// Counts a new value. Fails if there are too many.
    fn count(&mut self, size: Size) -> Result<(), String> {
        self.read = self.read.plus(size);
        check(self.read)
    }

    /// Adds a complete value to the list or object around it.
    fn push(&mut self, value: Value, size: Size, anchor: usize) -> Result<(), String> {
        if anchor > 0 {
            // An alias copies the value later, so that it is stored twice.
            self.count(size)?;
            self.anchors.insert(anchor, (value.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.document = Some(value);
            return Ok(());
        };
        open.size = open.size.plus(size);
        match &mut open.kind {
            ValueKind::List(items) => items.push(value),
            ValueKind::Object(object, key) => match key.take() {
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

fn check(read: Size) -> Result<(), String> {
    if read.values > MAX_VALUES {
        return Err("the file has too many values".to_owned());
    }
    if read.text > MAX_TEXT {
        return Err(format!("its values are longer than {} MiB", MAX_TEXT >> 20));
    }
    Ok(())
}

/// The object without its key `<<`, and with the keys of the objects under it. Its own keys win.
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
        let long = format!("a: &a {}\n", "x".repeat(1 << 20));
        let aliases = "- *a\n".repeat(40);
        assert_eq!(
            parse(&format!("{long}b:\n{aliases}")),
            Err("its values are longer than 16 MiB".to_owned())
        );
        let few = "- *a\n".repeat(4);
        assert!(parse(&format!("{long}b:\n{few}")).is_ok());
    }
}
