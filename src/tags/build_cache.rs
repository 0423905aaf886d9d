//! The tag under which the build cache of an image is stored. It is not a tag of a version.

use super::Variant;
use super::fan_out::suffixed;
use crate::reference::{Error, Tag};

/// The tag of an image without a variant.
const BUILD_CACHE: &str = "buildcache";

/// The tag for the build cache of an image: `buildcache`, or `buildcache-VARIANT`. Fails if the
/// variant makes it too long.
pub fn build_cache(variant: Option<&Variant>) -> Result<Tag, Error> {
    suffixed(BUILD_CACHE, variant).parse()
}

/// True if the tag is that of a build cache, with or without a variant.
#[must_use]
pub fn is_build_cache(tag: &str) -> bool {
    let rest = tag.strip_prefix(BUILD_CACHE);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variant_has_its_own_cache() {
        let slim: Variant = "slim".parse().unwrap();
        for (variant, tag) in [(None, "buildcache"), (Some(&slim), "buildcache-slim")] {
            let own = build_cache(variant).unwrap();
            assert_eq!(own.as_str(), tag);
            assert!(is_build_cache(own.as_str()));
        }
        for other in ["buildcaches", "build-cache", "1.2.3-buildcache", "latest"] {
            assert!(!is_build_cache(other), "{other}");
        }
    }
}
