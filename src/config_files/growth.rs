//! A limit for the growth of an image: a percentage such as `10%`, or a size such as `5MB`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{self, Visitor};
use serde::{Deserialize, Serialize};

use super::byte_size::ByteSize;

/// The number of parts of one percent that a limit can name.
const PARTS: u64 = 100;

/// A limit for the growth of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Hundredths of a percent of the size before.
    Relative(u32),
    /// A number of bytes.
    Absolute(ByteSize),
}

impl Growth {
    /// The number of bytes that an image with this size before may grow.
    #[must_use]
    pub fn allowed(self, before: u64) -> u64 {
        match self {
            Self::Absolute(size) => size.0,
            Self::Relative(hundredths) => {
                let allowed = u128::from(before) * u128::from(hundredths) / u128::from(100 * PARTS);
                u64::try_from(allowed).unwrap_or(u64::MAX)
            }
        }
    }
}

impl FromStr for Growth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            || format!("`{text}` is not a limit for growth (examples: \"10%\", \"2.5%\", \"5MB\")");
        let Some(number) = text.strip_suffix('%') else {
            return text.parse().map(Self::Absolute).map_err(|_| refuse());
        };
        let number = number.trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > 2 {
            return Err(refuse());
        }
        let whole: u32 = whole.parse().map_err(|_| refuse())?;
        let fraction: u32 = format!("{fraction:0<2}").parse().map_err(|_| refuse())?;
        let hundredths = whole
            .checked_mul(100)
            .and_then(|it| it.checked_add(fraction));
        hundredths.map(Self::Relative).ok_or_else(refuse)
    }
}

impl fmt::Display for Growth {
    /// The form of a spec: `10%` or `5.0 MB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(size) => write!(f, "{size}"),
            Self::Relative(hundredths) => {
                let (whole, fraction) = (hundredths / 100, hundredths % 100);
                let fraction = format!("{fraction:02}");
                match fraction.trim_end_matches('0') {
                    "" => write!(f, "{whole}%"),
                    fraction => write!(f, "{whole}.{fraction}%"),
                }
            }
        }
    }
}

impl Serialize for Growth {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absolute(size) => size.serialize(serializer),
            Self::Relative(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Growth {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsGrowth;
        impl Visitor<'_> for AsGrowth {
            type Value = Growth;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a limit for growth such as \"10%\" or \"5MB\", or a number of bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Growth, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Growth, E> {
                let size = number.try_into().map_err(E::custom)?;
                Ok(Growth::Absolute(size))
            }
        }
        deserializer.deserialize_any(AsGrowth)
    }
}

impl JsonSchema for Growth {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Growth".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        ByteSize::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_a_percentage_or_a_size() {
        for (text, growth, shown, allowed) in [
            ("10%", Growth::Relative(1000), "10%", 100),
            ("2.5%", Growth::Relative(250), "2.5%", 25),
            ("0.05 %", Growth::Relative(5), "0.05%", 0),
            ("0%", Growth::Relative(0), "0%", 0),
            ("250%", Growth::Relative(25_000), "250%", 2500),
            ("5kB", Growth::Absolute(ByteSize(5000)), "5.0 kB", 5000),
        ] {
            assert_eq!(text.parse(), Ok(growth), "{text}");
            assert_eq!(growth.to_string(), shown);
            assert_eq!(growth.allowed(1000), allowed, "{text}");
        }
        assert_eq!(Growth::Relative(20_000).allowed(u64::MAX), u64::MAX);
        for bad in [
            "",
            "%",
            "-1%",
            "+1%",
            "1.%",
            ".5%",
            "1.234%",
            "1e2%",
            "ten%",
            "9999999999%",
            "10 percent",
        ] {
            assert!(bad.parse::<Growth>().is_err(), "{bad:?} was taken");
        }
    }
}
