//! The order of package versions for queries, in which an epoch or a revision may be omitted.

use std::cmp::Ordering;

use super::package::PackageKind;
use super::version::compare;

/// Compares the version of a package with one of a query. `kind` is its package manager, if that is
/// known.
///
/// An epoch or a revision of a distribution's package counts only if both versions have one:
/// `3.0.15` is equal to `1:3.0.15-1.el9`.
#[must_use]
pub fn compare_versions(kind: Option<PackageKind>, a: &str, b: &str) -> Ordering {
    let kind = match kind {
        Some(kind) if kind.is_of_distribution() => kind,
        Some(kind) => return compare(kind, a, b),
        None => {
            if let (Ok(a), Ok(b)) = (semver::Version::parse(a), semver::Version::parse(b)) {
                return a.cmp_precedence(&b);
            }
            PackageKind::Deb
        }
    };
    let (a, b) = (VersionParts::of(a), VersionParts::of(b));
    let epochs = a.epoch.is_some() && b.epoch.is_some();
    let revisions = a.revision.is_some() && b.revision.is_some();
    compare(kind, &a.text(epochs, revisions), &b.text(epochs, revisions))
}

/// The parts of `EPOCH:VERSION-REVISION`.
struct VersionParts<'a> {
    epoch: Option<u64>,
    version: &'a str,
    revision: Option<&'a str>,
}

impl<'a> VersionParts<'a> {
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

    /// The version, optionally with its epoch and its revision.
    fn text(&self, with_epoch: bool, with_revision: bool) -> String {
        let epoch = self.epoch.filter(|_| with_epoch);
        let epoch = epoch.map_or_else(String::new, |epoch| format!("{epoch}:"));
        let revision = self.revision.filter(|_| with_revision);
        let revision = revision.map_or_else(String::new, |revision| format!("-{revision}"));
        format!("{epoch}{}{revision}", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_by_their_package_manager() {
        use PackageKind::{Apk, Deb, Npm, Pypi, Rpm};
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
            (Rpm, "1.0~rc1-1", "1.0-1"),
            (Rpm, "1.0-1", "1.0^git1-1"),
            (Rpm, "1.0^git1-1", "1.0.1-1"),
            (Apk, "1.2-r0", "1.2_git20220924-r0"),
            (Apk, "1.2_p1-r0", "1.2a-r0"),
            (Pypi, "1.0.dev1", "1.0rc1"),
            (Pypi, "1.0rc1", "1.0"),
            (Pypi, "1.0", "1.0.post1"),
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
        use PackageKind::{Apk, Deb, Npm, Pypi, Rpm};
        for (kind, installed, asked, expected) in [
            (Deb, "3.0.15-1~deb12u1", "3.0.15", Ordering::Equal),
            (Rpm, "1:3.0.7-28.el9", "3.0.15", Ordering::Less),
            (Apk, "3.3.2-r1", "3.3.2", Ordering::Equal),
            (Deb, "3.0.15-1", "3.0.15-2", Ordering::Less),
            (Deb, "2:1.0-1", "1:9.0", Ordering::Greater),
            (Rpm, "1.0^git1-1", "1.0", Ordering::Greater),
            (Pypi, "1.0.0", "1", Ordering::Equal),
            (Npm, "1.0.0", "1", Ordering::Equal),
        ] {
            assert_eq!(compare_versions(Some(kind), installed, asked), expected);
        }
        assert_eq!(compare_versions(None, "1.2.0", "1.10.0"), Ordering::Less);
        assert_eq!(compare_versions(None, "2024.1", "2024.1"), Ordering::Equal);
    }
}
