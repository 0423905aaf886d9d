//! New images of the workspace, and the instructions of imported Dockerfiles, as text and as JSON.

use serde_json::{Value, json};

use super::OutputFormat;
use super::out::Out;
use super::table::TextTable;
use crate::app::bake::{ImportedTarget, ImportedTargets};
use crate::app::import::ImportedImage;
use crate::app::new::NewImage;
use crate::import::InstructionOutcome;

/// Shows a new image and the next step.
pub fn created(out: &Out, format: OutputFormat, image: &NewImage) {
    if format == OutputFormat::Json {
        out.json(&json!({ "files": [image.file] }));
    } else {
        next_step(out, image);
    }
}

/// Shows the outcome of each instruction of a Dockerfile, and the new image.
pub fn imported(out: &Out, format: OutputFormat, imported: &ImportedImage) {
    if format == OutputFormat::Json {
        out.json(&image_json(imported));
        return;
    }
    out.data(&instructions(imported));
    for file in &imported.files {
        out.message(&format!("copied {}", file.display()));
    }
    next_step(out, &imported.image);
}

/// Shows the outcome of each instruction of each target, and the new images.
pub fn imported_targets(out: &Out, format: OutputFormat, imported: &ImportedTargets) {
    if format == OutputFormat::Json {
        out.json(&targets_json(imported));
        return;
    }
    out.data(&targets(imported));
    let images = imported.targets.iter();
    for image in images.filter_map(|target| target.image.as_ref().ok()) {
        next_step(out, &image.image);
    }
}

fn next_step(out: &Out, image: &NewImage) {
    let NewImage {
        name,
        file,
        is_found,
    } = image;
    out.message(&format!("wrote {}", file.display()));
    out.message(&if *is_found {
        format!("next: golden check {name}, then golden build {name}")
    } else {
        format!(
            "add {} to `images` in golden.toml, whose globs do not match it",
            file.display()
        )
    });
}

/// A line for each instruction: its line number, the instruction and its outcome.
fn instructions(image: &ImportedImage) -> String {
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
fn targets(imported: &ImportedTargets) -> String {
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
fn targets_json(imported: &ImportedTargets) -> Value {
    let target = |target: &ImportedTarget| {
        let mut value = match &target.image {
            Ok(image) => image_json(image),
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
fn image_json(image: &ImportedImage) -> Value {
    let lines = image.lines.iter().map(|line| {
        let (outcome, reason) = match &line.outcome {
            InstructionOutcome::Declared => ("declared", None),
            InstructionOutcome::Step => ("step", None),
            InstructionOutcome::LeftOut(reason) => ("left_out", Some(reason)),
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
