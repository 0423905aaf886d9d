//! Checks `[[notify]]` for errors that serde cannot detect.

use std::collections::BTreeSet;
use std::path::Path;

use super::table_entry::TableEntry;
use crate::config_files::WorkspaceSpec;
use crate::config_files::notify_table::{NotifyTable, problem_of_url};

use crate::diagnostic::{Diagnostics, KeyFinder};

/// The keys of which each table has exactly one.
const RECEIVERS: [&str; 3] = ["url", "url_env", "command"];

/// Checks the receivers of notifications of a workspace.
pub(super) fn check(
    spec: &WorkspaceSpec,
    file: &Path,
    places: &dyn KeyFinder,
    found: &mut Diagnostics,
) {
    let mut names = BTreeSet::new();
    for (n, table) in spec.notify.iter().enumerate() {
        let entry = TableEntry::new("notify", n, file, places);
        if !entry.has("name") {
            let message = "`name` is missing in [[notify]]".to_owned();
            found.push(entry.error("name", "spec.missing", message));
        }
        let named: Vec<&str> = RECEIVERS.into_iter().filter(|key| entry.has(key)).collect();
        match named.as_slice() {
            [_] => {}
            [] => {
                let message = "[[notify]] needs `url`, `url_env` or `command`".to_owned();
                found.push(entry.error("url", "spec.missing", message));
            }
            [_, second, ..] => {
                let message =
                    "[[notify]] has exactly one of `url`, `url_env` and `command`".to_owned();
                found.push(entry.error(second, "spec.value", message));
            }
        }
        if let Some(name) = table.name.as_ref().filter(|name| !names.insert(*name)) {
            let message = format!("two receivers have the name `{name}`");
            found.push(entry.error("name", "spec.value", message));
        }
        for (key, message) in mistakes(table) {
            found.push(entry.error(key, "spec.value", message));
        }
        found.extend(entry.globs(table.images.iter().flatten()));
    }
}

/// The keys with a wrong value, and the problems.
fn mistakes(table: &NotifyTable) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if let Some(problem) = table
        .url
        .as_deref()
        .and_then(|url| problem_of_url(url, table.token_env.is_some()))
    {
        found.push(("url", problem));
    }
    if let Some(command) = &table.command {
        if command.first().is_none_or(String::is_empty) {
            let message = "the command needs at least its program";
            found.push(("command", message.to_owned()));
        }
        if table.token_env.is_some() {
            let message = "a command receives no token; `token_env` belongs to a URL";
            found.push(("token_env", message.to_owned()));
        }
    }
    for (key, name) in [("url_env", &table.url_env), ("token_env", &table.token_env)] {
        let is_invalid = |name: &&String| name.is_empty() || name.contains(['=', '\0', ' ', '$']);
        if let Some(name) = name.as_ref().filter(is_invalid) {
            let message = format!("`{name}` is not the name of an environment variable");
            found.push((key, message));
        }
    }
    found
}
