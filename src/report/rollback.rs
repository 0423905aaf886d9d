//! A rollback as text.

use semver::Version;

use super::Out;
use super::table::TextTable;
use super::text::count;
use crate::app::rollback::{FileEdit, PlannedRollback, RollbackRow};
use crate::publish::rollback::RollbackTag;
use crate::reference::Digest;

/// Shows the edits of a rollback, and a table of the tags that it moves.
pub fn show(out: &Out, rollback: &PlannedRollback) {
    let mut table = TextTable::default();
    for RollbackRow { done, .. } in &rollback.images {
        for RollbackTag { tag, previous } in &done.tags {
            let was = previous
                .as_ref()
                .map_or_else(|| "nothing".to_owned(), Digest::short);
            let what = match previous {
                Some(previous) if *previous == done.digest => "same",
                Some(_) => "move",
                None => "create",
            };
            table.row([
                what.to_owned(),
                format!("{}:{tag}", done.repository),
                format!("{was} → {} ({})", done.digest.short(), done.version),
            ]);
        }
    }
    for edit in &rollback.edits {
        out.data(&edit.diff);
    }
    out.data(&table.to_string());
}

/// The start of the next step, such as `commit app/image.toml, then `. Empty if no file is edited.
#[must_use]
pub fn commit_first(edits: &[FileEdit]) -> String {
    let files: Vec<String> = edits
        .iter()
        .map(|edit| edit.file.display().to_string())
        .collect();
    match files.as_slice() {
        [] => String::new(),
        files => format!("commit {}, then ", files.join(" and ")),
    }
}

/// Explains in a clause why the rollback of an image moves no tag.
#[must_use]
pub fn nothing_to_move(image: &str, version: &Version, rollback: &PlannedRollback) -> String {
    if rollback.images.iter().all(|row| row.done.tags.is_empty()) {
        format!("{image} has no moving tags")
    } else {
        format!("the moving tags of {image} already point to {version}")
    }
}

/// The action to confirm, such as `move 3 tags of app to 1.2.3`.
#[must_use]
pub fn question(image: &str, version: &Version, rollback: &PlannedRollback) -> String {
    let tags = rollback.moving_tags();
    let files: Vec<String> = rollback
        .edits
        .iter()
        .map(|edit| edit.file.display().to_string())
        .collect();
    let edit = if files.is_empty() {
        String::new()
    } else {
        format!(" and edit {}", files.join(", "))
    };
    format!("move {} of {image} to {version}{edit}", count(tags, "tag"))
}
