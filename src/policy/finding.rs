//! Converts the finding of a rule to a [`Diagnostic`] with severity, image and location.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, KeyFinder, Label};

/// The name of the workspace file in reports.
pub(super) const WORKSPACE_FILE: &str = "golden.toml";

/// A path of keys in a file.
pub(super) type KeyPath = Vec<String>;

/// One violation of a rule.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finding {
    pub(crate) message: String,
    /// The key of image.toml or of `[defaults]` that violates the rule. If the key does not exist,
    /// the report shows its nearest table.
    pub(super) key: KeyPath,
    /// The key below `[policy]` that enables the rule.
    pub(super) required_by: KeyPath,
    /// The text under the marked key.
    pub(super) note: String,
    pub(super) help: Option<String>,
    /// The hint for an image that another publisher owns, if it differs.
    pub(super) foreign_help: Option<String>,
    /// True if the value at `key` looks like a credential, which reports must not show.
    pub(super) hide_value: bool,
}

impl Finding {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// Sets the key of the image that violates the rule, and the text under it.
    pub(super) fn key(mut self, path: &[&str], note: &str) -> Self {
        self.key = path.iter().map(|part| (*part).to_owned()).collect();
        note.clone_into(&mut self.note);
        self
    }

    /// Sets the key below `[policy]` that enables the rule.
    pub(super) fn required_by(mut self, path: &[&str]) -> Self {
        self.required_by = path.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// Adds a hint about the correction.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Replaces the hint for an image that another publisher owns.
    pub(super) fn foreign_help(mut self, help: impl Into<String>) -> Self {
        self.foreign_help = Some(help.into());
        self
    }

    /// Hides the value at the key in reports.
    pub(super) fn hiding_value(mut self) -> Self {
        self.hide_value = true;
        self
    }
}

/// Adds the locations of a finding to its diagnostic.
pub(super) fn locate(
    diagnostic: &mut Diagnostic,
    finding: &Finding,
    file: &Path,
    places: &dyn KeyFinder,
) {
    let key: Vec<&str> = finding.key.iter().map(String::as_str).collect();
    let from_defaults: Vec<&str> = std::iter::once("defaults")
        .chain(key.iter().copied())
        .collect();
    let exact = [(file, &key), (Path::new(WORKSPACE_FILE), &from_defaults)]
        .into_iter()
        .find_map(|(file, path)| Some((file, path, places.key(file, path)?)));
    if let Some((file, path, span)) = exact {
        if finding.hide_value
            && let Some(value) = places.value(file, path)
        {
            diagnostic.hidden.push((file.to_owned(), value));
        }
        let span = if finding.hide_value {
            span
        } else {
            places.value(file, path).unwrap_or(span)
        };
        diagnostic.labels.push(Label {
            file: file.to_owned(),
            span,
            text: finding.note.clone(),
        });
    } else if let Some(span) = nearest(file, &key, places) {
        diagnostic.labels.push(Label {
            file: file.to_owned(),
            span,
            text: finding.note.clone(),
        });
    }
    let policy_key: Vec<&str> = std::iter::once("policy")
        .chain(finding.required_by.iter().map(String::as_str))
        .collect();
    let policy_file = Path::new(WORKSPACE_FILE);
    let policy_span = places
        .value(policy_file, &policy_key)
        .or_else(|| places.key(policy_file, &policy_key));
    if let Some(span) = policy_span.filter(|_| policy_key.len() > 1) {
        let text = "required here".to_owned();
        diagnostic.labels.push(Label {
            file: PathBuf::from(WORKSPACE_FILE),
            span,
            text,
        });
    }
}

/// The span of the nearest existing table to which the key would be added, or of `[image]`.
fn nearest(file: &Path, key: &[&str], places: &dyn KeyFinder) -> Option<std::ops::Range<usize>> {
    (1..key.len())
        .rev()
        .find_map(|length| places.key(file, &key[..length]))
        .or_else(|| places.key(file, &["image"]))
}
