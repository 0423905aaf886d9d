//! The errors of the conversion of a TOML tree into a type, as facts.

use std::fmt;
use std::ops::Range;

use serde::de::{Error, Expected, Unexpected};

/// An error of the conversion, with its place.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// The place of the innermost value or key; `None` until it is known.
    pub(super) span: Option<Range<usize>>,
}

/// The kind of an error.
#[derive(Debug)]
pub(super) enum FaultKind {
    /// A table has a key that is not one of `known`.
    UnknownKey {
        key: String,
        known: &'static [&'static str],
    },
    /// A string is not one of the words `known`.
    UnknownWord {
        word: String,
        known: &'static [&'static str],
    },
    /// A value has another type than the expected one, or is outside its range.
    Mismatch {
        /// The problem, such as `type` or `value`.
        about: &'static str,
        found: String,
        expected: String,
    },
    /// Any other problem, as a message.
    Other(String),
}

impl Fault {
    fn new(kind: FaultKind) -> Self {
        Self { kind, span: None }
    }

    fn mismatch(about: &'static str, found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(FaultKind::Mismatch {
            about,
            found: named(found),
            expected: expected.to_string(),
        })
    }

    /// Adds the place, unless a value or key within it is the place.
    pub(super) fn at(mut self, span: Range<usize>) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// Names the expected type as TOML does, if the value itself has another type.
    pub(super) fn expecting(mut self, name: &str) -> Self {
        if let (None, FaultKind::Mismatch { expected, .. }) = (&self.span, &mut self.kind) {
            name.clone_into(expected);
        }
        self
    }
}

/// The name of a value in TOML, with the value if it is short.
fn named(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Seq => "list".to_owned(),
        Unexpected::Map => "table".to_owned(),
        Unexpected::Float(number) => format!("float `{number}`"),
        other => other.to_string(),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FaultKind::UnknownKey { key, .. } => write!(f, "unknown key `{key}`"),
            FaultKind::UnknownWord { word, .. } => write!(f, "unknown word `{word}`"),
            FaultKind::Mismatch {
                about,
                found,
                expected,
            } => write!(f, "invalid {about}: {found}, expected {expected}"),
            FaultKind::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(FaultKind::Other(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::mismatch("type", found, expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::mismatch("value", found, expected)
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        let key = key.to_owned();
        Self::new(FaultKind::UnknownKey { key, known })
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        let word = word.to_owned();
        Self::new(FaultKind::UnknownWord { word, known })
    }
}
