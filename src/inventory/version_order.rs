//! The order of package versions, as the package managers define it.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::str::Chars;

use super::package::PackageKind;

/// Compares two versions of a package. `kind` is its package manager, if that is known.
///
/// An epoch or a revision counts only if both versions have one: `3.0.15` is equal to
/// `1:3.0.15-1.el9`.
#[must_use]
pub fn compare_versions(kind: Option<PackageKind>, a: &str, b: &str) -> Ordering {
    if !matches!(
        kind,
        Some(PackageKind::Apk | PackageKind::Deb | PackageKind::Rpm)
    ) && let (Ok(a), Ok(b)) = (semver::Version::parse(a), semver::Version::parse(b))
    {
        return a.cmp_precedence(&b);
    }
    let (a, b) = (Parts::of(a), Parts::of(b));
    let epochs = match (a.epoch, b.epoch) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => Ordering::Equal,
    };
    epochs
        .then_with(|| compare_part(kind, a.version, b.version))
        .then_with(|| match (a.revision, b.revision) {
            (Some(a), Some(b)) => compare_part(kind, a, b),
            _ => Ordering::Equal,
        })
}

/// The parts of `EPOCH:VERSION-REVISION`.
struct Parts<'a> {
    epoch: Option<u64>,
    version: &'a str,
    revision: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().ok(), rest),
            None => (None, text),
        };
        let (version, revision) = match rest.rsplit_once('-') {
            Some((version, revision)) => (version, Some(revision)),
            None => (rest, None),
        };
        Self {
            epoch,
            version,
            revision,
        }
    }
}

/// Compares runs of digits as numbers, and the text between them character by character. `~` sorts
/// before the end of the text, and letters sort before other characters.
fn compare_part(kind: Option<PackageKind>, a: &str, b: &str) -> Ordering {
    let (a, b) = (plain(kind, a), plain(kind, b));
    let (mut a, mut b) = (a.chars().peekable(), b.chars().peekable());
    while a.peek().is_some() || b.peek().is_some() {
        let order = compare_words(&mut a, &mut b).then_with(|| number(&mut a).cmp(&number(&mut b)));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// Writes the suffixes of apk as those of Debian: `_rc1` sorts before the end, `_p1` after it. rpm
/// compares only letters and digits, so other separators are written as dots.
fn plain(kind: Option<PackageKind>, text: &str) -> String {
    match kind {
        Some(PackageKind::Apk) => ["_alpha", "_beta", "_pre", "_rc"]
            .iter()
            .fold(text.to_owned(), |text, suffix| {
                text.replace(suffix, &suffix.replace('_', "~"))
            }),
        Some(PackageKind::Rpm) => text.replace(['_', '+'], "."),
        _ => text.to_owned(),
    }
}

fn compare_words(a: &mut Peekable<Chars<'_>>, b: &mut Peekable<Chars<'_>>) -> Ordering {
    loop {
        let is_word = |c: &char| !c.is_ascii_digit();
        let (left, right) = (a.next_if(is_word), b.next_if(is_word));
        let order = weight(left).cmp(&weight(right));
        if order != Ordering::Equal || (left.is_none() && right.is_none()) {
            return order;
        }
    }
}

fn weight(character: Option<char>) -> i64 {
    match character {
        Some('~') => -1,
        None => 0,
        Some(letter) if letter.is_alphabetic() => i64::from(u32::from(letter)),
        Some(other) => i64::from(u32::from(other)) + 0x11_0000,
    }
}

/// The number that follows, as its length and its digits without leading zeros.
fn number(text: &mut Peekable<Chars<'_>>) -> (usize, String) {
    let mut digits = String::new();
    while let Some(digit) = text.next_if(char::is_ascii_digit) {
        if digit != '0' || !digits.is_empty() {
            digits.push(digit);
        }
    }
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_by_their_package_manager() {
        use PackageKind::{Apk, Deb, Npm, Rpm};
        for (kind, lower, higher) in [
            (Deb, "3.0.11-1~deb12u2", "3.0.15-1~deb12u1"),
            (Deb, "3.0.15-1~deb12u1", "3.0.15-1"),
            (Deb, "1.0~rc1-1", "1.0-1"),
            (Deb, "9.9", "1:1.0"),
            (Deb, "1.1.1n-0+deb11u4", "1.1.1w-0+deb11u1"),
            (Deb, "1.9", "1.10"),
            (Rpm, "1:3.0.7-24.el9", "1:3.0.7-28.el9"),
            (Rpm, "5.1.8-6.el9", "5.1.8-6.el9_1"),
            (Apk, "3.3.0_rc1-r0", "3.3.0-r0"),
            (Apk, "9.6_p1-r0", "9.6_p2-r0"),
            (Apk, "3.3.0-r2", "3.3.0-r10"),
            (Npm, "1.0.0-rc.1", "1.0.0"),
        ] {
            let expected = if higher.contains(':') && !lower.contains(':') {
                // One of them has no epoch, which then does not count.
                Ordering::Greater
            } else {
                Ordering::Less
            };
            assert_eq!(
                compare_versions(Some(kind), lower, higher),
                expected,
                "{lower} {higher}"
            );
        }
    }

    #[test]
    fn a_version_without_revision_and_epoch_is_compared_without_them() {
        use PackageKind::{Apk, Deb, Rpm};
        for (kind, installed, asked, expected) in [
            (Deb, "3.0.15-1~deb12u1", "3.0.15", Ordering::Equal),
            (Rpm, "1:3.0.7-28.el9", "3.0.15", Ordering::Less),
            (Apk, "3.3.2-r1", "3.3.2", Ordering::Equal),
            (Deb, "3.0.15-1", "3.0.15-2", Ordering::Less),
        ] {
            assert_eq!(compare_versions(Some(kind), installed, asked), expected);
        }
        assert_eq!(compare_versions(None, "1.2.0", "1.10.0"), Ordering::Less);
        assert_eq!(compare_versions(None, "2024.1", "2024.1"), Ordering::Equal);
    }
}
