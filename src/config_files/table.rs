//! Deserializes tables from tables only. The code that serde derives also accepts a list and
//! assigns its items to the fields in source order, so `healthcheck = ["true"]` would be accepted.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Deserializes a table.
pub(super) fn one<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    ParsedTable::deserialize(deserializer).map(|ParsedTable(value)| value)
}

/// Deserializes a table that may be absent.
pub(super) fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    one(deserializer).map(Some)
}

/// Deserializes a list of tables.
pub(super) fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let tables = Vec::deserialize(deserializer)?;
    Ok(tables.into_iter().map(|ParsedTable(value)| value).collect())
}

/// Deserializes tables whose keys the user chooses.
pub(super) fn named<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    let tables = BTreeMap::deserialize(deserializer)?;
    Ok(tables
        .into_iter()
        .map(|(name, ParsedTable(value))| (name, value))
        .collect())
}

/// A value that is deserialized from a table and from no other type.
struct ParsedTable<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ParsedTable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsTable<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for AsTable<T> {
            type Value = ParsedTable<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ParsedTable<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(ParsedTable)
            }
        }
        deserializer.deserialize_map(AsTable(PhantomData))
    }
}
