//! The list of the rules, generated from their table.

use std::fmt::Write as _;

use crate::diagnostic::Severity;
use crate::policy::RULES;

/// The rules as Markdown: severity, requirement and explanation.
pub(super) fn rules() -> String {
    let mut text = String::from("## The rules\n");
    for rule in RULES {
        let severity = match (rule.fixed, rule.severity) {
            (true, _) => "always an error",
            (false, Severity::Error) => "an error by default",
            (false, Severity::Warning) => "a warning by default",
        };
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "\n### `{}`\n\n{}; {severity}.\n\n{}",
            rule.id,
            capitalised(rule.summary),
            rule.docs
        );
    }
    text
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_listed_with_its_explanation() {
        let text = rules();
        for rule in RULES {
            assert!(text.contains(&format!("### `{}`", rule.id)), "{}", rule.id);
            assert!(text.contains(rule.docs), "{}", rule.id);
        }
    }
}
