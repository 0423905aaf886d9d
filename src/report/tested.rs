//! The results of the tests of images, as text and as JUnit XML.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::text::{count, one_line};
use super::{Out, OutputFormat};
use crate::app::test::{Tested, TestedImage};
use crate::checks::{TestVerdict, TestedPlatform};
use crate::diagnostic::SourceMap;

/// The results of `golden test` as JSON.
#[derive(Serialize)]
struct TestSummary<'a> {
    passed: usize,
    failed: usize,
    #[serde(skip_serializing_if = "is_zero")]
    not_run: usize,
    images: &'a [TestedImage],
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl<'a> TestSummary<'a> {
    /// Counts the results.
    fn of(images: &'a [TestedImage]) -> Self {
        let platforms = || images.iter().flat_map(|image| &image.platforms);
        let all: usize = platforms().map(|platform| platform.tests.len()).sum();
        let failed: usize = platforms().map(TestedPlatform::failed).sum();
        let not_run = platforms().map(not_run).sum();
        Self {
            passed: all - failed - not_run,
            failed,
            not_run,
            images,
        }
    }
}

/// The number of tests that were not run on a platform.
fn not_run(platform: &TestedPlatform) -> usize {
    let tests = platform.tests.iter();
    tests.filter(|test| test.not_run.is_some()).count()
}

/// Shows the results of `golden test`.
pub fn tested(out: &Out, format: OutputFormat, tested: &Tested) {
    match format {
        OutputFormat::Json => out.json(&TestSummary::of(&tested.images)),
        OutputFormat::Junit => out.data(&junit(&tested.images)),
        _ => out.data(&text(&tested.images, &tested.sources)),
    }
}

fn text(images: &[TestedImage], sources: &SourceMap) -> String {
    let mut text = String::new();
    let TestSummary {
        passed,
        failed,
        not_run,
        ..
    } = TestSummary::of(images);
    for image in images {
        for platform in &image.platforms {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{} {}", image.image, platform.platform);
            for test in &platform.tests {
                text.push_str(&verdict(test, sources));
            }
        }
        if image
            .platforms
            .iter()
            .all(|platform| platform.tests.is_empty())
        {
            let _ = writeln!(text, "{}: no tests", image.image);
        }
    }
    let all = count(passed + failed + not_run, "test");
    let rest = match not_run {
        0 => String::new(),
        number => format!(", {number} not run"),
    };
    let _ = writeln!(text, "{all}: {passed} passed, {failed} failed{rest}");
    text
}

/// The failed tests; empty if every test passed.
pub(super) fn failures(platforms: &[TestedPlatform], sources: &SourceMap) -> String {
    let mut text = String::new();
    for platform in platforms.iter().filter(|platform| platform.failed() > 0) {
        if platforms.len() > 1 {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "  {}", platform.platform);
        }
        for test in platform.tests.iter().filter(|test| test.has_failed()) {
            text.push_str(&verdict(test, sources));
        }
    }
    text
}

/// The result of a test: one line, and one for each assertion that does not hold.
fn verdict(test: &TestVerdict, sources: &SourceMap) -> String {
    let title = title(test);
    if test.passed {
        return format!("  passed  {title}\n");
    }
    if let Some(because) = &test.not_run {
        return format!("  not run {title}: {}\n", one_line(because));
    }
    let mut text = format!("  failed  {title}{}\n", location_suffix(test, sources));
    for failure in &test.failures {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "          {}", one_line(&failure.to_string()));
    }
    for (name, line) in output_lines(test) {
        let _ = writeln!(text, "          {name}{}", one_line(&line));
    }
    text
}

/// The command of a failed test and the first lines of its output, each line with its name. A further
/// line of an output has spaces instead.
fn output_lines(test: &TestVerdict) -> Vec<(&'static str, String)> {
    let Some(output) = &test.output else {
        return Vec::new();
    };
    let mut lines = vec![("command: ", output.command.clone())];
    for (name, text) in [("stdout: ", &output.stdout), ("stderr: ", &output.stderr)] {
        let names = std::iter::once(name).chain(std::iter::repeat("        "));
        lines.extend(names.zip(text.lines().map(str::to_owned)));
    }
    lines
}

/// The name and the subject.
fn title(test: &TestVerdict) -> String {
    if test.name == test.subject {
        one_line(&test.name).into_owned()
    } else {
        format!("{} ({})", one_line(&test.name), one_line(&test.subject))
    }
}

/// The file and the line of a test, with a comma before them. Empty if they are unknown.
fn location_suffix(test: &TestVerdict, sources: &SourceMap) -> String {
    let location = &test.location;
    match sources.position(&location.file, location.span.start) {
        Some(position) => format!(
            ", {}:{}",
            sources.shown(&location.file).display(),
            position.line
        ),
        None => String::new(),
    }
}

/// The results as JUnit XML: a suite for each image and platform.
#[must_use]
pub fn junit(images: &[TestedImage]) -> String {
    let TestSummary {
        passed,
        failed,
        not_run,
        ..
    } = TestSummary::of(images);
    let all = passed + failed + not_run;
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "<testsuites name=\"golden\" tests=\"{all}\" failures=\"{failed}\" errors=\"0\"{}>",
        skipped(not_run)
    );
    for image in images {
        for platform in &image.platforms {
            suite(&mut text, &image.image, platform);
        }
    }
    text + "</testsuites>\n"
}

/// The attribute with the number of tests that were not run.
fn skipped(number: usize) -> String {
    match number {
        0 => String::new(),
        number => format!(" skipped=\"{number}\""),
    }
}

fn suite(text: &mut String, image: &str, platform: &TestedPlatform) {
    let time: Duration = platform.tests.iter().map(|test| test.duration).sum();
    let (all, failed) = (platform.tests.len(), platform.failed());
    let image = xml(image);
    let _ = writeln!(
        text,
        "  <testsuite name=\"{image} {}\" tests=\"{all}\" failures=\"{failed}\" errors=\"0\"{} time=\"{:.3}\">",
        platform.platform,
        skipped(not_run(platform)),
        time.as_secs_f64()
    );
    for test in &platform.tests {
        let name = xml(&title(test));
        let time = test.duration.as_secs_f64();
        let _ = write!(
            text,
            "    <testcase classname=\"{image}\" name=\"{name}\" time=\"{time:.3}\""
        );
        if test.passed {
            text.push_str("/>\n");
            continue;
        }
        text.push_str(">\n");
        if let Some(because) = &test.not_run {
            let _ = writeln!(text, "      <skipped message=\"{}\"/>", xml(because));
            text.push_str("    </testcase>\n");
            continue;
        }
        let lines: Vec<String> = test
            .failures
            .iter()
            .map(ToString::to_string)
            .chain(
                output_lines(test)
                    .into_iter()
                    .map(|(name, line)| format!("{name}{line}")),
            )
            .collect();
        let _ = writeln!(
            text,
            "      <failure message=\"{}\">{}</failure>",
            xml(lines.first().map_or("", String::as_str)),
            xml(&lines.join("\n"))
        );
        text.push_str("    </testcase>\n");
    }
    text.push_str("  </testsuite>\n");
}

/// Text for XML 1.0, which does not allow most control characters.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}
