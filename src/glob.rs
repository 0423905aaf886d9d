//! Globs over names and paths: `*` does not match `/`, and `**` matches any number of parts.

use std::path::Path;
use std::sync::OnceLock;

use globset::{GlobBuilder, GlobMatcher};

/// The maximum length of a glob in bytes: its regular expression must not exceed the limits of the
/// library.
const MAX_BYTES: usize = 4096;

/// The reason why a text is not a glob.
#[derive(Debug, thiserror::Error)]
pub enum InvalidGlob {
    /// It has an invalid range or class, or an unclosed group.
    #[error("`{}` is not a valid glob: {}", .0.glob().unwrap_or_default(), .0.kind())]
    Syntax(globset::Error),
    /// It is too long.
    #[error("`{0:.40}…` is not a valid glob: it has more than {MAX_BYTES} bytes")]
    TooLong(String),
}

/// A glob.
#[derive(Debug, Clone)]
pub struct Glob {
    glob: globset::Glob,
    /// The regular expression of a glob is large, so it is compiled only if it is needed.
    matcher: OnceLock<GlobMatcher>,
}

impl Glob {
    /// Parses a glob. Fails if its syntax is invalid or it is too long.
    pub fn new(pattern: &str) -> Result<Self, InvalidGlob> {
        if pattern.len() > MAX_BYTES {
            return Err(InvalidGlob::TooLong(pattern.to_owned()));
        }
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        let glob = glob.map_err(InvalidGlob::Syntax)?;
        Ok(Self {
            glob,
            matcher: OnceLock::new(),
        })
    }

    /// The text of the glob.
    #[must_use]
    pub fn pattern(&self) -> &str {
        self.glob.glob()
    }

    /// True if the glob matches the whole text.
    pub fn is_match(&self, text: impl AsRef<Path>) -> bool {
        let pattern = self.pattern();
        if pattern == "**" {
            return true;
        }
        if !pattern.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            return text.as_ref().as_os_str() == pattern;
        }
        let matcher = self.matcher.get_or_init(|| self.glob.compile_matcher());
        matcher.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_within_a_part_and_two_stars_match_parts() {
        for (pattern, text, expected) in [
            ("app", "app", true),
            ("app", "apps", false),
            ("team/app", "team/app", true),
            ("*", "app", true),
            ("*", "team/app", false),
            ("team/*", "team/app", true),
            ("team/*", "team/a/b", false),
            ("**", "team/a/b", true),
            ("**", "", true),
            ("team/**", "team/a/b", true),
            ("**/app", "app", true),
            ("**/app", "team/a/app", true),
            ("a?p", "app", true),
            ("{a,b}", "b", true),
            ("[ab]", "b", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
        ] {
            let glob = Glob::new(pattern).unwrap();
            assert_eq!(glob.is_match(text), expected, "{pattern} {text}");
        }
        let long = "?".repeat(MAX_BYTES);
        assert!(Glob::new(&long).unwrap().is_match("a".repeat(MAX_BYTES)));
        for pattern in ["[", "{a", "[b-a]", &format!("{long}?")] {
            assert!(Glob::new(pattern).is_err(), "{pattern}");
        }
    }

    /// The short cuts give the answers of the library.
    #[test]
    fn every_glob_matches_as_the_library_does() {
        let parts = ["", "a", "/", "*", "**", "?", "[a]", "{a,b}", "b"];
        let texts = ["", "a", "b", "a/b", "ab", "a/", "/a", "aa/b/a"];
        for n in 0..parts.len().pow(3) {
            let part = |position: u32| parts[n / parts.len().pow(position) % parts.len()];
            let [one, two, three] = [0, 1, 2].map(part);
            let pattern = format!("{one}{two}{three}");
            let Ok(glob) = Glob::new(&pattern) else {
                continue;
            };
            let library = glob.glob.compile_matcher();
            for text in texts {
                assert_eq!(
                    glob.is_match(text),
                    library.is_match(text),
                    "{pattern} {text}"
                );
            }
        }
    }
}
