//! The rules of a `.dockerignore`
//! (<https://docs.docker.com/build/concepts/context/#dockerignore-files>).

use regex::Regex;

/// The longest file of rules that is read, in bytes.
const MAX_LENGTH: usize = 1 << 20;

/// The rules of a `.dockerignore`, in order.
#[derive(Debug, Clone, Default)]
pub struct IgnoreRules(Vec<IgnoreRule>);

#[derive(Debug, Clone)]
struct IgnoreRule {
    /// True if the rule begins with `!`.
    includes: bool,
    pattern: Regex,
}

impl IgnoreRules {
    /// Reads the rules. A line that is not a pattern is skipped.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}');
        let lines = text.get(..MAX_LENGTH).unwrap_or(text).lines();
        Self(lines.filter_map(rule).collect())
    }

    /// True if a path of the context is excluded. The last rule that matches the path or one of its
    /// parents decides.
    #[must_use]
    pub fn excludes(&self, path: &str) -> bool {
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        let candidates: Vec<&str> = parents.chain([path]).collect();
        let decides =
            |rule: &&IgnoreRule| candidates.iter().any(|path| rule.pattern.is_match(path));
        self.0
            .iter()
            .rev()
            .find(decides)
            .is_some_and(|rule| !rule.includes)
    }

    /// True if no path below an excluded directory can be included again.
    #[must_use]
    pub fn has_no_exceptions(&self) -> bool {
        self.0.iter().all(|rule| !rule.includes)
    }
}

fn rule(line: &str) -> Option<IgnoreRule> {
    if line.starts_with('#') {
        return None;
    }
    let line = line.trim();
    let (includes, pattern) = match line.strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, line),
    };
    let parts: Vec<&str> = pattern
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.is_empty() || parts.contains(&"..") {
        return None;
    }
    let pattern = Regex::new(&regex(&parts.join("/"))).ok()?;
    Some(IgnoreRule { includes, pattern })
}

/// The regular expression of a pattern.
fn regex(pattern: &str) -> String {
    let mut out = "^".to_owned();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                // `**/` matches no directory, too.
                if chars.next_if_eq(&'/').is_some() {
                    out.push_str("(.*/)?");
                } else {
                    out.push_str(".*");
                }
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => class(&mut chars, &mut out),
            '\\' => out.extend(chars.next().map(|c| regex::escape(&c.to_string()))),
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out + "$"
}

/// A class of characters, after its bracket.
fn class(chars: &mut impl Iterator<Item = char>, out: &mut String) {
    out.push('[');
    for c in chars {
        match c {
            ']' => break,
            '[' | '&' | '~' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push(']');
}

/// The pattern of a source of `COPY`, in Go's notation: `*`, `?` and `[…]`.
pub(super) fn source_pattern(source: &str) -> Option<Regex> {
    Regex::new(&regex(&source.replace("**", "*"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_matches_decides() {
        let text = "# comment\n*.log\n/build/\n**/node_modules\n!keep.log\ndocs/*\n!docs/README.md\na?c\nx[0-9]\n.git\n  spaces  \n../up\n";
        let rules = IgnoreRules::parse(text);
        for (path, excluded) in [
            ("a.log", true),
            ("keep.log", false),
            ("sub/a.log", false),
            ("build", true),
            ("build/x/y", true),
            ("sub/build", false),
            ("node_modules", true),
            ("a/b/node_modules/c", true),
            ("docs/a", true),
            ("docs/README.md", false),
            ("abc", true),
            ("x1", true),
            ("xa", false),
            (".git/config", true),
            ("spaces", true),
            ("src/main.rs", false),
        ] {
            assert_eq!(rules.excludes(path), excluded, "{path}");
        }
        assert!(!rules.has_no_exceptions());
        assert!(IgnoreRules::parse("*\n").excludes("a/b"));
        assert!(!IgnoreRules::parse("*\n!a\n").excludes("a/b"));
    }
}
