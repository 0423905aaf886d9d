//! The family of a base, according to a table of repository names.

use super::image::{Family, FamilySource};
use crate::reference::Reference;

/// Last components of repository paths, in any registry or mirror, by family. A tag that contains
/// `alpine` changes the family from Debian to Alpine.
pub const NAMES: &[(Family, &[&str])] = &[
    (
        Family::Debian,
        &[
            "debian",
            "ubuntu",
            "buildpack-deps",
            "python",
            "node",
            "golang",
            "ruby",
            "rust",
            "php",
            "perl",
            "openjdk",
            "eclipse-temurin",
            "maven",
            "gradle",
            "tomcat",
            "nginx",
            "httpd",
            "postgres",
            "redis",
            "mariadb",
            "haproxy",
        ],
    ),
    (Family::Alpine, &["alpine", "wolfi-base"]),
    (
        Family::Rhel,
        &[
            "fedora",
            "fedora-minimal",
            "centos",
            "rockylinux",
            "almalinux",
            "oraclelinux",
            "amazonlinux",
            "ubi",
            "ubi-minimal",
            "ubi-init",
        ],
    ),
    (
        Family::Static,
        &[
            "scratch",
            "busybox",
            "static",
            "static-debian11",
            "static-debian12",
        ],
    ),
];

/// Prefixes of full repository names, by family.
pub const PREFIXES: &[(Family, &str)] = &[
    (Family::Debian, "mcr.microsoft.com/dotnet/"),
    (Family::Rhel, "registry.access.redhat.com/"),
    (Family::Rhel, "registry.redhat.io/"),
    (Family::Static, "gcr.io/distroless/"),
];

/// The family of a base; None if the table does not contain it.
#[must_use]
pub fn of(reference: &Reference) -> Option<Family> {
    let name = reference.repository.to_string();
    let last = name.rsplit('/').next().unwrap_or_default();
    let tag = reference.tag.as_ref().map_or("", |tag| tag.as_str());
    let plain = last.split("-slim").next().unwrap_or(last);
    let by_name = NAMES
        .iter()
        .find(|(_, names)| names.contains(&last) || names.contains(&plain));
    let by_prefix = PREFIXES.iter().find(|(_, prefix)| name.starts_with(prefix));
    let family = by_prefix
        .map(|(family, _)| *family)
        .or(by_name.map(|(family, _)| *family))?;
    if family == Family::Debian && tag.contains("alpine") {
        Some(Family::Alpine)
    } else {
        Some(family)
    }
}

/// The family of an image: its own if it is known, else that of its parent.
pub(super) fn inherited(
    own: Option<(Family, FamilySource)>,
    parent: Option<(Family, FamilySource)>,
) -> (Family, FamilySource) {
    own.or(parent)
        .unwrap_or((Family::Static, FamilySource::Unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_inferred_from_the_name_of_the_base() {
        for (base, family) in [
            ("debian:12", Some(Family::Debian)),
            (
                "registry.example.com:5000/base/debian-slim:12",
                Some(Family::Debian),
            ),
            (
                "mcr.microsoft.com/dotnet/core/aspnet:3.0",
                Some(Family::Debian),
            ),
            (
                "mcr.microsoft.com/dotnet/aspnet:8.0-alpine",
                Some(Family::Alpine),
            ),
            ("python:3.12-alpine3.20", Some(Family::Alpine)),
            ("alpine", Some(Family::Alpine)),
            (
                "registry.access.redhat.com/ubi9/ubi-minimal",
                Some(Family::Rhel),
            ),
            ("gcr.io/distroless/base-debian12", Some(Family::Static)),
            ("busybox:1.36", Some(Family::Static)),
            ("example.com/team/thing:1", None),
        ] {
            assert_eq!(of(&base.parse().unwrap()), family, "{base}");
        }
    }
}
