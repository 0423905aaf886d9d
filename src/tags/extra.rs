//! Checks the names of extra tags.

use std::fmt;

use semver::Version;

use super::fan_out::suffixed;
use super::{Variant, is_build_cache};
use crate::reference::{Error as ReferenceError, Tag};

/// The reason why a text cannot be an extra tag or a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtraError {
    /// It has the form of golden's own tags, such as `1`, `1.2` or `v1`.
    Version(String),
    /// It contains `latest`.
    Latest(String),
    /// It is the tag of a build cache.
    BuildCache(String),
    /// It is the name of a variant in the repository.
    Variant(String),
    /// It violates the grammar of tags.
    Grammar(ReferenceError),
}

impl ExtraError {
    /// The message if the tag is that of a channel.
    #[must_use]
    pub fn of_channel(&self) -> String {
        self.about("the channel")
    }

    /// The message, in which `subject` names the kind of the tag, such as `extra tag`.
    fn about(&self, subject: &str) -> String {
        let (name, problem) = match self {
            Self::Version(name) => (
                name,
                "looks like a version or a part of one; golden creates such tags from the version",
            ),
            Self::Latest(name) => (
                name,
                "contains `latest`, which is reserved for the tag `latest`",
            ),
            Self::BuildCache(name) => (name, "is reserved for the build cache"),
            Self::Variant(name) => (name, "is the name of a variant"),
            Self::Grammar(error) => return format!("{subject}: {error}"),
        };
        format!("{subject} `{name}` {problem}")
    }
}

impl fmt::Display for ExtraError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.about("extra tag"))
    }
}

impl std::error::Error for ExtraError {}

/// Checks an extra tag before the suffix of the variant is added. `variants` are the variants of
/// the repository. Fails if the name is reserved or not a valid tag.
pub fn check_extra<'a>(
    extra: &str,
    variant: Option<&'a Variant>,
    variants: impl IntoIterator<Item = &'a str>,
) -> Result<(), ExtraError> {
    if extra.to_ascii_lowercase().contains("latest") {
        return Err(ExtraError::Latest(extra.to_owned()));
    }
    if is_build_cache(extra) {
        return Err(ExtraError::BuildCache(extra.to_owned()));
    }
    if looks_like_version(extra) {
        return Err(ExtraError::Version(extra.to_owned()));
    }
    for name in variants.into_iter().chain(variant.map(Variant::as_str)) {
        if extra == name {
            return Err(ExtraError::Variant(extra.to_owned()));
        }
        if extra
            .strip_suffix(name)
            .and_then(|rest| rest.strip_suffix('-'))
            .is_some_and(looks_like_version)
        {
            return Err(ExtraError::Version(extra.to_owned()));
        }
    }
    extra.parse::<Tag>().map_err(ExtraError::Grammar)?;
    suffixed(extra, variant)
        .parse::<Tag>()
        .map_err(ExtraError::Grammar)?;
    Ok(())
}

/// True if the text is `M`, `M.m`, `M.m.p` or another version, with or without a leading `v`.
fn looks_like_version(text: &str) -> bool {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let numbers = text.split('.').count() <= 3 && text.split('.').all(number);
    numbers || Version::parse(&text.replacen('_', "+", 1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_refused() {
        for bad in [
            "1",
            "v1",
            "1.2",
            "v1.2",
            "1.2.3",
            "v1.2.3",
            "1.2.3-rc.1",
            "1.2.3_b",
            "01",
            "latest",
            "latest-dev",
            "my.Latest",
            "buildcache",
            "buildcache-slim",
            "alpine",
            "slim",
            "1.2-slim",
            "",
            ".x",
            "a b",
            "a+b",
        ] {
            let alpine: Variant = "alpine".parse().unwrap();
            assert!(
                check_extra(bad, Some(&alpine), ["slim"]).is_err(),
                "{bad:?} was taken"
            );
        }
        for good in [
            "edge",
            "abc1234",
            "2024-11-25",
            "v",
            "version-1",
            "nightly_1",
        ] {
            assert_eq!(check_extra(good, None, ["slim"]), Ok(()), "{good}");
        }
        let long = "a".repeat(128);
        assert_eq!(check_extra(&long, None, []), Ok(()));
        assert!(check_extra(&long, Some(&"alpine".parse().unwrap()), []).is_err());
    }
}
