//! The order of versions, including revisions and build metadata.

use std::cmp::Ordering;

use semver::{BuildMetadata, Version};

use super::version::is_revision;

/// Compares two versions by semver's precedence, then by build metadata.
///
/// Among versions of equal precedence, the plain version is the lowest. Then follow `r0`, which
/// preserves the content of the plain version, other build metadata in semver's order, and golden's
/// revisions by number. The order is total, so the maximum does not depend on the input order.
#[must_use]
pub fn precedence(a: &Version, b: &Version) -> Ordering {
    a.cmp_precedence(b).then_with(|| builds(&a.build, &b.build))
}

fn builds(a: &BuildMetadata, b: &BuildMetadata) -> Ordering {
    let (rank_a, rank_b) = (Rank::of(a), Rank::of(b));
    rank_a.cmp(&rank_b).then_with(|| match rank_a {
        Rank::Revision => numbers(a.as_str(), b.as_str()).then_with(|| a.cmp(b)),
        Rank::Plain | Rank::Original | Rank::Metadata => a.cmp(b),
    })
}

/// The kinds of build metadata, from the lowest to the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Plain,
    Original,
    Metadata,
    Revision,
}

impl Rank {
    fn of(build: &BuildMetadata) -> Self {
        match is_revision(build) {
            _ if build.is_empty() => Self::Plain,
            true if build
                .as_str()
                .trim_start_matches('r')
                .bytes()
                .all(|digit| digit == b'0') =>
            {
                Self::Original
            }
            true => Self::Revision,
            false => Self::Metadata,
        }
    }
}

/// Compares revisions such as `r7` and `r12` by number; the numbers can have any length.
fn numbers(a: &str, b: &str) -> Ordering {
    let digits = |text: &'_ str| {
        text.trim_start_matches('r')
            .trim_start_matches('0')
            .to_owned()
    };
    let (a, b) = (digits(a), digits(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_from_lowest_to_highest() {
        let sorted = [
            "0.9.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-rc.2",
            "1.0.0-rc.10",
            "1.0.0",
            "1.0.0+r0",
            "1.0.0+1",
            "1.0.0+9",
            "1.0.0+10",
            "1.0.0+build.5",
            "1.0.0+r2a",
            "1.0.0+r1",
            "1.0.0+r2",
            "1.0.0+r10",
            "1.0.1",
        ];
        let sorted: Vec<Version> = sorted.iter().map(|text| text.parse().unwrap()).collect();
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(precedence(a, b), i.cmp(&j), "{a} {b}");
            }
        }
    }
}
