//! A size in bytes with an optional unit: `150MB`, `1.5 GiB`, `4096`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{self, Visitor};
use serde::{Deserialize, Serialize};

/// The units and their number of bytes. `k`, `M` and `G` are powers of 1000; with an `i`, of 1024.
const UNITS: [(&str, u64); 12] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("k", 1_000),
    ("m", 1_000_000),
    ("g", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
];

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// The size with its number of bytes, such as `1.5 MB (1500001 bytes)`. In a comparison, two
    /// rounded sizes can look the same.
    #[must_use]
    pub fn exact(self) -> String {
        if self.0 < 1000 {
            self.to_string()
        } else {
            format!("{self} ({} bytes)", self.0)
        }
    }
}

impl TryFrom<i64> for ByteSize {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        u64::try_from(number)
            .map(Self)
            .map_err(|_| format!("{number} is not a size: it is negative"))
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            || format!("`{text}` is not a size (examples: \"150MB\", \"1.5GiB\", \"4096\")");
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = unit.trim_start().to_ascii_lowercase();
        let (_, scale) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(refuse)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
            return Err(refuse());
        }
        let whole: u64 = whole.parse().map_err(|_| refuse())?;
        let bytes = whole.checked_mul(*scale).ok_or_else(refuse)?;
        let digits = u32::try_from(fraction.len()).map_err(|_| refuse())?;
        let part: u64 = match fraction {
            "" => 0,
            fraction => fraction.parse().map_err(|_| refuse())?,
        };
        let part = u128::from(part) * u128::from(*scale) / 10_u128.pow(digits);
        let part = u64::try_from(part).map_err(|_| refuse())?;
        bytes.checked_add(part).map(Self).ok_or_else(refuse)
    }
}

impl fmt::Display for ByteSize {
    /// The largest unit in powers of 1000, rounded to one digit after the point: `1.5 MB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 5] = [
            (1_000_000_000_000_000, "PB"),
            (1_000_000_000_000, "TB"),
            (1_000_000_000, "GB"),
            (1_000_000, "MB"),
            (1_000, "kB"),
        ];
        // 999_950 bytes are 1.0 MB, and not 1000.0 kB.
        let fits = |(scale, _): &&(u64, &str)| self.0 >= scale - scale / 20_000;
        match UNITS.iter().find(fits) {
            None => write!(f, "{} B", self.0),
            Some((scale, unit)) => {
                let scale = u128::from(*scale);
                let tenths = (u128::from(self.0) * 10 + scale / 2) / scale;
                write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
            }
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsSize;
        impl Visitor<'_> for AsSize {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"150MB\", or a number of bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ByteSize, E> {
                number.try_into().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(AsSize)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "integer", "minimum": 0 }]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("7B", 7),
            ("150MB", 150_000_000),
            ("150 MB", 150_000_000),
            ("150mb", 150_000_000),
            ("1.5GB", 1_500_000_000),
            ("1.5GiB", 1_610_612_736),
            ("2KiB", 2048),
            ("3k", 3000),
            ("0.001kB", 1),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for bad in [
            "",
            "MB",
            ".5MB",
            "5.MB",
            "1e3",
            "-1",
            "+1",
            "1,5MB",
            "1 M B",
            "1XB",
            "1.2.3MB",
            "99999999999TB",
            "1.0123456789MB",
        ] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_size_is_shown_in_its_largest_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (12_345_678, "12.3 MB"),
            (152_390_000, "152.4 MB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }
}
