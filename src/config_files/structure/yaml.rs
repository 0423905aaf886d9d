//! Reads YAML into values that know their positions. Anchors and `<<` are resolved, within a limit.

use std::collections::BTreeMap;

use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::{Marker, TScalarStyle};

use super::Mistake;

/// The deepest nesting.
const DEEPEST: usize = 32;
/// The maximum number of values, with those of aliases.
const MOST: usize = 20_000;

/// A value and its position.
#[derive(Debug, Clone)]
pub(super) struct YamlNode {
    /// The position in characters, not bytes.
    pub(super) at: usize,
    pub(super) value: YamlValue,
}

#[derive(Debug, Clone)]
pub(super) enum YamlValue {
    Scalar {
        text: String,
        is_plain: bool,
    },
    List(Vec<YamlNode>),
    /// The keys, each with its position.
    Map(Vec<(Key, YamlNode)>),
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) at: usize,
    pub(super) name: String,
    /// True if the key comes from `<<`.
    is_merged: bool,
}

/// A list or a map that is not complete.
struct OpenNode {
    anchor: usize,
    at: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<YamlNode>),
    Map(Vec<(Key, YamlNode)>, Option<Key>),
}

#[derive(Default)]
struct YamlReader {
    open: Vec<OpenNode>,
    anchors: BTreeMap<usize, YamlNode>,
    count: usize,
    document: Option<YamlNode>,
}

/// The first document of a text; `None` if it is empty.
pub(super) fn parse(text: &str) -> Result<Option<YamlNode>, Mistake> {
    let mut parser = Parser::new_from_str(text);
    let mut reader = YamlReader::default();
    loop {
        let (event, marker) = parser.next_token().map_err(|error| {
            let message = format!("it is not YAML: {}", error.info());
            Mistake::at(error.marker().index(), message)
        })?;
        if matches!(event, Event::DocumentEnd | Event::StreamEnd) {
            return Ok(reader.document);
        }
        reader.add(event, marker)?;
    }
}

impl YamlReader {
    fn add(&mut self, event: Event, marker: Marker) -> Result<(), Mistake> {
        let at = marker.index();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == TScalarStyle::Plain && tag.is_none();
                let value = YamlValue::Scalar { text, is_plain };
                self.push(YamlNode { at, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, at, Kind::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(anchor, at, Kind::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let mut at = open.at;
                let value = match open.kind {
                    Kind::List(items) => YamlValue::List(items),
                    Kind::Map(entries, _) => {
                        // The parser reports a map without braces at its first colon.
                        at = entries.first().map_or(at, |(key, _)| key.at.min(at));
                        YamlValue::Map(entries)
                    }
                };
                self.push(YamlNode { at, value }, open.anchor)
            }
            Event::Alias(anchor) => {
                let incomplete = || Mistake::at(at, "the alias is part of its own anchor");
                let node = self.anchors.get(&anchor).cloned().ok_or_else(incomplete)?;
                self.count += size(&node);
                self.push(YamlNode { at, ..node }, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, at: usize, kind: Kind) -> Result<(), Mistake> {
        if self.open.len() == DEEPEST {
            return Err(Mistake::at(at, "the nesting is too deep"));
        }
        self.open.push(OpenNode { anchor, at, kind });
        Ok(())
    }

    /// Adds a complete value to the list or map around it.
    fn push(&mut self, node: YamlNode, anchor: usize) -> Result<(), Mistake> {
        self.count += 1;
        if self.count > MOST {
            return Err(Mistake::at(node.at, "the file has too many values"));
        }
        if anchor > 0 {
            self.count += size(&node);
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.document = Some(node);
            return Ok(());
        };
        match &mut open.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries, key) => {
                if let Some(key) = key.take() {
                    return insert(entries, key, node);
                }
                let YamlValue::Scalar { text: name, .. } = node.value else {
                    return Err(Mistake::at(node.at, "a key is not a string"));
                };
                *key = Some(Key {
                    at: node.at,
                    name,
                    is_merged: false,
                });
            }
        }
        Ok(())
    }
}

/// The number of values in a value.
fn size(node: &YamlNode) -> usize {
    match &node.value {
        YamlValue::Scalar { .. } => 1,
        YamlValue::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        YamlValue::Map(entries) => 1 + entries.iter().map(|(_, node)| size(node)).sum::<usize>(),
    }
}

/// Adds an entry. The entries of `<<` count only if the map has no other ones with their keys.
fn insert(entries: &mut Vec<(Key, YamlNode)>, key: Key, node: YamlNode) -> Result<(), Mistake> {
    if key.name == "<<" {
        let parents = match node.value {
            YamlValue::List(parents) => parents,
            _ => vec![node],
        };
        for parent in parents {
            let YamlValue::Map(inherited) = parent.value else {
                return Err(Mistake::at(key.at, "`<<` needs a map"));
            };
            for (mut inherited, node) in inherited {
                if !entries
                    .iter()
                    .any(|(other, _)| other.name == inherited.name)
                {
                    inherited.is_merged = true;
                    entries.push((inherited, node));
                }
            }
        }
        return Ok(());
    }
    match entries.iter_mut().find(|(other, _)| other.name == key.name) {
        Some(entry) if entry.0.is_merged => *entry = (key, node),
        Some(_) => {
            let message = format!("the key `{}` is written twice", key.name);
            return Err(Mistake::at(key.at, message));
        }
        None => entries.push((key, node)),
    }
    Ok(())
}
