//! `[matrix]`: axes of any name beside `include` and `exclude`.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};

/// `[matrix]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MatrixTable {
    /// The axes, in the order of the file; each has its values.
    pub axes: IndexMap<String, Vec<Scalar>>,
    /// Combinations to leave out: those that have all these values.
    pub exclude: Vec<BTreeMap<String, Scalar>>,
    /// Combinations to add, or values to add to those that match.
    pub include: Vec<BTreeMap<String, Scalar>>,
}

/// A value of an axis: a string; a number or a boolean stands for its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scalar(pub String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsScalar;
        impl Visitor<'_> for AsScalar {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
        }
        deserializer.deserialize_any(AsScalar)
    }
}

impl<'de> Deserialize<'de> for MatrixTable {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsMatrix;
        impl<'de> Visitor<'de> for AsMatrix {
            type Value = MatrixTable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of axes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MatrixTable, A::Error> {
                let mut matrix = MatrixTable::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "exclude" => matrix.exclude = map.next_value()?,
                        "include" => matrix.include = map.next_value()?,
                        _ => {
                            matrix.axes.insert(key, map.next_value()?);
                        }
                    }
                }
                Ok(matrix)
            }
        }
        deserializer.deserialize_map(AsMatrix)
    }
}

impl JsonSchema for MatrixTable {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Matrix".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let rows = |description: &str| {
            serde_json::json!({
                "type": "array",
                "description": description,
                "items": { "type": "object", "additionalProperties": { "type": ["string", "integer"] } }
            })
        };
        schemars::json_schema!({
            "type": "object",
            "properties": {
                "exclude": rows("Combinations to leave out: those that have all of these values."),
                "include": rows("Combinations to add."),
            },
            "additionalProperties": { "type": "array", "minItems": 1, "items": { "type": ["string", "integer"] } }
        })
    }
}
