//! Edits image.toml and keeps its comments, layout and line endings.

use std::fmt::Write as _;

use semver::Version;
use toml_edit::{Array, DocumentMut, Item, RawString, Table, TomlError, Value};

use crate::oci::lifecycle::Announcement;

/// A text before and after an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The original text.
    pub before: String,
    /// The edited text.
    pub after: String,
}

/// The reason why a version cannot be edited.
#[derive(Debug, thiserror::Error)]
pub enum VersionEditError {
    /// The text is not TOML.
    #[error(transparent)]
    Toml(#[from] TomlError),
    /// The version is a template, or it is not in this file.
    #[error("the version is not written as \"{0}\"")]
    NotLiteral(Version),
}

/// The reason why a revocation cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum RevocationEditError {
    /// The text is not TOML.
    #[error(transparent)]
    Toml(#[from] TomlError),
    /// The table is written in one line, or as a list.
    #[error("[lifecycle] is written in one line; write it as tables, or use --no-edit")]
    OneLine,
}

/// The number of unchanged lines that a diff shows before and after a change.
const CONTEXT: usize = 3;

impl Edit {
    /// Sets `[tags] withdrawn` to `versions`. Existing entries keep their position, and templates
    /// stay. Fails if `text` is not TOML.
    pub fn withdraw(text: &str, versions: &[Version]) -> Result<Self, TomlError> {
        let unix = text.replace("\r\n", "\n");
        let mut document: DocumentMut = unix.parse()?;
        if !document.contains_key("tags") {
            add_tags(&mut document);
        }
        let tags = document
            .entry("tags")
            .or_insert_with(|| Item::Table(Table::new()));
        let end = inline_end(tags);
        if let Some(tags) = tags.as_table_like_mut() {
            let item = tags
                .entry("withdrawn")
                .or_insert_with(|| Item::Value(Array::new().into()));
            if let Some(array) = item.as_array_mut() {
                set_versions(array, versions);
                if let Some(end) = end {
                    array.decor_mut().set_suffix(end);
                }
            }
        }
        let edited = document.to_string();
        Ok(Self {
            before: text.to_owned(),
            after: with_endings_of(text, &unix, &edited),
        })
    }

    /// Adds a version to `[[lifecycle.revoked]]`. Fails if `text` is not TOML, or has the table in
    /// one line.
    pub fn revoke(
        text: &str,
        version: &Version,
        announcement: &Announcement,
    ) -> Result<Self, RevocationEditError> {
        let unix = text.replace("\r\n", "\n");
        let mut document: DocumentMut = unix.parse().map_err(RevocationEditError::Toml)?;
        let lifecycle = document.entry("lifecycle").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let revoked = lifecycle.as_table_mut().map(|table| {
            let list = || Item::ArrayOfTables(toml_edit::ArrayOfTables::new());
            table.entry("revoked").or_insert_with(list)
        });
        let revoked = revoked.and_then(Item::as_array_of_tables_mut);
        let revoked = revoked.ok_or(RevocationEditError::OneLine)?;
        let mut table = Table::new();
        for (key, value) in [
            ("versions", Some(version.to_string())),
            ("reason", announcement.reason.clone()),
            ("replacement", announcement.replacement.clone()),
            ("from", announcement.from.clone()),
        ] {
            if let Some(value) = value {
                table.insert(key, toml_edit::value(value));
            }
        }
        revoked.push(table);
        let edited = document.to_string();
        Ok(Self {
            before: text.to_owned(),
            after: with_endings_of(text, &unix, &edited),
        })
    }

    /// Changes `[image] version` from one version to another. Fails if `text` is not TOML, or does
    /// not have the version as a plain string.
    pub fn version(text: &str, from: &Version, to: &Version) -> Result<Self, VersionEditError> {
        let unix = text.replace("\r\n", "\n");
        let mut document: DocumentMut = unix.parse().map_err(VersionEditError::Toml)?;
        let version = document
            .get_mut("image")
            .and_then(Item::as_table_like_mut)
            .and_then(|image| image.get_mut("version"))
            .and_then(Item::as_value_mut)
            .filter(|value| value.as_str() == Some(from.to_string().as_str()))
            .ok_or_else(|| VersionEditError::NotLiteral(from.clone()))?;
        let decor = version.decor().clone();
        *version = Value::from(to.to_string());
        *version.decor_mut() = decor;
        let edited = document.to_string();
        Ok(Self {
            before: text.to_owned(),
            after: with_endings_of(text, &unix, &edited),
        })
    }

    /// True if the edit changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before == self.after
    }

    /// The change in the format of `diff -u`; `file` is the name in its header.
    #[must_use]
    pub fn diff(&self, file: &str) -> String {
        let lines = |text| -> Vec<&str> { str::lines(text).collect() };
        let (before, after) = (lines(&self.before), lines(&self.after));
        let ChangedBlock {
            start,
            before_end,
            after_end,
        } = ChangedBlock::between(&before, &after);
        let (first, last) = (
            start.saturating_sub(CONTEXT),
            (before_end + CONTEXT).min(before.len()),
        );
        let grown = last - before_end;
        let range = |end: usize| format!("{},{}", first + usize::from(end > first), end - first);
        let mut text = format!("--- {file}\n+++ {file}\n");
        // Writing into a String cannot fail.
        let _ = writeln!(text, "@@ -{} +{} @@", range(last), range(after_end + grown));
        for (mark, lines) in [
            (' ', &before[first..start]),
            ('-', &before[start..before_end]),
            ('+', &after[start..after_end]),
            (' ', &before[before_end..last]),
        ] {
            for line in lines {
                let _ = writeln!(text, "{mark}{line}");
            }
        }
        text
    }
}

/// Removes the space before the closing brace of `tags = { … }` and returns it, so that the caller
/// can put it after the new last value.
fn inline_end(tags: &mut Item) -> Option<String> {
    let table = tags
        .as_inline_table_mut()
        .filter(|table| !table.contains_key("withdrawn"))?;
    let (_, last) = table.iter_mut().last()?;
    let end = text(last.decor().suffix());
    last.decor_mut().set_suffix("");
    Some(end)
}

/// Adds `[tags]` at the end of the document, after its last comments.
fn add_tags(document: &mut DocumentMut) {
    let comments = document.trailing().as_str().unwrap_or_default().to_owned();
    let mut table = Table::new();
    table.decor_mut().set_prefix(format!("{comments}\n"));
    document.set_trailing("");
    document.insert("tags", Item::Table(table));
}

fn set_versions(array: &mut Array, versions: &[Version]) {
    let version_of = |value: &Value| value.as_str().and_then(|text| text.parse::<Version>().ok());
    let is_obsolete =
        |value: &Value| version_of(value).is_some_and(|version| !versions.contains(&version));
    loop {
        let first = array.iter().position(is_obsolete);
        let Some(position) = first else { break };
        let removed = array.remove(position);
        if let (0, Some(first)) = (position, array.get_mut(0)) {
            let prefix = removed.decor().prefix().cloned().unwrap_or_default();
            first.decor_mut().set_prefix(prefix);
        }
    }
    for version in versions {
        if !array
            .iter()
            .any(|value| version_of(value).as_ref() == Some(version))
        {
            append(array, version);
        }
    }
}

/// Adds a version in the layout of the array: on its own line if the last entry is on its own line,
/// and after the comments that follow the last entry.
fn append(array: &mut Array, version: &Version) {
    let trailing = text(Some(array.trailing()));
    let last = array
        .len()
        .checked_sub(1)
        .and_then(|last| array.get_mut(last));
    let is_first = last.is_none();
    let (prefix, suffix) = last.map_or_else(Default::default, |last| {
        let suffix = text(last.decor().suffix());
        last.decor_mut().set_suffix("");
        (text(last.decor().prefix()), suffix)
    });
    let after = format!("{suffix}{trailing}");
    let indent = match prefix.rsplit_once('\n') {
        Some((_, indent)) => Some(indent),
        None => after.contains('\n').then_some("  "),
    };
    let mut value = Value::from(version.to_string());
    if let Some(indent) = indent {
        let (comments, end) = after.rsplit_once('\n').unwrap_or_default();
        value
            .decor_mut()
            .set_prefix(format!("{comments}\n{indent}"));
        array.set_trailing(format!("\n{end}"));
        array.set_trailing_comma(true);
    } else {
        value
            .decor_mut()
            .set_prefix(if is_first { "" } else { " " });
        value.decor_mut().set_suffix(suffix);
    }
    array.push_formatted(value);
}

fn text(raw: Option<&RawString>) -> String {
    raw.and_then(RawString::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// One block that contains all lines that differ.
struct ChangedBlock {
    start: usize,
    before_end: usize,
    after_end: usize,
}

impl ChangedBlock {
    fn between(before: &[&str], after: &[&str]) -> Self {
        let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
        let rest = (&before[start..], &after[start..]);
        let same_end = rest
            .0
            .iter()
            .rev()
            .zip(rest.1.iter().rev())
            .take_while(|(a, b)| a == b)
            .count();
        Self {
            start,
            before_end: before.len() - same_end,
            after_end: after.len() - same_end,
        }
    }
}

/// Returns `edited` with the line endings of `text`: unchanged lines keep theirs, new lines get the
/// most frequent ones. `unix` is `text` with LF only.
fn with_endings_of(text: &str, unix: &str, edited: &str) -> String {
    let crlf = text.matches("\r\n").count();
    if crlf == 0 {
        return edited.to_owned();
    }
    let end = if crlf * 2 >= unix.matches('\n').count() {
        "\r\n"
    } else {
        "\n"
    };
    let original: Vec<&str> = text.split_inclusive('\n').collect();
    let lines = |text| -> Vec<&str> { str::split_inclusive(text, '\n').collect() };
    let (before, after) = (lines(unix), lines(edited));
    let ChangedBlock {
        start,
        before_end,
        after_end,
    } = ChangedBlock::between(&before, &after);
    let changed = after[start..after_end]
        .iter()
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => format!("{line}{end}"),
            None => (*line).to_owned(),
        });
    [
        original[..start].concat(),
        changed.collect(),
        original[before_end..].concat(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdraw(text: &str, versions: &str) -> String {
        let versions: Vec<Version> = versions
            .split_whitespace()
            .map(|text| text.parse().unwrap())
            .collect();
        Edit::withdraw(text, &versions).unwrap().after
    }

    #[test]
    fn a_version_is_changed_only_where_it_is_written() {
        let bump = |text: &str| {
            let (from, to) = (Version::new(1, 2, 3), Version::new(1, 2, 4));
            Edit::version(text, &from, &to).map(|edit| edit.after)
        };
        for (before, after) in [
            (
                "# top\n[image] # i\nname = \"a\"\nversion  = \"1.2.3\" # now\n",
                "# top\n[image] # i\nname = \"a\"\nversion  = \"1.2.4\" # now\n",
            ),
            (
                "[image]\r\nversion = '1.2.3'\r\n[labels]\r\nversion = \"1.2.3\"\r\n",
                "[image]\r\nversion = \"1.2.4\"\r\n[labels]\r\nversion = \"1.2.3\"\r\n",
            ),
            (
                "image = { version = \"1.2.3\", name = \"a\" }\n",
                "image = { version = \"1.2.4\", name = \"a\" }\n",
            ),
            ("image.version = \"1.2.3\"\n", "image.version = \"1.2.4\"\n"),
        ] {
            assert_eq!(bump(before).unwrap(), after);
        }
        for text in [
            "[image]\nversion = \"{{ matrix.v }}\"\n",
            "[image]\n",
            "[image\n",
        ] {
            assert!(bump(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_edit_keeps_the_layout() {
        for (before, versions, after) in [
            (
                "[tags]\nwithdrawn = [\"1.0.0\"] # bad\n",
                "1.0.0 1.1.0",
                "[tags]\nwithdrawn = [\"1.0.0\", \"1.1.0\"] # bad\n",
            ),
            (
                "[tags] # t\nlatest = \"auto\"\n\n[labels]\na = \"b\"\n",
                "1.1.0",
                "[tags] # t\nlatest = \"auto\"\nwithdrawn = [\"1.1.0\"]\n\n[labels]\na = \"b\"\n",
            ),
            (
                "# top\n[image]\nname = \"a\"\n# end\n",
                "1.1.0",
                "# top\n[image]\nname = \"a\"\n# end\n\n[tags]\nwithdrawn = [\"1.1.0\"]\n",
            ),
            (
                "tags.latest = \"auto\"\n[image]\n",
                "1.1.0",
                "tags.latest = \"auto\"\ntags.withdrawn = [\"1.1.0\"]\n[image]\n",
            ),
            (
                "tags.withdrawn = [\"1.0.0\"]\n[image]\n",
                "1.1.0",
                "tags.withdrawn = [\"1.1.0\"]\n[image]\n",
            ),
            (
                "tags = { latest = \"auto\" }\n[image]\n",
                "1.1.0",
                "tags = { latest = \"auto\", withdrawn = [\"1.1.0\"] }\n[image]\n",
            ),
            (
                "tags = { withdrawn = [ \"1.0.0\" ] }\n",
                "1.0.0 1.1.0",
                "tags = { withdrawn = [ \"1.0.0\", \"1.1.0\" ] }\n",
            ),
            (
                "[tags]\nwithdrawn = [\"1.0.0\", \"1.1.0\"]\n",
                "1.1.0",
                "[tags]\nwithdrawn = [\"1.1.0\"]\n",
            ),
            (
                "[tags]\nwithdrawn = [\"1.0.0\"]\n",
                "",
                "[tags]\nwithdrawn = []\n",
            ),
            (
                "[tags]\nwithdrawn = [\"{{ vars.bad }}\"]\n",
                "1.1.0",
                "[tags]\nwithdrawn = [\"{{ vars.bad }}\", \"1.1.0\"]\n",
            ),
            (
                "[tags]\nwithdrawn = [\n    \"1.0.0\", # broken\n    # and more\n]\n",
                "1.0.0 1.1.0",
                "[tags]\nwithdrawn = [\n    \"1.0.0\", # broken\n    # and more\n    \"1.1.0\",\n]\n",
            ),
            (
                "[tags]\nwithdrawn = [\n  \"1.0.0\" # broken\n]\n",
                "1.0.0 1.1.0",
                "[tags]\nwithdrawn = [\n  \"1.0.0\", # broken\n  \"1.1.0\",\n]\n",
            ),
            (
                "[tags]\r\nwithdrawn = [\r\n\t\"1.0.0\",\r\n]\r\n",
                "1.0.0 1.1.0 1.2.0",
                "[tags]\r\nwithdrawn = [\r\n\t\"1.0.0\",\r\n\t\"1.1.0\",\r\n\t\"1.2.0\",\r\n]\r\n",
            ),
            (
                "[image]\r\nname = \"a\"",
                "1.1.0",
                "[image]\r\nname = \"a\"\r\n\r\n[tags]\r\nwithdrawn = [\"1.1.0\"]\r\n",
            ),
        ] {
            assert_eq!(withdraw(before, versions), after, "{before}");
            assert_eq!(
                withdraw(after, versions),
                after,
                "the same edit again changes nothing"
            );
        }
    }

    #[test]
    fn a_diff_shows_the_lines_around_the_change() {
        let edit = Edit::withdraw(
            "a = 1\nb = 2\nc = 3\nd = 4\n[tags]\nlatest = \"auto\"\n",
            &[Version::new(1, 1, 0)],
        )
        .unwrap();
        assert_eq!(
            edit.diff("app/image.toml"),
            "--- app/image.toml\n+++ app/image.toml\n@@ -4,3 +4,4 @@\n d = 4\n [tags]\n latest = \"auto\"\n+withdrawn = [\"1.1.0\"]\n"
        );
        assert!(!edit.is_empty());
    }
}
