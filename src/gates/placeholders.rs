//! The placeholders in the command of a gate.

use std::collections::BTreeMap;

use crate::config_files::gate_table::{PLACEHOLDERS, in_braces};

/// The values of the placeholders, by name.
#[derive(Debug, Clone, Default)]
pub struct Placeholders(BTreeMap<&'static str, String>);

impl Placeholders {
    /// Sets a value.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.insert(name, value.into());
    }

    /// Fills in a word. Values are not filled in again, and other braces are kept.
    #[must_use]
    pub fn fill(&self, word: &str) -> String {
        let mut filled = String::with_capacity(word.len());
        let mut rest = word;
        while let Some(open) = rest.find('{') {
            filled.push_str(&rest[..open]);
            let inside = &rest[open + 1..];
            let value = inside.split_once('}').and_then(|(name, after)| {
                let value = self.0.get(name)?;
                Some((value, after))
            });
            if let Some((value, after)) = value {
                filled.push_str(value);
                rest = after;
            } else {
                filled.push('{');
                rest = inside;
            }
        }
        filled.push_str(rest);
        filled
    }
}

/// The placeholders in a text.
pub fn names_in(text: &str) -> impl Iterator<Item = &str> {
    in_braces(text).filter(|name| PLACEHOLDERS.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_placeholders_are_filled_in() {
        let mut values = Placeholders::default();
        values.set("layout", "/tmp/{image}");
        values.set("image", "team/app");
        for (word, filled) in [
            ("{layout}", "/tmp/{image}"),
            ("oci:{layout}:{image}", "oci:/tmp/{image}:team/app"),
            ("{{image}}", "{team/app}"),
            ("{\"a\": {image}}", "{\"a\": team/app}"),
            ("{other} {", "{other} {"),
            ("", ""),
        ] {
            assert_eq!(values.fill(word), filled, "{word}");
        }
        assert_eq!(
            names_in("{layout}{x}{Image}{}{{sbom}").collect::<Vec<_>>(),
            ["layout", "sbom"]
        );
    }
}
