//! Parses strict semver 2.0.0 versions, and explains the mistake in a wrong one.

use semver::{BuildMetadata, Version};

/// The reason why a text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The text is empty.
    #[error("the version is empty; a version is MAJOR.MINOR.PATCH, such as 1.2.3")]
    Empty,
    /// The text contains white space.
    #[error("version `{0}` contains white space")]
    Space(String),
    /// The text does not have three numbers.
    #[error("version `{text}` has {count}; a version is MAJOR.MINOR.PATCH, such as {example}")]
    Count {
        /// The text that the user wrote.
        text: String,
        /// The count of numbers in words.
        count: &'static str,
        /// A version with three numbers that may be meant.
        example: String,
    },
    /// A number that starts with a zero.
    #[error("version `{text}` has a leading zero in `{part}`; write `{fixed}`")]
    LeadingZero {
        /// The text that the user wrote.
        text: String,
        /// The number with the zero.
        part: String,
        /// The same number without the zeros.
        fixed: String,
    },
    /// The version starts with `v`, which is not allowed in a spec.
    #[error("version `{text}` starts with `v`; write `{fixed}`")]
    LeadingV {
        /// The text that the user wrote.
        text: String,
        /// The text without the `v`.
        fixed: String,
    },
    /// The build metadata is reserved for revisions.
    #[error("version `{0}`: build metadata such as `r1` is reserved for revisions")]
    Reserved(String),
    /// Another violation of semver.
    #[error("version `{text}` is not semver: {why}")]
    Other {
        /// The text that the user wrote.
        text: String,
        /// The violated rule.
        why: String,
    },
}

/// Parses the version in a spec. Fails if it is not strict semver or is reserved for revisions.
pub fn version(text: &str) -> Result<Version, VersionError> {
    match any_version(text) {
        Ok(version) if is_revision(&version.build) => Err(VersionError::Reserved(text.to_owned())),
        parsed => parsed,
    }
}

/// Parses a version that may be a revision. Fails if it is not strict semver.
pub fn any_version(text: &str) -> Result<Version, VersionError> {
    Version::parse(text).map_err(|error| explain(text, &error))
}

/// Parses a version from the command line; one leading `v` is ignored. Fails as [`version`] does.
pub fn version_argument(text: &str) -> Result<Version, VersionError> {
    version(text.strip_prefix('v').unwrap_or(text))
}

/// True if build metadata denotes a revision by golden: `r` and a number.
#[must_use]
pub fn is_revision(build: &BuildMetadata) -> bool {
    let digits = build.as_str().strip_prefix('r');
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn explain(text: &str, error: &semver::Error) -> VersionError {
    let owned = || text.to_owned();
    if text.is_empty() {
        return VersionError::Empty;
    }
    if text.contains(char::is_whitespace) {
        return VersionError::Space(owned());
    }
    let after_v = text
        .strip_prefix(['v', 'V'])
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if let Some(fixed) = after_v {
        return VersionError::LeadingV {
            text: owned(),
            fixed: fixed.to_owned(),
        };
    }
    if let Some(c) = text
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '+'))
    {
        let why = format!("`{c}` is not allowed; a version has letters, digits, `.`, `-` and `+`");
        return VersionError::Other { text: owned(), why };
    }
    let core = text.split(['-', '+']).next().unwrap_or(text);
    let parts: Vec<&str> = core.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if parts.iter().all(number) {
        if let Some(part) = parts
            .iter()
            .find(|part| part.len() > 1 && part.starts_with('0'))
        {
            let fixed = part.trim_start_matches('0');
            let fixed = if fixed.is_empty() { "0" } else { fixed };
            let (part, fixed) = ((*part).to_owned(), fixed.to_owned());
            return VersionError::LeadingZero {
                text: owned(),
                part,
                fixed,
            };
        }
        let count = match parts.len() {
            1 => "only one number",
            2 => "only two numbers",
            4 => "four numbers",
            _ => "too many numbers",
        };
        if parts.len() != 3 {
            let example = parts
                .iter()
                .copied()
                .chain(["0", "0"])
                .take(3)
                .collect::<Vec<_>>()
                .join(".");
            return VersionError::Count {
                text: owned(),
                count,
                example,
            };
        }
    }
    let why = match parts.iter().find(|part| !number(part)) {
        Some(_) if parts.len() == 1 => "a version is MAJOR.MINOR.PATCH, such as 1.2.3".to_owned(),
        Some(&"") => {
            "a number is missing; a version is MAJOR.MINOR.PATCH, such as 1.2.3".to_owned()
        }
        Some(part) => {
            format!("`{part}` is not a number; a version is MAJOR.MINOR.PATCH, such as 1.2.3")
        }
        None => error.to_string(),
    };
    VersionError::Other { text: owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_explains_the_mistake() {
        for (text, message) in [
            (
                "",
                "the version is empty; a version is MAJOR.MINOR.PATCH, such as 1.2.3",
            ),
            (
                "1",
                "version `1` has only one number; a version is MAJOR.MINOR.PATCH, such as 1.0.0",
            ),
            (
                "1.2",
                "version `1.2` has only two numbers; a version is MAJOR.MINOR.PATCH, such as 1.2.0",
            ),
            (
                "1.2-rc.1",
                "version `1.2-rc.1` has only two numbers; a version is MAJOR.MINOR.PATCH, such as 1.2.0",
            ),
            (
                "1.2.3.4",
                "version `1.2.3.4` has four numbers; a version is MAJOR.MINOR.PATCH, such as 1.2.3",
            ),
            (
                "01.2.3",
                "version `01.2.3` has a leading zero in `01`; write `1`",
            ),
            (
                "1.00.3",
                "version `1.00.3` has a leading zero in `00`; write `0`",
            ),
            ("1.2.3 ", "version `1.2.3 ` contains white space"),
            ("v1.2.3", "version `v1.2.3` starts with `v`; write `1.2.3`"),
            (
                "1.2.3+r1",
                "version `1.2.3+r1`: build metadata such as `r1` is reserved for revisions",
            ),
        ] {
            assert_eq!(
                version(text).map_err(|error| error.to_string()),
                Err(message.to_owned())
            );
        }
        for bad in [
            "1.2.x",
            "1.2.3-\u{e9}",
            "1.2.3+a_b",
            "latest",
            "1.2.3-",
            "1.2.3+",
            "1.2.3-01",
            "1..3",
            "99999999999999999999.0.0",
            "-1.0.0",
        ] {
            let message = version(bad).map_err(|error| error.to_string()).unwrap_err();
            assert!(
                message.starts_with(&format!("version `{bad}` is not semver: ")),
                "{message}"
            );
        }
    }

    #[test]
    fn one_leading_v_is_ignored_on_the_command_line() {
        assert_eq!(version_argument("v1.2.3"), Ok(Version::new(1, 2, 3)));
        assert_eq!(version_argument("1.2.3"), Ok(Version::new(1, 2, 3)));
        for bad in ["vv1.2.3", "V1.2.3", "v", "v1.2"] {
            assert!(version_argument(bad).is_err(), "{bad} was taken");
        }
    }
}
