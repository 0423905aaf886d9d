//! Computes the next free version, as a suggestion for an image whose version is refused.

use semver::{Prerelease, Version};

use super::{TagList, Withdrawn, is_withdrawn};

/// The maximum number of patch versions that are tried; then of minor versions, and then of major
/// versions.
const MOST_STEPS: usize = 10_000;

/// The next version after `version` that is in none of the repositories and not in `withdrawn`: the
/// next patch version of the same minor version, or the next number of a pre-release. If all of
/// these are withdrawn, the next minor version, or else the next major version.
pub fn next_free<'a>(
    version: &Version,
    repositories: impl IntoIterator<Item = &'a TagList>,
    withdrawn: &[Withdrawn],
) -> Version {
    let taken: Vec<&Version> = repositories
        .into_iter()
        .flat_map(|existing| existing.versions().iter().map(|held| &held.version))
        .chain(withdrawn.iter().filter_map(Withdrawn::version))
        .collect();
    let is_free = |next: &Version| {
        let is_taken = taken.iter().any(|taken| blocks(taken, next));
        !is_taken && !is_withdrawn(next, withdrawn)
    };
    let start = bumped(version);
    // A range of withdrawn versions may contain all patches, or all minor versions.
    let found = [bumped, next_minor, next_major]
        .into_iter()
        .find_map(|raise| {
            let versions = std::iter::successors(Some(start.clone()), |last| Some(raise(last)));
            versions.take(MOST_STEPS).find(|next| is_free(next))
        });
    found.unwrap_or(start)
}

fn next_minor(version: &Version) -> Version {
    Version::new(version.major, version.minor.saturating_add(1), 0)
}

fn next_major(version: &Version) -> Version {
    Version::new(version.major.saturating_add(1), 0, 0)
}

/// True if `taken` makes `next` unavailable: they are equal, or `taken` is a higher stable version
/// of the same minor version and `next` is stable too.
fn blocks(taken: &Version, next: &Version) -> bool {
    if next.pre.is_empty() && taken.pre.is_empty() {
        return taken.major == next.major && taken.minor == next.minor && taken.patch >= next.patch;
    }
    taken.cmp_precedence(next).is_eq()
}

fn bumped(version: &Version) -> Version {
    let Version {
        major,
        minor,
        patch,
        pre,
        ..
    } = version;
    if pre.is_empty() {
        return Version::new(*major, *minor, patch.saturating_add(1));
    }
    let (name, number) = match pre.as_str().rsplit_once('.') {
        Some((name, number)) if number.bytes().all(|digit| digit.is_ascii_digit()) => {
            (name, number.parse().ok())
        }
        _ => (pre.as_str(), None),
    };
    let number: u64 = number.unwrap_or(0);
    // A pre-release with another number is valid.
    let pre = Prerelease::new(&format!("{name}.{}", number.saturating_add(1))).unwrap_or_default();
    Version {
        pre,
        ..Version::new(*major, *minor, *patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Tag;

    #[test]
    fn the_next_version_is_free_everywhere() {
        for (version, existing, withdrawn, expected) in [
            ("1.2.3", "1.2.3", "", "1.2.4"),
            ("1.2.3", "1.2.3 1.2.4 1.2.5_r1 2.0.0", "", "1.2.6"),
            ("1.2.3", "1.2.3 1.2.9 1.3.0", "", "1.2.10"),
            ("1.2.3", "1.2.3 1.3.9 2.2.9", "", "1.2.4"),
            ("1.2.3", "v1.2.4", "1.2.5", "1.2.6"),
            ("1.2.3+build.5", "1.2.3_build.5", "", "1.2.4"),
            ("1.2.3-rc.1", "1.2.3-rc.1 1.2.3-rc.2", "", "1.2.3-rc.3"),
            ("1.2.3-beta", "1.2.3-beta", "", "1.2.3-beta.1"),
            ("1.2.3-beta.x1", "1.2.3-beta.x1", "", "1.2.3-beta.x1.1"),
            ("1.2.3", "1.2.3 1.2.4-rc.1", "", "1.2.4"),
            ("1.2.3-rc.1", "1.2.3-rc.1 1.2.9", "", "1.2.3-rc.2"),
        ] {
            let tags: Vec<Tag> = existing
                .split_whitespace()
                .map(|tag| tag.parse().unwrap())
                .collect();
            let withdrawn: Vec<Withdrawn> = withdrawn
                .split_whitespace()
                .map(|text| Withdrawn::Version(text.parse().unwrap()))
                .collect();
            let next = next_free(
                &version.parse().unwrap(),
                [&TagList::new(&tags, None, &[])],
                &withdrawn,
            );
            assert_eq!(next.to_string(), expected, "{version} after {existing}");
        }
    }

    #[test]
    fn a_range_of_withdrawn_versions_is_left() {
        for (range, expected) in [
            (">=1.2.0, <1.2.9", "1.2.9"),
            (">=1.2.4, <1.3", "1.3.0"),
            (">=1.2.4, <1.5", "1.5.0"),
            (">=1.2.4, <2", "2.0.0"),
            (">=1.2.4, <3", "3.0.0"),
        ] {
            let withdrawn = [Withdrawn::Matching(range.parse().unwrap())];
            let next = next_free(&Version::new(1, 2, 4), [], &withdrawn);
            assert_eq!(next.to_string(), expected);
        }
    }
}
