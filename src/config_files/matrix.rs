//! `[matrix]`: axes with any names, and the keys `include` and `exclude`.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};

/// The table `[matrix]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MatrixTable {
    /// The values of each axis, in the order of the file.
    pub axes: IndexMap<String, Vec<Scalar>>,
    /// Combinations to omit: all that have these values.
    pub exclude: Vec<BTreeMap<String, Scalar>>,
    /// Combinations to add, or values to add to matching combinations.
    pub include: Vec<BTreeMap<String, Scalar>>,
}

/// A value of an axis: a string, or an integer that is converted to its text.
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
                "exclude": rows("Combinations to omit: all that have these values."),
                "include": rows("Combinations to add, or values to add to matching combinations."),
            },
            "additionalProperties": { "type": "array", "minItems": 1, "items": { "type": ["string", "integer"] } }
        })
    }
}
