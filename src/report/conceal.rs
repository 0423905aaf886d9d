//! Hides values in the user's files that look like secrets. No report shows them, in any format,
//! not even in findings about other things.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::LazyLock;

use regex::Regex;

use crate::diagnostic::{Diagnostic, Diagnostics, SourceMap};
use crate::policy::looks_like_a_secret;
use crate::secret::redact_userinfo;

/// A key and its value in TOML: any kind of string, or any other text up to the end of the item.
#[expect(
    clippy::unwrap_used,
    reason = "the pattern is a constant, and a test compiles it"
)]
static ASSIGNMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x)
        (?P<key> [A-Za-z0-9_.-]+ | "[^"\n]*" | '[^'\n]*' ) [\ \t]* = [\ \t]*
        (?: \{ [^{}=\n]* \b (?:prepend|append) [\ \t]* = [\ \t]* | \[ \s* )?
        (?: """(?P<long>(?s:.*?))"""  | '''(?P<raw>(?s:.*?))'''
          | "(?P<basic>(?:[^"\\\n]|\\.)*)"? | '(?P<literal>[^'\n]*)'? | (?P<bare>[^\s,\#\[\]{}"'][^,\#\[\]{}\n]*) )
        "#,
    )
    .unwrap()
});

/// The minimum length of values that are masked in messages. Shorter values may be ordinary words;
/// they are hidden only at their place in the file.
const MIN_LENGTH: usize = 4;

/// Removes the secrets of the files that the findings refer to.
pub(super) fn conceal(found: &Diagnostics, sources: &SourceMap) -> Diagnostics {
    let files: BTreeSet<&PathBuf> = found
        .iter()
        .flat_map(|diagnostic| &diagnostic.labels)
        .map(|label| &label.file)
        .collect();
    let mut hidden: Vec<(PathBuf, Range<usize>)> = Vec::new();
    let mut values: BTreeSet<&str> = BTreeSet::new();
    for file in files {
        let Some(text) = sources.text(file) else {
            continue;
        };
        for span in secrets(text) {
            values.insert(text[span.clone()].trim());
            hidden.push((file.clone(), span));
        }
    }
    let mut concealed = Diagnostics::new();
    for diagnostic in found.iter() {
        let mut diagnostic = without(diagnostic, &values);
        diagnostic.hidden.append(&mut hidden);
        concealed.push(diagnostic);
    }
    concealed
}

/// The byte ranges of the values that look like secrets.
fn secrets(text: &str) -> impl Iterator<Item = Range<usize>> {
    ASSIGNMENT.captures_iter(text).filter_map(|captures| {
        let key = captures.name("key")?.as_str().trim_matches(['"', '\'']);
        let kinds = ["long", "raw", "basic", "literal", "bare"];
        let value = kinds.iter().find_map(|kind| captures.name(kind))?;
        // Under this key, steps list the names of their secrets.
        let text = value.as_str().trim();
        let is_secret = looks_like_a_secret(key, text) || has_password(text);
        let is_secret = is_secret && key != "secrets";
        is_secret.then(|| value.range())
    })
}

/// True if the value is an address with a password, such as `user:password@host`.
fn has_password(value: &str) -> bool {
    !value.contains(char::is_whitespace) && redact_userinfo(value) != value
}

fn without(diagnostic: &Diagnostic, values: &BTreeSet<&str>) -> Diagnostic {
    let mask = |text: &str| {
        let long = values.iter().filter(|value| value.len() >= MIN_LENGTH);
        long.fold(text.to_owned(), |text, value| text.replace(value, "***"))
    };
    let mut masked = diagnostic.clone();
    masked.message = mask(&diagnostic.message);
    masked.help = diagnostic.help.as_deref().map(mask);
    for label in &mut masked.labels {
        label.text = mask(&label.text);
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_look_like_secrets_are_found_in_every_form() {
        for (text, value) in [
            ("[env]\nAPI_TOKEN = \"hunter2\"\n", "hunter2"),
            ("[env]\n\"API_TOKEN\" = 'hunter2' # yes\n", "hunter2"),
            (
                "env = { A = \"b\", DB_PASSWORD = \"hunter2\", C = 1 }",
                "hunter2",
            ),
            ("env.DB_PASSWORD = \"hunter2\"", "hunter2"),
            ("API_TOKEN = 12345678\n", "12345678"),
            ("API_TOKEN = \"\"\"hunter2\nmore\"\"\"\n", "hunter2\nmore"),
            ("API_TOKEN = \"hunter2\n", "hunter2"),
            ("API_TOKEN = hunter2\n", "hunter2"),
            ("API_TOKEN = [\"hunter2\"]\n", "hunter2"),
            (
                "X = \"postgres://u:hunter2@db/x\"\n",
                "postgres://u:hunter2@db/x",
            ),
            ("host = \"u:hunter2@h\"\n", "u:hunter2@h"),
            ("base = { ref = \"u:hunter2@h/x:1\" }\n", "u:hunter2@h/x:1"),
            ("API_TOKEN = { prepend = \"hunter2\" }\n", "hunter2"),
        ] {
            let found: Vec<&str> = secrets(text).map(|span| &text[span]).collect();
            assert_eq!(found, [value], "{text}");
        }
        for text in [
            "secrets = [\"token\"]\n",
            "deny_secrets = true\n",
            "name = \"app\"\n",
            "source = \"git@host:group/path\"\n",
            "script = \"scp a:b user@host:\"\n",
            "base = \"debian:12@sha256:0000000000000000000000000000000000000000000000000000000000000000\"\n",
            "TOKEN = \"\"\n",
        ] {
            assert_eq!(secrets(text).count(), 0, "{text}");
        }
    }

    #[test]
    fn a_finding_about_another_key_does_not_show_secrets() {
        let text = "env = { API_TOKEN = \"hunter2\", x = 1 }\n";
        let mut sources = SourceMap::default();
        sources.insert("a.toml", text);
        let mut found = Diagnostics::new();
        found.push(
            Diagnostic::error("spec.type", "a string is expected, not hunter2")
                .at("a.toml", 33..34, "hunter2?")
                .help("write \"hunter2\""),
        );
        let concealed = conceal(&found, &sources);
        let shown = format!("{concealed:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(concealed.iter().next().unwrap().hidden.len(), 1);
    }
}
