//! Cargo-style requirements, and versions in the tags of base images. Both are parsed leniently,
//! since bases have calendar versions (`24.04`, `2026.01.3`), two or four components, or a leading
//! `v`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use semver::{Comparator, Op, Version, VersionReq};

/// A requirement on a version, such as `12`, `~24.04` or `>=1.2, <2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement(Vec<Comparison>);

/// One comparison of a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparison {
    comparator: Comparator,
    /// The fourth component, which semver does not have.
    fourth: Option<u64>,
}

/// The version in a tag of a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagVersion {
    version: Version,
    fourth: Option<u64>,
    components: usize,
}

impl Requirement {
    /// True if a strict version satisfies the requirement.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        self.admits(&TagVersion {
            version: version.clone(),
            fourth: None,
            components: 3,
        })
    }

    /// True if the version in a tag satisfies the requirement. A comparison with fewer components
    /// ignores the other components, as in semver: `=1.2.3` admits `1.2.3.4`.
    #[must_use]
    pub fn admits(&self, tag: &TagVersion) -> bool {
        let three = VersionReq {
            comparators: self.0.iter().map(Comparison::without_fourth).collect(),
        };
        three.matches(&tag.version) && self.0.iter().all(|part| part.admits_fourth(tag))
    }
}

impl Comparison {
    /// The comparison of the first three components. It admits equality if the fourth component
    /// decides.
    fn without_fourth(&self) -> Comparator {
        let mut comparator = self.comparator.clone();
        if self.fourth.is_some() {
            comparator.op = match comparator.op {
                Op::Greater => Op::GreaterEq,
                Op::Less => Op::LessEq,
                other => other,
            };
        }
        comparator
    }

    fn admits_fourth(&self, tag: &TagVersion) -> bool {
        let Self {
            comparator,
            fourth: Some(required),
        } = self
        else {
            return true;
        };
        let same = comparator.major == tag.version.major
            && comparator.minor == Some(tag.version.minor)
            && comparator.patch == Some(tag.version.patch);
        let order = tag.fourth.unwrap_or(0).cmp(required);
        !same
            || match comparator.op {
                Op::Exact => order == Ordering::Equal,
                Op::Greater => order == Ordering::Greater,
                Op::Less => order == Ordering::Less,
                Op::LessEq => order != Ordering::Greater,
                _ => order != Ordering::Less,
            }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("*");
        }
        for (position, part) in self.0.iter().enumerate() {
            let gap = if position == 0 { "" } else { ", " };
            write!(f, "{gap}{}", part.comparator)?;
            if let Some(fourth) = part.fourth {
                write!(f, ".{fourth}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Requirement {
    type Err = semver::Error;

    fn from_str(text: &str) -> Result<Self, semver::Error> {
        let (parts, fourths): (Vec<String>, Vec<Option<u64>>) = text.split(',').map(plain).unzip();
        let comparators = VersionReq::parse(&parts.join(","))?.comparators;
        let parts = comparators.into_iter().zip(fourths);
        Ok(Self(
            parts
                .map(|(comparator, fourth)| Comparison { comparator, fourth })
                .collect(),
        ))
    }
}

/// Splits a comparison into the part that semver can parse, without leading zeros, and the fourth
/// component.
fn plain(text: &str) -> (String, Option<u64>) {
    let unchanged = || (text.to_owned(), None);
    let Some(start) = text.find(|c: char| c.is_ascii_digit()) else {
        return unchanged();
    };
    let (operator, version) = text.split_at(start);
    let end = version.find(['-', '+', ' ']).unwrap_or(version.len());
    let (numbers, rest) = version.split_at(end);
    let mut components: Vec<&str> = numbers.split('.').map(without_zeros).collect();
    let fourth = match components.as_slice() {
        [_, _, patch, "*" | "x" | "X"] if rest.trim().is_empty() && is_number(patch) => None,
        [_, _, patch, fourth] if rest.trim().is_empty() && is_number(patch) => match fourth.parse()
        {
            Ok(fourth) => Some(fourth),
            Err(_) => return unchanged(),
        },
        _ => return (format!("{operator}{}{rest}", components.join(".")), None),
    };
    components.truncate(3);
    (format!("{operator}{}{rest}", components.join(".")), fourth)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn without_zeros(component: &str) -> &str {
    if !is_number(component) {
        return component;
    }
    let trimmed = component.trim_start_matches('0');
    if trimmed.is_empty() { "0" } else { trimmed }
}

impl TagVersion {
    /// Parses a tag of one to four numbers, or of three numbers and a pre-release, with or without
    /// a leading `v`. Returns `None` for any other tag.
    #[must_use]
    pub fn parse(tag: &str) -> Option<Self> {
        let text = tag.strip_prefix('v').unwrap_or(tag);
        let (numbers, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
        let components: Vec<&str> = numbers.split('.').collect();
        if !components.iter().all(|component| is_number(component)) {
            return None;
        }
        let plain: Vec<&str> = components
            .iter()
            .map(|component| without_zeros(component))
            .collect();
        let (version, fourth) = match (plain.as_slice(), rest) {
            ([major], "") => (format!("{major}.0.0"), None),
            ([major, minor], "") => (format!("{major}.{minor}.0"), None),
            ([major, minor, patch], rest) => (format!("{major}.{minor}.{patch}{rest}"), None),
            ([major, minor, patch, fourth], "") => (
                format!("{major}.{minor}.{patch}"),
                Some(fourth.parse().ok()?),
            ),
            _ => return None,
        };
        Some(Self {
            version: Version::parse(&version).ok()?,
            fourth,
            components: components.len(),
        })
    }

    /// Compares two versions. If they are equal, the one with more components is higher: `12.0.0`
    /// is more specific than `12`.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        super::precedence(&self.version, &other.version)
            .then_with(|| self.fourth.unwrap_or(0).cmp(&other.fourth.unwrap_or(0)))
            .then_with(|| self.components.cmp(&other.components))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_parsed_leniently_and_printed_in_one_form() {
        for (text, written) in [
            ("12", "^12"),
            ("*", "*"),
            ("~24.04", "~24.4"),
            ("2026.01.3", "^2026.1.3"),
            (">=1.2, <2", ">=1.2, <2"),
            (">= 01.02.00, < 2", ">=1.2.0, <2"),
            ("=8.5.1.02", "=8.5.1.2"),
            ("8.5.1.*", "^8.5.1"),
            ("1.*", "1.*"),
            ("1.2.3-rc.1", "^1.2.3-rc.1"),
            ("0.0.0", "^0.0.0"),
        ] {
            assert_eq!(
                text.parse::<Requirement>().unwrap().to_string(),
                written,
                "{text}"
            );
            assert_eq!(
                written.parse::<Requirement>().unwrap().to_string(),
                written,
                "{written}"
            );
        }
        for text in [
            "",
            "x.y",
            "1.2.3.4.5",
            "1.2.3.4-rc",
            "1.2.x.4",
            "1.2.x.*",
            "1.2.3.* x",
            "stable",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_fourth_component_decides_if_the_others_are_equal() {
        for (requirement, admitted, refused) in [
            (
                "=8.5.1.2",
                &["8.5.1.2", "8.5.01.2"][..],
                &["8.5.1.3", "8.5.1", "8.5.2.2", "8.6.1.2"][..],
            ),
            ("=8.5.1", &["8.5.1", "8.5.1.7"], &["8.5.2.1"]),
            (
                ">8.5.1.2",
                &["8.5.1.3", "8.5.2", "8.6.1.1", "9"],
                &["8.5.1.2", "8.5.1.1", "8.5.0.9"],
            ),
            (
                "<8.5.1.2",
                &["8.5.1.1", "8.5.1", "8.5.0.9"],
                &["8.5.1.2", "8.5.2"],
            ),
            ("<=8.5.1.2", &["8.5.1.2", "8.5.1"], &["8.5.1.3"]),
            ("8.5.1.2", &["8.5.1.2", "8.6"], &["8.5.1.1", "9.0.0.0"]),
            ("~8.5.1.2", &["8.5.1.9", "8.5.2"], &["8.6", "8.5.1"]),
        ] {
            let parsed: Requirement = requirement.parse().unwrap();
            let admits = |tag: &&str| parsed.admits(&TagVersion::parse(tag).unwrap());
            assert!(admitted.iter().all(admits), "{requirement}");
            assert!(!refused.iter().any(admits), "{requirement}");
        }
    }

    #[test]
    fn a_strict_version_satisfies_a_requirement() {
        for (requirement, version, expected) in [
            ("^1.2", "1.3.0", true),
            ("^1.2", "2.0.0", false),
            ("=1.2.3", "1.2.3", true),
            ("=1.2.3.4", "1.2.3", false),
            (">=1.2, <2", "1.1.9", false),
        ] {
            let parsed: Requirement = requirement.parse().unwrap();
            let version: Version = version.parse().unwrap();
            assert_eq!(
                parsed.matches(&version),
                expected,
                "{requirement} {version}"
            );
        }
    }

    #[test]
    fn only_tags_with_versions_are_parsed() {
        for tag in [
            "12",
            "v1.2",
            "2026.02.0",
            "24.04",
            "8.5.1.2",
            "3.21.0-rc.1",
            "20240101",
            "007",
        ] {
            assert!(TagVersion::parse(tag).is_some(), "{tag}");
        }
        for tag in [
            "bookworm",
            "12.10-slim",
            "latest",
            "1.2.3.4.5",
            "1..2",
            "1.2.3.4-rc1",
            "v",
            "",
            "1.2.",
            "٣",
        ] {
            assert_eq!(TagVersion::parse(tag), None, "{tag}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[<>=~^*xv0-9., +-]*") {
            drop(text.parse::<Requirement>());
            drop(TagVersion::parse(&text));
        }
    }
}
