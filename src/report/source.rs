//! Shows findings as text: the message, the source line with a mark, and the next step.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::out::Out;
use super::place::{ReportLocation, files};
use super::text::{count, masked, more, visible};
use crate::diagnostic::{Diagnostic, Diagnostics, Label, Severity, SourceMap};

/// The maximum length of a source line in bytes. For a longer line, only its position is shown.
const MAX_LINE_LENGTH: usize = 4096;

/// The maximum number of source lines of one finding.
const MAX_LINES: usize = 40;

/// The maximum number of findings that are shown; the others are only counted.
const MAX_FINDINGS: usize = 100;

/// The findings that are shown, in their order. If there are too many, warnings are omitted first.
fn most_important<'g, 'd, T>(
    groups: &'g [(&'d Diagnostic, T)],
) -> impl Iterator<Item = &'g (&'d Diagnostic, T)> {
    let is_error = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
    let errors = groups
        .iter()
        .filter(|(diagnostic, _)| is_error(diagnostic))
        .count();
    let mut errors = errors.min(MAX_FINDINGS);
    let mut others = MAX_FINDINGS - errors;
    groups.iter().filter(move |(diagnostic, _)| {
        let left = if is_error(diagnostic) {
            &mut errors
        } else {
            &mut others
        };
        let is_shown = *left > 0;
        *left = left.saturating_sub(1);
        is_shown
    })
}

/// Shows findings and a summary line.
pub(super) fn draw(out: &Out, found: &Diagnostics, sources: &SourceMap) {
    draw_each(out, found, sources);
    let shown = found
        .iter()
        .filter(|d| !out.quiet || d.severity == Severity::Error);
    let groups = grouped(shown);
    if let Some(line) = summary(groups.iter().map(|(diagnostic, _)| *diagnostic)) {
        out.error(&line);
    }
}

/// Shows findings, without a summary line.
pub(super) fn draw_each(out: &Out, found: &Diagnostics, sources: &SourceMap) {
    let masked = mask(found, sources);
    let renderer = if out.color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let renderer = renderer
        .decor_style(DecorStyle::Ascii)
        .term_width(out.width);
    let shown = || {
        found
            .iter()
            .filter(|d| !out.quiet || d.severity == Severity::Error)
    };
    let groups = grouped(shown());
    for (diagnostic, images) in most_important(&groups) {
        let group = group(diagnostic, images, &masked, sources);
        out.error(&format!("{}\n", renderer.render(&[group])));
    }
    if groups.len() > MAX_FINDINGS {
        let rest = more(groups.len() - MAX_FINDINGS, "finding");
        out.error(&format!(
            "... and {rest}; `--format json` lists all of them\n"
        ));
    }
}

/// Merges findings that differ only in their image, such as those of the rows of a matrix.
fn grouped<'d>(found: impl Iterator<Item = &'d Diagnostic>) -> Vec<(&'d Diagnostic, Vec<&'d str>)> {
    let mut groups: Vec<(&Diagnostic, Vec<&str>)> = Vec::new();
    let mut seen: BTreeMap<_, usize> = BTreeMap::new();
    for diagnostic in found {
        let places: Vec<_> = diagnostic
            .labels
            .iter()
            .map(|l| (&l.file, l.span.start, l.span.end))
            .collect();
        let key = (places.clone(), &diagnostic.rule, &diagnostic.message);
        let image = diagnostic.image.as_deref();
        match seen.get(&key) {
            Some(index) if !places.is_empty() => groups[*index].1.extend(image),
            _ => {
                seen.insert(key, groups.len());
                groups.push((diagnostic, image.into_iter().collect()));
            }
        }
    }
    groups
}

/// The summary line, such as `error: 3 errors, 1 warning in 2 files`.
fn summary<'d>(found: impl Iterator<Item = &'d Diagnostic>) -> Option<String> {
    let found: Vec<&Diagnostic> = found.collect();
    let errors = found
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .count();
    let warnings = found.len() - errors;
    let head = if errors > 0 { "error" } else { "warning" };
    let counts = [(errors, "error"), (warnings, "warning")];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, noun)| count(n, noun))
        .collect();
    let files = files(found.iter().copied());
    let within = if files > 0 {
        format!(" in {}", count(files, "file"))
    } else {
        String::new()
    };
    (!counts.is_empty()).then(|| format!("{head}: {}{within}", counts.join(", ")))
}

/// Converts a finding to a group of annotate-snippets.
fn group<'a>(
    diagnostic: &'a Diagnostic,
    images: &[&'a str],
    masked: &'a BTreeMap<PathBuf, String>,
    sources: &'a SourceMap,
) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(visible(&diagnostic.message))
        .id(visible(&diagnostic.rule));
    let mut group = Group::with_title(title);
    for (file, labels) in by_file(&diagnostic.labels) {
        let text = masked
            .get(file)
            .map(String::as_str)
            .or_else(|| sources.text(file));
        group = match text.and_then(|text| snippet(diagnostic, &labels, text, sources)) {
            Some(snippet) => group.element(snippet),
            None => group.element(origin(labels[0], sources)),
        };
    }
    if !images.is_empty() {
        group = group.element(Level::NOTE.message(image_note(images)));
    }
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(visible(help))),
        None => group,
    }
}

fn image_note(images: &[&str]) -> String {
    const MAX_IMAGES: usize = 4;
    match images {
        [one] => format!("image {one}"),
        few if few.len() <= MAX_IMAGES => format!("images {}", few.join(", ")),
        many => format!(
            "images {} and {} more",
            many[..MAX_IMAGES - 1].join(", "),
            many.len() - (MAX_IMAGES - 1)
        ),
    }
}

/// Groups labels by file, in the order in which the files first appear.
fn by_file(labels: &[Label]) -> Vec<(&Path, Vec<&Label>)> {
    let mut files: Vec<(&Path, Vec<&Label>)> = Vec::new();
    for label in labels {
        match files.iter_mut().find(|(file, _)| *file == label.file) {
            Some((_, labels)) => labels.push(label),
            None => files.push((&label.file, vec![label])),
        }
    }
    files
}

/// The position of a label, without its source text.
fn origin<'a>(label: &Label, sources: &SourceMap) -> Origin<'a> {
    let place = ReportLocation::of(label, sources);
    let origin = Origin::path(visible(&place.file).into_owned());
    match place.start {
        Some(start) => origin.line(start.line).char_column(start.column),
        None => origin,
    }
}

/// The source lines of the labels in one file, with marks. `None` if the lines are too long or too
/// many.
fn snippet<'a>(
    diagnostic: &Diagnostic,
    labels: &[&'a Label],
    text: &'a str,
    sources: &SourceMap,
) -> Option<Snippet<'a, Annotation<'a>>> {
    let spans: Vec<Range<usize>> = labels
        .iter()
        .map(|label| within(&label.span, text))
        .collect();
    let start = spans.iter().map(|span| span.start).min()?;
    let end = spans.iter().map(|span| span.end).max()?;
    let from = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let to = text[end..]
        .find('\n')
        .map_or(text.len(), |newline| end + newline);
    let window = masked(&text[from..to]);
    if window.lines().any(|line| line.len() > MAX_LINE_LENGTH)
        || window.len() > MAX_LINE_LENGTH * MAX_LINES
    {
        return None;
    }
    let annotations = labels.iter().zip(&spans).map(|(label, span)| {
        let main = diagnostic
            .labels
            .first()
            .is_some_and(|first| std::ptr::eq(first, *label));
        let kind = if main {
            AnnotationKind::Primary
        } else {
            AnnotationKind::Context
        };
        let span = shortened(&window, span.start - from..span.end - from);
        kind.span(span)
            .label((!label.text.is_empty()).then(|| visible(&label.text)))
    });
    let path = visible(&ReportLocation::of(labels[0], sources).file).into_owned();
    let line = text[..from].bytes().filter(|byte| *byte == b'\n').count() + 1;
    let annotations: Vec<_> = annotations.collect();
    Some(
        Snippet::source(window)
            .line_start(line)
            .path(path)
            .annotations(annotations),
    )
}

/// Limits a span to the text and to character boundaries.
fn within(span: &Range<usize>, text: &str) -> Range<usize> {
    let start = floor(text, span.start);
    start..floor(text, span.end).max(start)
}

fn floor(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// Limits a span of more than three line breaks, such as a whole script, to its first line.
fn shortened(window: &str, span: Range<usize>) -> Range<usize> {
    match window[span.clone()].match_indices('\n').nth(3) {
        Some(_) => {
            let first = window[span.clone()].find('\n').unwrap_or_default();
            span.start..span.start + first
        }
        None => span,
    }
}

/// The texts of the files that contain hidden parts, such as passwords. Each part is replaced by
/// `***` and spaces of the same length, so that offsets do not change.
fn mask(found: &Diagnostics, sources: &SourceMap) -> BTreeMap<PathBuf, String> {
    let mut masked: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for (file, span) in found.iter().flat_map(|diagnostic| &diagnostic.hidden) {
        let Some(text) = sources.text(file) else {
            continue;
        };
        let bytes = masked
            .entry(file.clone())
            .or_insert_with(|| text.as_bytes().to_vec());
        for (index, byte) in bytes[within(span, text)].iter_mut().enumerate() {
            if *byte != b'\n' {
                *byte = if index < 3 { b'*' } else { b' ' };
            }
        }
    }
    let text = |bytes: Vec<u8>| match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    };
    masked
        .into_iter()
        .map(|(file, bytes)| (file, text(bytes)))
        .collect()
}
