//! Checks `[[gate]]` for errors that serde cannot detect.

use std::collections::BTreeSet;
use std::path::Path;

use super::table_entry::TableEntry;
use crate::config_files::WorkspaceSpec;
use crate::config_files::gate_table::{PLACEHOLDERS, in_braces};

use crate::diagnostic::{Diagnostics, KeyFinder};
use crate::suggest::closest;

/// Checks the gates of a workspace.
pub(super) fn check(
    spec: &WorkspaceSpec,
    file: &Path,
    places: &dyn KeyFinder,
    found: &mut Diagnostics,
) {
    let mut names = BTreeSet::new();
    for (n, gate) in spec.gate.iter().enumerate() {
        let entry = TableEntry::new("gate", n, file, places);
        for key in ["name", "command"] {
            if !entry.has(key) {
                let message = format!("`{key}` is missing in [[gate]]");
                found.push(entry.error(key, "spec.missing", message));
            }
        }
        let mut refuse = |key: &str, message: String| {
            found.push(entry.error(key, "spec.value", message));
        };
        if entry.has("command") && gate.command.first().is_none_or(String::is_empty) {
            refuse(
                "command",
                "the command needs at least its program".to_owned(),
            );
        }
        if let Some(name) = gate.name.as_ref().filter(|name| !names.insert(*name)) {
            refuse("name", format!("two gates have the name `{name}`"));
        }
        for word in &gate.command {
            if let Some((written, similar)) = unknown(word) {
                let message =
                    format!("`{{{written}}}` is not a placeholder; did you mean `{{{similar}}}`?");
                refuse("command", message);
            }
        }
        for exception in &gate.except {
            if exception.id.trim().is_empty() {
                let message = "the id of an exception is empty; write the rule ID of the results, \
                    such as \"CVE-2026-1\"";
                refuse("except", message.to_owned());
            }
            if exception.reason.trim().is_empty() {
                let message = format!("the exception for `{}` has no reason", exception.id);
                refuse("except", message);
            }
        }
        found.extend(entry.globs(gate.images.iter().flatten()));
    }
}

/// A word in braces that resembles a placeholder, and that placeholder.
fn unknown(text: &str) -> Option<(&str, &'static str)> {
    in_braces(text).find_map(|name| {
        let is_known = PLACEHOLDERS.contains(&name);
        let similar = closest(name, PLACEHOLDERS).filter(|_| !is_known)?;
        Some((name, similar))
    })
}
