//! Values of image.toml with their own syntax: string or `false`, octal modes, durations.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::tags::Variant;

/// Deserializes a list of values that are written as strings. A wrong text is reported at its own
/// location; an error of `#[serde(try_from)]` would have the location of the whole list.
pub(super) fn list<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: TryFrom<String, Error: fmt::Display>,
    D: de::Deserializer<'de>,
{
    let texts = Vec::<Text<T>>::deserialize(deserializer)?;
    Ok(texts.into_iter().map(|Text(value)| value).collect())
}

/// Like [`list`], for a list that may be absent.
pub(super) fn some_list<'de, T, D>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: TryFrom<String, Error: fmt::Display>,
    D: de::Deserializer<'de>,
{
    list(deserializer).map(Some)
}

/// A value that is written as a string and parsed while serde reads the string.
struct Text<T>(T);

impl<'de, T: TryFrom<String, Error: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsText<T>(std::marker::PhantomData<T>);
        impl<T: TryFrom<String, Error: fmt::Display>> Visitor<'_> for AsText<T> {
            type Value = Text<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
                T::try_from(text.to_owned()).map(Text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(AsText(std::marker::PhantomData))
    }
}

/// A version, semver 2.0.0.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct VersionValue(pub semver::Version);

impl TryFrom<String> for VersionValue {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        crate::tags::version(&text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

/// A version that may be a revision, such as `1.2.3+r2`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AnyVersion(pub semver::Version);

impl TryFrom<String> for AnyVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        crate::tags::any_version(&text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

/// A Cargo-style requirement on a version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RequirementValue(pub crate::tags::Requirement);

impl TryFrom<String> for RequirementValue {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let describe = |error| {
            format!("`{text}` is not a version requirement such as 12, ~1.2 or >=1.2, <2: {error}")
        };
        text.parse().map(Self).map_err(describe)
    }
}

/// A requirement in which a version without an operator means exactly this version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ExactRequirement(pub crate::tags::Requirement);

impl TryFrom<String> for ExactRequirement {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let exact = |part: &str| {
            let part = part.trim();
            if part.starts_with(|c: char| c.is_ascii_digit()) {
                format!("={part}")
            } else {
                part.to_owned()
            }
        };
        let parts: Vec<String> = text.split(',').map(exact).collect();
        parts.join(", ").parse().map(Self).map_err(|error| {
            format!("`{text}` is not a range of versions such as 1.2.3 or >=1.2.0, <1.2.5: {error}")
        })
    }
}

/// A time span with one unit: `90m`, `24h`, `7d` or `2w`. The number is in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Age(pub i64);

impl TryFrom<String> for Age {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a time span such as \"24h\" or \"7d\"");
        let unit = match text.chars().last() {
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 7 * 86_400,
            _ => return Err(refuse()),
        };
        let number = text[..text.len() - 1].parse::<u32>();
        Ok(Self(i64::from(number.map_err(|_| refuse())?) * unit))
    }
}

/// A number of days: `90d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DayCount(pub u32);

impl TryFrom<String> for DayCount {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text.strip_suffix('d').and_then(|days| days.parse().ok());
        let refuse = || format!("`{text}` is not a number of days such as \"90d\"");
        number.map(Self).ok_or_else(refuse)
    }
}

/// The family of the base's distribution, which decides the package manager.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// apt: Debian, Ubuntu and what is built on them.
    Debian,
    /// apk: Alpine, Wolfi.
    Alpine,
    /// dnf, microdnf, yum: Red Hat, Fedora, UBI, Rocky, Alma.
    Rhel,
    /// No package manager and no shell: scratch, distroless.
    Static,
}

impl Family {
    /// The name in specs, which is also the name of the family's template.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Alpine => "alpine",
            Self::Rhel => "rhel",
            Self::Static => "static",
        }
    }

    /// The path of the bundle with all trusted certificates.
    #[must_use]
    pub const fn bundle(self) -> &'static str {
        match self {
            Self::Debian | Self::Alpine | Self::Static => "/etc/ssl/certs/ca-certificates.crt",
            Self::Rhel => "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        }
    }
}

/// The value of a label or of an environment variable, or its removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrDropped<T> {
    /// The value to set.
    Value(T),
    /// `false`: removes the value that comes from the defaults or that golden fills in.
    Dropped,
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvValue {
    /// A value that replaces the base's.
    Set(String),
    /// The base's value with text added before and after it.
    Extend {
        /// The text before the base's value; may be empty.
        prepend: String,
        /// The text after the base's value; may be empty.
        append: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Extension {
    prepend: Option<String>,
    append: Option<String>,
}

/// Reads a string, `false` or, if `extensible`, a table.
struct AsValue {
    extensible: bool,
}

impl<'de> Visitor<'de> for AsValue {
    type Value = OrDropped<EnvValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.extensible {
            "a string, false, { prepend = … } or { append = … }"
        } else {
            "a string or false"
        })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(OrDropped::Value(EnvValue::Set(text.to_owned())))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        if value {
            Err(E::invalid_type(de::Unexpected::Bool(true), &self))
        } else {
            Ok(OrDropped::Dropped)
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        if !self.extensible {
            return Err(de::Error::invalid_type(de::Unexpected::Map, &self));
        }
        let extension = Extension::deserialize(de::value::MapAccessDeserializer::new(map))?;
        if extension.prepend.is_none() && extension.append.is_none() {
            return Err(de::Error::custom(
                "a table here needs `prepend`, `append` or both",
            ));
        }
        Ok(OrDropped::Value(EnvValue::Extend {
            prepend: extension.prepend.unwrap_or_default(),
            append: extension.append.unwrap_or_default(),
        }))
    }
}

impl<'de> Deserialize<'de> for OrDropped<EnvValue> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsValue { extensible: true })
    }
}

impl<'de> Deserialize<'de> for OrDropped<String> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(AsValue { extensible: false })? {
            OrDropped::Value(EnvValue::Set(text)) => Ok(Self::Value(text)),
            OrDropped::Value(EnvValue::Extend { .. }) | OrDropped::Dropped => Ok(Self::Dropped),
        }
    }
}

impl JsonSchema for OrDropped<String> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LabelValue".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, { "const": false }] })
    }
}

impl JsonSchema for OrDropped<EnvValue> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EnvValue".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "string" },
                { "const": false },
                {
                    "type": "object",
                    "properties": { "prepend": { "type": "string" }, "append": { "type": "string" } },
                    "minProperties": 1,
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// Permission bits, with set-uid, set-gid and sticky bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mode(pub u32);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let octal =
            (3..=5).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if octal && mode <= 0o7777 => Ok(Self(mode)),
            _ => Err(format!(
                "`{text}` is not a mode (three or four octal digits, such as \"0644\")"
            )),
        }
    }
}

/// The owner of files, as the spec writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OwnerSpec {
    /// A user name or uid.
    pub user: String,
    /// A group name or gid.
    pub group: Option<String>,
}

impl TryFrom<String> for OwnerSpec {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Container runtimes accept numbers up to 2147483647; to chown, 4294967295 means no change.
        let is_name = |part: &str| {
            !part.is_empty()
                && !part.starts_with('-')
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'$'))
                && (!part.bytes().all(|b| b.is_ascii_digit()) || part.parse::<i32>().is_ok())
        };
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text.as_str(), None),
        };
        if is_name(user) && group.is_none_or(is_name) {
            Ok(Self {
                user: user.to_owned(),
                group: group.map(str::to_owned),
            })
        } else {
            Err(format!(
                "`{text}` is not an owner (expected user:group, such as \"0:0\" or \"app:app\")"
            ))
        }
    }
}

/// True if `USER[:GROUP]` is certainly root with its own group. An empty user is root.
#[must_use]
pub fn is_root(user: &str) -> bool {
    matches!(
        user,
        "" | "root" | "0" | "0:0" | "root:root" | "0:root" | "root:0"
    )
}

/// A duration in the notation of Go and Docker: `30s`, `1m30s`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Interval(pub Duration);

impl TryFrom<String> for Interval {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a duration (examples: 30s, 1m30s, 500ms)");
        let mut rest = text;
        let mut nanoseconds: u64 = 0;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or_else(refuse)?;
            let (whole, fraction) = rest[..digits]
                .split_once('.')
                .unwrap_or((&rest[..digits], ""));
            if whole.is_empty() && fraction.is_empty() {
                return Err(refuse());
            }
            // Further digits are less than a nanosecond, even for hours.
            let fraction = &fraction[..fraction.len().min(15)];
            let scale = fraction.bytes().fold(1_u128, |scale, _| scale * 10);
            let number: u128 = format!("{whole}{fraction}").parse().map_err(|_| refuse())?;
            let after = &rest[digits..];
            let end = after
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(after.len());
            let unit: u128 = match &after[..end] {
                "ns" => 1,
                "us" | "µs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60 * 1_000_000_000,
                "h" => 3_600 * 1_000_000_000,
                _ => return Err(refuse()),
            };
            let part = number.checked_mul(unit).ok_or_else(refuse)? / scale;
            let part = u64::try_from(part).map_err(|_| refuse())?;
            nanoseconds = nanoseconds.checked_add(part).ok_or_else(refuse)?;
            rest = &after[end..];
        }
        if text.is_empty() || nanoseconds > i64::MAX.unsigned_abs() {
            return Err(refuse());
        }
        // Docker refuses a duration between 0 and 1 ms.
        if (1..1_000_000).contains(&nanoseconds) {
            return Err(format!(
                "`{text}` is shorter than a millisecond, which Docker refuses"
            ));
        }
        Ok(Self(Duration::from_nanos(nanoseconds)))
    }
}

/// A date: `2026-11-20`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SnapshotDate(pub String);

impl TryFrom<String> for SnapshotDate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse::<Day>() {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(format!("`{text}` is not a date such as \"2026-11-20\"")),
        }
    }
}

/// A day of the calendar: `2026-11-20`, as a date or as a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub time::Date);

impl Day {
    /// The name by which the deserializer of the spec knows that a TOML date is allowed.
    pub(super) const TYPE: &'static str = "Day";
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let format = time::macros::format_description!("[year]-[month]-[day]");
        time::Date::parse(text, format)
            .map(Self)
            .map_err(|_| format!("`{text}` is not a date such as 2026-11-20"))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsDay;
        impl<'de> Visitor<'de> for AsDay {
            type Value = Day;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date such as 2026-11-20")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Day, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_newtype_struct<D: de::Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Day, D::Error> {
                deserializer.deserialize_str(self)
            }
        }
        deserializer.deserialize_newtype_struct(Self::TYPE, AsDay)
    }
}

/// A variant; the empty string means none, so that one value of a matrix axis can have no variant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OptionalVariant(pub Option<Variant>);

impl TryFrom<String> for OptionalVariant {
    type Error = crate::tags::VariantError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() {
            Ok(Self(None))
        } else {
            text.parse().map(|variant| Self(Some(variant)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_date_of_the_calendar() {
        for good in ["2026-11-20", "2024-02-29"] {
            assert_eq!(good.parse::<Day>().unwrap().to_string(), good);
        }
        for bad in [
            "2026-02-29",
            "2026-11-2",
            "20261120",
            "2026-11-20T10:00:00Z",
            "soon",
            "",
        ] {
            assert!(bad.parse::<Day>().is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_follow_go() {
        for (text, milliseconds) in [
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("2h", 7_200_000),
            ("0s", 0),
            ("1.5s", 1_500),
            (".5m1.s", 31_000),
            ("0.25000000000000000000000h", 900_000),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Interval(Duration::from_millis(milliseconds))),
                "{text}"
            );
        }
        for bad in [
            "",
            "30",
            "s",
            ".s",
            "1.2.3s",
            "1.5",
            "30 s",
            "-1s",
            "1d",
            "1us",
            "99999999999999h",
            "18446744073709551615s",
        ] {
            assert!(bad.parse::<Interval>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn modes_and_owners_are_parsed() {
        let mode = |text: &str| Mode::try_from(text.to_owned()).ok().map(|mode| mode.0);
        assert_eq!(mode("0644"), Some(0o644));
        assert_eq!(mode("1777"), Some(0o1777));
        assert_eq!(mode("644"), Some(0o644));
        for bad in ["", "64", "0o644", "888", "77777", "rw-"] {
            assert_eq!(mode(bad), None, "{bad:?}");
        }
        let owner = |text: &str| {
            OwnerSpec::try_from(text.to_owned())
                .ok()
                .map(|o| (o.user, o.group))
        };
        assert_eq!(owner("0:0"), Some(("0".to_owned(), Some("0".to_owned()))));
        assert_eq!(owner("app"), Some(("app".to_owned(), None)));
        for bad in [
            "",
            ":",
            "a:",
            ":a",
            "a b",
            "-a",
            "99999999999:0",
            "2147483648",
            "0:4294967295",
            "a:b:c",
        ] {
            assert_eq!(owner(bad), None, "{bad:?}");
        }
    }
}
