//! The tags of a version that the label of an image claims.

use semver::Version;

use crate::reference::Tag;

/// The tags under which the version `label` may be published, if the tag `moving` points to it. The
/// name of that tag gives the variant. Empty if the label is not a version.
#[must_use]
pub fn claimed(moving: &Tag, label: &str) -> Vec<Tag> {
    let label = label.strip_prefix('v').unwrap_or(label);
    if Version::parse(label).is_err() {
        return Vec::new();
    }
    let version = label.replacen('+', "_", 1);
    let name = moving.as_str();
    let variant = if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.split_once('-').map(|(_, variant)| variant)
    } else {
        Some(name).filter(|name| *name != "latest")
    };
    let names = variant
        .map(|variant| format!("{version}-{variant}"))
        .into_iter()
        .chain([version.clone()]);
    names
        .flat_map(|name| [name.clone(), format!("v{name}")])
        .filter_map(|name| name.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_claims_the_tags_of_its_version() {
        for (moving, label, expected) in [
            ("latest", "3.0.0", "3.0.0 v3.0.0"),
            ("1.2", "v1.2.4", "1.2.4 v1.2.4"),
            (
                "1-alpine",
                "1.2.4",
                "1.2.4-alpine v1.2.4-alpine 1.2.4 v1.2.4",
            ),
            (
                "alpine3.20",
                "1.2.4",
                "1.2.4-alpine3.20 v1.2.4-alpine3.20 1.2.4 v1.2.4",
            ),
            ("latest", "1.2.4+build.5", "1.2.4_build.5 v1.2.4_build.5"),
            ("latest", "24.04", ""),
            ("latest", "", ""),
        ] {
            let tags: Vec<String> = claimed(&moving.parse().unwrap(), label)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(tags.join(" "), expected, "{moving} {label}");
        }
    }
}
