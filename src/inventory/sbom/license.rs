//! The licence of a package, as far as it is an expression of SPDX.

/// The licence of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum License<'a> {
    /// The identifier of one licence in the list of SPDX.
    Id(&'a str),
    /// An expression of SPDX.
    Expression(&'a str),
    /// Any other text.
    Name(&'a str),
}

/// Parses the text of a package database.
pub(super) fn parse(text: &str) -> License<'_> {
    if let Some(license) = spdx::license_id(text).filter(|license| license.name == text) {
        License::Id(license.name)
    } else if spdx::Expression::parse(text).is_ok() {
        License::Expression(text)
    } else {
        License::Name(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_expressions_and_other_texts_are_told_apart() {
        for (text, expected) in [
            ("MIT", License::Id("MIT")),
            (
                "MIT AND BSD-3-Clause",
                License::Expression("MIT AND BSD-3-Clause"),
            ),
            ("GPLv2+ and MIT", License::Name("GPLv2+ and MIT")),
            ("mit", License::Name("mit")),
        ] {
            assert_eq!(parse(text), expected);
        }
    }
}
