//! The instructions of an imported Dockerfile as text and as JSON.

use serde_json::{Value, json};

use super::table::TextTable;
use crate::app::import::ImportedImage;
use crate::import::Outcome;

/// A line for each instruction: its line number, the instruction and its outcome.
#[must_use]
pub fn imported(image: &ImportedImage) -> String {
    let mut table = TextTable::default();
    for line in &image.lines {
        table.row([
            line.line.to_string(),
            line.instruction.clone(),
            line.outcome.to_string(),
        ]);
    }
    table.to_string()
}

/// The same as JSON, with the files that were written.
#[must_use]
pub fn imported_json(image: &ImportedImage) -> Value {
    let lines = image.lines.iter().map(|line| {
        let (outcome, reason) = match &line.outcome {
            Outcome::Declared => ("declared", None),
            Outcome::Step => ("step", None),
            Outcome::LeftOut(reason) => ("left_out", Some(reason)),
        };
        let mut value = json!({
            "line": line.line,
            "instruction": line.instruction,
            "outcome": outcome,
        });
        if let Some(reason) = reason {
            value["reason"] = json!(reason);
        }
        value
    });
    let files = std::iter::once(&image.image.file).chain(&image.files);
    json!({ "files": files.collect::<Vec<_>>(), "instructions": lines.collect::<Vec<_>>() })
}
