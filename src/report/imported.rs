//! The instructions of an imported Dockerfile as text and as JSON.

use serde_json::{Value, json};

use super::table::TextTable;
use crate::app::bake::{ImportedTarget, ImportedTargets};
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

/// A line for each instruction of each target, and for each key that is left out.
#[must_use]
pub fn imported_targets(imported: &ImportedTargets) -> String {
    let mut table = TextTable::default();
    for ImportedTarget {
        name,
        image,
        left_out,
    } in &imported.targets
    {
        for (key, reason) in left_out {
            table.row([name.as_str(), "", key, &format!("left out: {reason}")]);
        }
        match image {
            Ok(image) => {
                for line in &image.lines {
                    let (number, outcome) = (line.line.to_string(), line.outcome.to_string());
                    table.row([name.as_str(), &number, &line.instruction, &outcome]);
                }
            }
            Err(error) => drop(table.row([name.as_str(), "", "", &format!("left out: {error}")])),
        }
    }
    table.to_string()
}

/// The same as JSON.
#[must_use]
pub fn imported_targets_json(imported: &ImportedTargets) -> Value {
    let target = |target: &ImportedTarget| {
        let mut value = match &target.image {
            Ok(image) => imported_json(image),
            Err(error) => json!({ "error": error.to_string() }),
        };
        value["target"] = json!(target.name);
        let left_out = target.left_out.iter();
        let left_out = left_out.map(|(key, reason)| json!({ "key": key, "reason": reason }));
        value["left_out"] = left_out.collect();
        value
    };
    json!({ "targets": imported.targets.iter().map(target).collect::<Vec<_>>() })
}

/// The instructions as JSON, with the files that were written.
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
