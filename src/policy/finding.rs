//! From what a rule found to a [`Diagnostic`]: severity, place in the files, image.

use std::path::{Path, PathBuf};

use super::compile::CompiledPolicy;
use super::rules::RULES;
use super::subject::PolicySubject;
use crate::diagnostic::{Diagnostic, Diagnostics, Label, Places, Severity};
use crate::spec::policy::RuleLevel;

/// The name of the workspace's file, as reports show it.
pub(super) const WORKSPACE_FILE: &str = "golden.toml";

/// A path of keys into a file.
pub(super) type KeyPath = Vec<String>;

/// One thing that a rule found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finding {
    /// What is wrong.
    pub(crate) message: String,
    /// The key of image.toml that is to blame (or of `[defaults]`); its nearest table when the key is not there.
    pub(super) key: KeyPath,
    /// The key below `[policy]` that asks for it.
    pub(super) asked_by: KeyPath,
    /// What is said under the marked key.
    pub(super) note: String,
    /// What to do.
    pub(super) help: Option<String>,
    /// The value at `key` looks like a credential and must not be shown.
    pub(super) hide_value: bool,
}

impl Finding {
    /// A finding with its message.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// Blames a key of the image.
    pub(super) fn key(mut self, path: &[&str], note: &str) -> Self {
        self.key = path.iter().map(|part| (*part).to_owned()).collect();
        note.clone_into(&mut self.note);
        self
    }

    /// Names the key below `[policy]` that asks for it.
    pub(super) fn asked_by(mut self, path: &[&str]) -> Self {
        self.asked_by = path.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// Says what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The value may not be shown.
    pub(super) fn hiding_value(mut self) -> Self {
        self.hide_value = true;
        self
    }
}

/// Applies every rule that is on.
pub(super) fn judge(
    compiled: &CompiledPolicy<'_>,
    subject: &PolicySubject<'_>,
    places: Option<&dyn Places>,
) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    for rule in RULES {
        let severity = match compiled.policy.severity.get(rule.id) {
            Some(RuleLevel::Off) if !rule.fixed => continue,
            Some(RuleLevel::Warn) if !rule.fixed => Severity::Warning,
            Some(RuleLevel::Error) => Severity::Error,
            _ => rule.severity,
        };
        let Some(check) = rule.check else { continue };
        let mut findings = Vec::new();
        check(compiled, subject, &mut findings);
        for finding in findings {
            let mut diagnostic = Diagnostic::error(rule.id, finding.message.clone()).of_policy();
            diagnostic.severity = severity;
            diagnostic.image = Some(subject.name.clone());
            diagnostic.help.clone_from(&finding.help);
            if let (Some(places), Some(file)) = (places, subject.file) {
                locate(&mut diagnostic, &finding, file, places);
            }
            diagnostics.push(diagnostic);
        }
    }
    diagnostics
}

/// Finds the places of a finding in the files.
fn locate(diagnostic: &mut Diagnostic, finding: &Finding, file: &Path, places: &dyn Places) {
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
    let asked_by: Vec<&str> = std::iter::once("policy")
        .chain(finding.asked_by.iter().map(String::as_str))
        .collect();
    let policy_file = Path::new(WORKSPACE_FILE);
    let asked = places
        .value(policy_file, &asked_by)
        .or_else(|| places.key(policy_file, &asked_by));
    if let Some(span) = asked.filter(|_| asked_by.len() > 1) {
        let text = "asked for here".to_owned();
        diagnostic.labels.push(Label {
            file: PathBuf::from(WORKSPACE_FILE),
            span,
            text,
        });
    }
}

/// The place of the nearest table that is there, `[image]` at last, where a key would have to be added.
fn nearest(file: &Path, key: &[&str], places: &dyn Places) -> Option<std::ops::Range<usize>> {
    (1..key.len())
        .rev()
        .find_map(|length| places.key(file, &key[..length]))
        .or_else(|| places.key(file, &["image"]))
}
