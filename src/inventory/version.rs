//! Compares versions of packages as their package manager does.

use std::cmp::Ordering;

use super::package::{Package, PackageKind};
use super::semantic;
use crate::config_files::package_requirement::{PackageRequirement, VersionCondition};

impl Package {
    /// True if the installed version fulfils all conditions of a requirement.
    #[must_use]
    pub fn fulfils(&self, requirement: &PackageRequirement) -> bool {
        let installed = self.full_version();
        let holds = |condition: &VersionCondition| match condition {
            VersionCondition::Prefix(prefix) => installed.starts_with(prefix),
            VersionCondition::Compared(relation, version) => {
                relation.accepts(compare(self.kind, &installed, version))
            }
        };
        requirement.conditions.iter().all(holds)
    }
}

/// The order of an installed and a required version, exactly as in the package manager. For rpm, a
/// required version without a release is equal to every release.
pub(super) fn compare(kind: PackageKind, installed: &str, required: &str) -> Ordering {
    match kind {
        PackageKind::Deb => debian(installed, required),
        PackageKind::Rpm => rpm(installed, required),
        PackageKind::Apk => match (
            AlpineVersion::parse(installed),
            AlpineVersion::parse(required),
        ) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => segments(installed, required),
        },
        PackageKind::Golang | PackageKind::Cargo | PackageKind::Maven | PackageKind::Nuget => {
            semantic::compare(installed, required)
        }
        PackageKind::Npm => match (installed.parse(), lenient(required)) {
            (Ok::<semver::Version, _>(a), Some(b)) => a.cmp_precedence(&b),
            _ => segments(installed, required),
        },
        PackageKind::Pypi => match (
            PythonVersion::parse(installed),
            PythonVersion::parse(required),
        ) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => segments(installed, required),
        },
    }
}

/// The epoch of a version and the rest; an omitted epoch is 0.
fn epoch(version: &str) -> (u64, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    }
}

/// The order of two numbers of any length, without their leading zeros.
fn numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Splits a text after its first characters that fulfil a condition.
fn split(text: &str, condition: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !condition(c)).unwrap_or(text.len()))
}

/// dpkg: epoch, upstream version, revision (deb-version(7)).
fn debian(a: &str, b: &str) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (epoch(a), epoch(b));
    let parts = |version| str::rsplit_once(version, '-').unwrap_or((version, ""));
    let ((upstream_a, revision_a), (upstream_b, revision_b)) = (parts(a), parts(b));
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| debian_part(upstream_a, upstream_b))
        .then_with(|| debian_part(revision_a, revision_b))
}

fn debian_part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split(a, |c| !c.is_ascii_digit());
        let (text_b, rest_b) = split(b, |c| !c.is_ascii_digit());
        let length = text_a.len().max(text_b.len());
        let weights = |text: &str| -> Vec<i32> {
            let padded = text.bytes().map(Some).chain(std::iter::repeat(None));
            padded.take(length).map(debian_weight).collect()
        };
        let order = weights(text_a).cmp(&weights(text_b));
        let (number_a, next_a) = split(rest_a, |c| c.is_ascii_digit());
        let (number_b, next_b) = split(rest_b, |c| c.is_ascii_digit());
        let order = order.then_with(|| numbers(number_a, number_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

/// `~` comes before the end, the end before letters, and letters before all other characters.
fn debian_weight(character: Option<u8>) -> i32 {
    match character {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => letter.into(),
        Some(other) => i32::from(other) + 256,
    }
}

/// rpm: epoch, version, release.
fn rpm(installed: &str, required: &str) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (epoch(installed), epoch(required));
    let (version_a, release_a) = a.rsplit_once('-').unwrap_or((a, ""));
    let (version_b, release_b) = b.rsplit_once('-').unwrap_or((b, ""));
    let releases = || match (release_a, release_b) {
        ("", _) | (_, "") => Ordering::Equal,
        (a, b) => segments(a, b),
    };
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| segments(version_a, version_b))
        .then_with(releases)
}

/// rpm's order of segments of digits and letters. `~` comes before the end, `^` after it.
fn segments(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let is_separator = |c: char| !c.is_ascii_alphanumeric() && c != '~' && c != '^';
        a = a.trim_start_matches(is_separator);
        b = b.trim_start_matches(is_separator);
        match (a.strip_prefix('~'), b.strip_prefix('~')) {
            (Some(rest_a), Some(rest_b)) => {
                (a, b) = (rest_a, rest_b);
                continue;
            }
            (Some(_), None) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            (None, None) => {}
        }
        match (a.strip_prefix('^'), b.strip_prefix('^')) {
            (Some(rest_a), Some(rest_b)) => {
                (a, b) = (rest_a, rest_b);
                continue;
            }
            (Some(_), None) if b.is_empty() => return Ordering::Greater,
            (None, Some(_)) if a.is_empty() => return Ordering::Less,
            (Some(_), None) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            (None, None) => {}
        }
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let ((segment_a, rest_a), (segment_b, rest_b)) = (segment(a), segment(b));
        let order = match (is_number(a), is_number(b)) {
            (true, true) => numbers(segment_a, segment_b),
            (false, false) => segment_a.cmp(segment_b),
            // A number is newer than letters.
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The digits or the letters at the start of a text, and the rest.
fn segment(text: &str) -> (&str, &str) {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        split(text, |c| c.is_ascii_digit())
    } else {
        split(text, |c| c.is_ascii_alphabetic())
    }
}

/// A version of apk: `1.2.3b_rc4_p5-r6`. The fields are in the order of the comparison.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AlpineVersion {
    numbers: Vec<AlpineNumber>,
    letter: Option<char>,
    /// Suffixes before a release are negative, those after it positive. The last entry is 0.
    suffixes: Vec<(i32, u64)>,
    revision: Option<u64>,
}

/// A number between dots. One that begins with zeros is lower than every other number, and lower the
/// more zeros it has.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AlpineNumber {
    zeros: i64,
    value: u64,
}

const ALPINE_SUFFIXES: [(&str, i32); 9] = [
    ("alpha", -4),
    ("beta", -3),
    ("pre", -2),
    ("rc", -1),
    ("cvs", 1),
    ("svn", 2),
    ("git", 3),
    ("hg", 4),
    ("p", 5),
];

impl AlpineVersion {
    fn parse(text: &str) -> Option<Self> {
        let (text, revision) = match text.rsplit_once("-r") {
            Some((text, revision)) => (text, Some(revision.parse().ok()?)),
            None => (text, None),
        };
        let mut parts = text.split('_');
        let (numbers, letter) = split(parts.next()?, |c| c.is_ascii_digit() || c == '.');
        let mut letters = letter.chars();
        let letter = letters.next();
        if letters.next().is_some() || letter.is_some_and(|c| !c.is_ascii_lowercase()) {
            return None;
        }
        let number = |(at, text): (usize, &str)| {
            let value = text.parse().ok()?;
            let zeros = text.len() - text.trim_start_matches('0').len();
            let zeros = if at == 0 {
                0
            } else {
                -i64::try_from(zeros).ok()?
            };
            Some(AlpineNumber { zeros, value })
        };
        let numbers: Option<Vec<_>> = numbers.split('.').enumerate().map(number).collect();
        let suffix = |text: &str| {
            let (name, number) = split(text, |c| c.is_ascii_lowercase());
            let (_, rank) = ALPINE_SUFFIXES.iter().find(|(known, _)| *known == name)?;
            let number = match number {
                "" => 0,
                number => number.parse().ok()?,
            };
            Some((*rank, number))
        };
        let suffixes: Option<Vec<_>> = parts.map(suffix).chain([Some((0, 0))]).collect();
        Some(Self {
            numbers: numbers?,
            letter,
            suffixes: suffixes?,
            revision,
        })
    }
}

/// A version of semver, of which the minor and the patch number may be omitted.
fn lenient(text: &str) -> Option<semver::Version> {
    let dots = text.matches('.').count();
    let missing = if text.contains(['-', '+']) {
        ""
    } else {
        [".0.0", ".0", ""][dots.min(2)]
    };
    format!("{text}{missing}").parse().ok()
}

/// A version of Python packages (PEP 440). The fields are in the order of the comparison.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PythonVersion {
    epoch: u64,
    /// The numbers of the release, without zeros at the end.
    release: Vec<u64>,
    /// The kind and the number of a pre-release: 0 is a development release of no pre-release, then
    /// a, b, rc and a release.
    pre: (u8, u64),
    post: Option<u64>,
    /// The number of a development release; the highest number for none.
    development: u64,
}

impl PythonVersion {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches('v').to_ascii_lowercase();
        let public = text.split('+').next()?;
        let (epoch, rest) = match public.split_once('!') {
            Some((epoch, rest)) => (epoch.parse().ok()?, rest),
            None => (0, public),
        };
        let (release, mut rest) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let numbers = release.trim_end_matches('.').split('.');
        let release: Option<Vec<u64>> = numbers.map(|number| number.parse().ok()).collect();
        let mut release = release?;
        while release.last() == Some(&0) {
            release.pop();
        }
        let (mut pre, mut post, mut development) = (None, None, None);
        while !rest.is_empty() {
            rest = rest.trim_start_matches(['.', '-', '_']);
            let (word, after) = split(rest, |c| c.is_ascii_alphabetic());
            let (number, after) = split(after.trim_start_matches(['.', '-', '_']), |c| {
                c.is_ascii_digit()
            });
            if word.is_empty() && number.is_empty() {
                return None;
            }
            let number = match number {
                "" => 0,
                number => number.parse().ok()?,
            };
            match word {
                "a" | "alpha" => pre = Some((1, number)),
                "b" | "beta" => pre = Some((2, number)),
                "rc" | "c" | "pre" | "preview" => pre = Some((3, number)),
                "" | "post" | "rev" | "r" => post = Some(number),
                "dev" => development = Some(number),
                _ => return None,
            }
            rest = after;
        }
        let is_only_development = pre.is_none() && post.is_none() && development.is_some();
        Some(Self {
            epoch,
            release,
            pre: pre.unwrap_or(if is_only_development { (0, 0) } else { (4, 0) }),
            post,
            development: development.unwrap_or(u64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: PackageKind, ascending: &[&str]) {
        for (n, lower) in ascending.iter().enumerate() {
            assert_eq!(compare(kind, lower, lower), Ordering::Equal, "{lower}");
            for higher in &ascending[n + 1..] {
                assert_eq!(
                    compare(kind, lower, higher),
                    Ordering::Less,
                    "{lower} {higher}"
                );
                assert_eq!(
                    compare(kind, higher, lower),
                    Ordering::Greater,
                    "{higher} {lower}"
                );
            }
        }
    }

    #[test]
    fn versions_have_the_order_of_their_package_manager() {
        check(
            PackageKind::Deb,
            &[
                "1.0~~",
                "1.0~rc1-1",
                "1.0",
                "1.0-1",
                "1.0-1+deb12u1",
                "1.0-1+deb12u10",
                "1.0a-1",
                "1.0+dfsg-1",
                "1.0.1",
                "1.2",
                "1.10",
                "2.0",
                "1:0.1",
            ],
        );
        check(
            PackageKind::Rpm,
            &[
                "1.0~rc1-1.el9",
                "1.0-1.el9",
                "1.0-2.el9",
                "1.0-10.el9",
                "1.0^git1-1",
                "1.0.a-1",
                "1.0.1-1",
                "1.2-1",
                "1.10-1",
                "1:0.1-1",
            ],
        );
        check(
            PackageKind::Apk,
            &[
                "1.2_alpha1-r0",
                "1.2_rc1-r0",
                "1.2_rc2-r0",
                "1.2",
                "1.2-r0",
                "1.2-r1",
                "1.2-r10",
                "1.2_git20220924-r0",
                "1.2_p1-r0",
                "1.2a-r0",
                "1.2.001-r0",
                "1.2.01-r0",
                "1.2.1-r0",
                "1.2.10-r0",
                "1.10-r0",
            ],
        );
        check(
            PackageKind::Npm,
            &["1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0"],
        );
        check(
            PackageKind::Pypi,
            &[
                "1.0.dev1",
                "1.0a1.dev1",
                "1.0a1",
                "1.0b2",
                "1.0rc1",
                "1.0",
                "1.0.post1",
                "1.0.1",
                "1.10",
                "1!0.1",
            ],
        );
        assert_eq!(compare(PackageKind::Pypi, "1.0.0", "1"), Ordering::Equal);
        assert_eq!(compare(PackageKind::Npm, "1.0.0", "1"), Ordering::Equal);
        assert_eq!(
            compare(PackageKind::Rpm, "3.0.7-24.el9", "3.0.7"),
            Ordering::Equal
        );
        assert_eq!(
            compare(PackageKind::Deb, "0.19.0-1", "0.19"),
            Ordering::Greater
        );
    }

    #[test]
    fn a_text_that_is_no_version_of_python_is_compared_by_its_segments() {
        for text in [
            "1.0~rc1",
            "1.0*",
            "1!1!",
            "1.0 (x)",
            "1.0-",
            "1.0.post1_",
            "",
        ] {
            assert_eq!(PythonVersion::parse(text), None, "{text}");
        }
        for text in [
            "1.0",
            "v1.0",
            "1.0-1",
            "1.0_rc.1",
            "1!1.0",
            "1.0+local",
            "1.",
        ] {
            assert!(PythonVersion::parse(text).is_some(), "{text}");
        }
        assert_eq!(compare(PackageKind::Pypi, "1.0~rc1", "1.0"), Ordering::Less);
    }

    #[test]
    fn every_condition_of_a_requirement_must_hold() {
        let package = Package {
            epoch: Some(1),
            ..Package::new(
                PackageKind::Rpm,
                "openssl".to_owned(),
                "3.0.7-24.el9".to_owned(),
            )
        };
        for (requirement, holds) in [
            (">=1:3.0.7", true),
            (">=1:3.0.7, <1:3.1", true),
            (">=1:3.0.7, !=1:3.0.7", false),
            ("<4", false),
            ("1:3.0.*", true),
            ("3.0.*", false),
        ] {
            let parsed = PackageRequirement::try_from(requirement.to_owned()).unwrap();
            assert_eq!(package.fulfils(&parsed), holds, "{requirement}");
        }
    }
}
