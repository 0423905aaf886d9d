//! The difference between two images as text, and as Markdown for release notes.

use std::fmt::Write as _;

use serde_json::Value;

use super::table::TextTable;
use super::text::{bytes, growth, more, one_line};
use crate::app::diff::ComparedImages;
use crate::app::plan_diff::{DiffResult, PlannedDiff};
use crate::inventory::{
    BaseLabels, ComparedProperties, ConfigDifference, Entries, FileChange, FileDescription,
    ImageDifference, NamedChange, NamedValue, PackageChange, PackageEntry, SizeChange,
};

/// The most files that are shown of each kind of change.
const FILES: usize = 100;

/// One line about a difference: a sign, the name, and the value or both values.
struct DifferenceLine {
    sign: char,
    name: String,
    values: String,
}

/// The text of `golden diff`.
#[must_use]
pub fn text(compared: &ComparedImages) -> String {
    let difference = &compared.difference;
    let mut text = format!("- {}\n+ {}\n", compared.from, compared.to);
    for (title, lines, hidden) in sections(difference) {
        let mut table = TextTable::default();
        for line in &lines {
            table.row([
                format!("  {} {}", line.sign, line.name),
                line.values.clone(),
            ]);
        }
        // Writing into a String cannot fail.
        let _ = write!(text, "\n{title}\n{table}");
        if let Some(hidden) = hidden {
            let _ = writeln!(text, "  {hidden}");
        }
    }
    if difference.is_empty() {
        text.push_str("\nThe images have the same base, config, packages and files.\n");
    }
    let _ = writeln!(text, "\nsize: {}", size(difference.size));
    if let Some(bases) = &compared.bases {
        let _ = write!(text, "\nThe bases:\n{}", self::text(bases));
    }
    text
}

/// The text of `golden plan --diff`, after the plan.
#[must_use]
pub fn planned(diffs: &[PlannedDiff]) -> String {
    let mut all = String::new();
    for diff in diffs {
        // Writing into a String cannot fail.
        let _ = match &diff.result {
            DiffResult::Compared { diff, .. } => write!(all, "\n{}", text(diff)),
            DiffResult::Skipped { because } => {
                writeln!(all, "\n{} is not compared: {because}", diff.image)
            }
        };
    }
    all
}

/// The Markdown of `golden diff`.
#[must_use]
pub fn markdown(compared: &ComparedImages) -> String {
    let difference = &compared.difference;
    let (from, to) = (code(&compared.from), code(&compared.to));
    let mut text = format!("## {from} → {to}\n\n");
    for (title, lines, hidden) in sections(difference) {
        let _ = writeln!(text, "### {}\n", capitalized(title));
        for line in &lines {
            let values = if line.values.is_empty() {
                String::new()
            } else {
                format!(" {}", code(&line.values))
            };
            let verb = match line.sign {
                '+' => "added",
                '-' => "removed",
                _ => "changed",
            };
            let _ = writeln!(text, "- {verb} {}{values}", code(&line.name));
        }
        if let Some(hidden) = hidden {
            let _ = writeln!(text, "- {hidden}");
        }
        text.push('\n');
    }
    if difference.is_empty() {
        text.push_str("The images have the same base, config, packages and files.\n\n");
    }
    let _ = writeln!(text, "Size: {}", size(difference.size));
    if let Some(bases) = &compared.bases {
        let _ = write!(text, "\n{}", markdown(bases));
    }
    text
}

/// The parts that differ: their title, their lines, and a note about lines that are not shown.
fn sections(
    difference: &ImageDifference,
) -> Vec<(&'static str, Vec<DifferenceLine>, Option<String>)> {
    let ImageDifference {
        base,
        config,
        packages,
        files,
        size: _,
    } = difference;
    let mut base_lines = Vec::new();
    if base.from != base.to {
        base_lines.push(DifferenceLine {
            sign: '~',
            name: "base".to_owned(),
            values: arrow(&base_text(base.from.as_ref()), &base_text(base.to.as_ref())),
        });
    }
    let shown = |total: usize| total.min(FILES);
    let hidden = [files.added.len(), files.removed.len(), files.changed.len()]
        .map(|total| total - shown(total))
        .iter()
        .sum();
    let hidden_files =
        (hidden > 0).then(|| format!("and {}; --format json lists all", more(hidden, "file")));
    let all = [
        ("base", base_lines, None),
        ("packages", package_lines(packages), None),
        ("config", config_lines(config), None),
        ("files", file_lines(files), hidden_files),
    ];
    let differing = all.into_iter().filter(|(_, lines, _)| !lines.is_empty());
    differing.collect()
}

fn base_text(base: Option<&BaseLabels>) -> String {
    let Some(base) = base else {
        return "unknown".to_owned();
    };
    let parts = [base.name.as_deref(), base.digest.as_deref()];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    parts.join("@")
}

fn package_lines(packages: &Entries<PackageEntry, PackageChange>) -> Vec<DifferenceLine> {
    let entry = |sign| {
        move |package: &PackageEntry| DifferenceLine {
            sign,
            name: package.name.clone(),
            values: package.version.clone(),
        }
    };
    let changed = |package: &PackageChange| DifferenceLine {
        sign: '~',
        name: package.name.clone(),
        values: format!(
            "{}{}",
            arrow(&package.version.from, &package.version.to),
            if package.security { " (security)" } else { "" }
        ),
    };
    lines(packages, usize::MAX, entry('+'), entry('-'), changed)
}

fn config_lines(config: &ConfigDifference) -> Vec<DifferenceLine> {
    let parts = [
        ("env ", &config.env),
        ("label ", &config.labels),
        ("", &config.settings),
    ];
    let mut all = Vec::new();
    for (prefix, part) in parts {
        let entry = |sign| {
            move |one: &NamedValue| DifferenceLine {
                sign,
                name: format!("{prefix}{}", one.name),
                values: value(&one.value),
            }
        };
        let changed = |one: &NamedChange| DifferenceLine {
            sign: '~',
            name: format!("{prefix}{}", one.name),
            values: arrow(&value(&one.value.from), &value(&one.value.to)),
        };
        all.extend(lines(part, usize::MAX, entry('+'), entry('-'), changed));
    }
    all
}

fn file_lines(files: &Entries<FileDescription, FileChange>) -> Vec<DifferenceLine> {
    let entry = |sign| {
        move |one: &FileDescription| DifferenceLine {
            sign,
            name: one.path.clone(),
            values: described(&one.file),
        }
    };
    let changed = |one: &FileChange| DifferenceLine {
        sign: '~',
        name: one.path.clone(),
        values: changes(&one.file.from, &one.file.to),
    };
    lines(files, FILES, entry('+'), entry('-'), changed)
}

fn lines<T, C>(
    entries: &Entries<T, C>,
    limit: usize,
    added: impl Fn(&T) -> DifferenceLine,
    removed: impl Fn(&T) -> DifferenceLine,
    changed: impl Fn(&C) -> DifferenceLine,
) -> Vec<DifferenceLine> {
    let changed = entries.changed.iter().take(limit).map(changed);
    let added = entries.added.iter().take(limit).map(added);
    let removed = entries.removed.iter().take(limit).map(removed);
    let mut lines: Vec<DifferenceLine> = changed.chain(added).chain(removed).collect();
    for line in &mut lines {
        line.name = one_line(&line.name).into_owned();
        line.values = one_line(&line.values).into_owned();
    }
    lines
}

/// A file in one line, without what is usual.
fn described(file: &ComparedProperties) -> String {
    let mut parts = Vec::new();
    match (&file.target, file.size) {
        (Some(target), _) => parts.push(format!("→ {target}")),
        (None, Some(size)) => parts.push(bytes(size)),
        (None, None) => parts.push(file.kind.to_owned()),
    }
    if file.target.is_none() {
        parts.push(file.mode.clone());
    }
    if file.owner != "0:0" {
        parts.push(file.owner.clone());
    }
    parts.join(", ")
}

/// The properties of a file that differ.
fn changes(from: &ComparedProperties, to: &ComparedProperties) -> String {
    let mut parts = Vec::new();
    let mut note = |name: &str, from: &str, to: &str| {
        if from != to {
            parts.push(format!("{name} {}", arrow(from, to)));
        }
    };
    note("type", from.kind, to.kind);
    note("mode", &from.mode, &to.mode);
    note("owner", &from.owner, &to.owner);
    if let (Some(from), Some(to)) = (&from.target, &to.target) {
        note("target", from, to);
    }
    if let (Some(from), Some(to)) = (from.size, to.size) {
        note("size", &bytes(from), &bytes(to));
    }
    if from.digest != to.digest && from.size == to.size {
        parts.push("content".to_owned());
    }
    parts.join(", ")
}

fn arrow(from: &str, to: &str) -> String {
    format!("{from} → {to}")
}

fn value(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn size(change: SizeChange) -> String {
    let (from, to) = (bytes(change.from), bytes(change.to));
    format!("{} ({})", arrow(&from, &to), growth(change.change))
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

/// A text as inline code, with a fence that does not occur in it.
fn code(text: &str) -> String {
    let text = one_line(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    if longest == 0 {
        return format!("`{text}`");
    }
    let fence = "`".repeat(longest + 1);
    format!("{fence} {text} {fence}")
}
