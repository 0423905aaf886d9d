//! A requirement on the version of a package: `>=1.2, <2`.

use std::cmp::Ordering;
use std::fmt;

use serde::Deserialize;

/// The relation of a version to the version in a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>=`
    AtLeast,
    /// `>`
    Higher,
    /// `<=`
    AtMost,
    /// `<`
    Lower,
}

impl Relation {
    /// The signs; a longer sign comes before one that it begins with.
    const SIGNS: [(&'static str, Self); 7] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        ("!=", Self::NotEqual),
        ("==", Self::Equal),
        ("=", Self::Equal),
        (">", Self::Higher),
        ("<", Self::Lower),
    ];

    /// Splits a text after the sign at its start; `None` if it starts with none.
    #[must_use]
    pub fn split(text: &str) -> Option<(Self, &str)> {
        let mut signs = Self::SIGNS.iter();
        signs.find_map(|(sign, relation)| Some((*relation, text.strip_prefix(sign)?.trim_start())))
    }

    /// True if a version with this order, compared with the required version, is accepted.
    #[must_use]
    pub const fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::AtLeast => order.is_ge(),
            Self::Higher => order.is_gt(),
            Self::AtMost => order.is_le(),
            Self::Lower => order.is_lt(),
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::AtLeast => ">=",
            Self::Higher => ">",
            Self::AtMost => "<=",
            Self::Lower => "<",
        })
    }
}

/// One condition of a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionCondition {
    /// A relation to a version.
    Compared(Relation, String),
    /// The version begins with this text, as in `7.88.*`.
    Prefix(String),
}

/// A requirement on the version of a package. All conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PackageRequirement {
    /// The text of the spec.
    text: String,
    /// The conditions, at least one.
    pub conditions: Vec<VersionCondition>,
}

impl fmt::Display for PackageRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for PackageRequirement {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let conditions: Option<Vec<VersionCondition>> = text.split(',').map(condition).collect();
        match conditions {
            Some(conditions) => Ok(Self { text, conditions }),
            None => Err(format!(
                "`{text}` is not a requirement on a version (examples: \">=1.2, <2\", \"1.2.3-4\", \"7.88.*\")"
            )),
        }
    }
}

fn condition(text: &str) -> Option<VersionCondition> {
    let text = text.trim();
    let (relation, version) = Relation::split(text).unwrap_or((Relation::Equal, text));
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-~^:".contains(c);
    let is_version = |version: &str| {
        version.starts_with(|c: char| c.is_ascii_alphanumeric()) && version.chars().all(plain)
    };
    match version.strip_suffix('*') {
        Some(prefix) if relation == Relation::Equal => {
            is_version(prefix).then(|| VersionCondition::Prefix(prefix.to_owned()))
        }
        Some(_) => None,
        None => {
            is_version(version).then(|| VersionCondition::Compared(relation, version.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_parsed() {
        let parsed = |text: &str| PackageRequirement::try_from(text.to_owned());
        let compared =
            |relation, version: &str| VersionCondition::Compared(relation, version.to_owned());
        for (text, expected) in [
            (">=0.19", vec![compared(Relation::AtLeast, "0.19")]),
            (
                "1:2.66-4+b1",
                vec![compared(Relation::Equal, "1:2.66-4+b1")],
            ),
            ("== 1.0~rc1", vec![compared(Relation::Equal, "1.0~rc1")]),
            (
                "> 1 , <2",
                vec![
                    compared(Relation::Higher, "1"),
                    compared(Relation::Lower, "2"),
                ],
            ),
            (
                "!=3.0.14-r0",
                vec![compared(Relation::NotEqual, "3.0.14-r0")],
            ),
            ("7.88.*", vec![VersionCondition::Prefix("7.88.".to_owned())]),
        ] {
            assert_eq!(parsed(text).unwrap().conditions, expected, "{text}");
        }
        for bad in [
            "", ">=", "1.0,", ">=1.*", "=> 1", "~1.2", "a b", "*", "newest!",
        ] {
            assert!(parsed(bad).is_err(), "{bad:?} was taken");
        }
    }
}
