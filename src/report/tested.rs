//! The results of the tests of images, as text and as JUnit XML.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::Out;
use super::text::{count, one_line};
use crate::app::test::TestedImage;
use crate::checks::{TestVerdict, TestedPlatform};
use crate::diagnostic::SourceMap;

/// The results of `golden test` as JSON.
#[derive(Serialize)]
pub(crate) struct TestSummary<'a> {
    passed: usize,
    failed: usize,
    images: &'a [TestedImage],
}

impl<'a> TestSummary<'a> {
    /// Counts the results.
    pub(crate) fn of(images: &'a [TestedImage]) -> Self {
        let platforms = || images.iter().flat_map(|image| &image.platforms);
        let all: usize = platforms().map(|platform| platform.tests.len()).sum();
        let failed = platforms().map(TestedPlatform::failed).sum();
        Self {
            passed: all - failed,
            failed,
            images,
        }
    }
}

/// Shows the results of `golden test`.
pub fn tested(out: &Out, images: &[TestedImage], sources: &SourceMap) {
    let mut text = String::new();
    let TestSummary { passed, failed, .. } = TestSummary::of(images);
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
    let all = count(passed + failed, "test");
    let _ = writeln!(text, "{all}: {passed} passed, {failed} failed");
    out.data(&text);
}

/// The failed tests; empty if every test passed.
pub(super) fn failures(platforms: &[TestedPlatform], sources: &SourceMap) -> String {
    let mut text = String::new();
    for platform in platforms.iter().filter(|platform| platform.failed() > 0) {
        if platforms.len() > 1 {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "  {}", platform.platform);
        }
        for test in platform.tests.iter().filter(|test| !test.passed) {
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
    let mut text = format!("  failed  {title}{}\n", place(test, sources));
    for failure in &test.failures {
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "          {}: expected {}, found {}",
            failure.assertion,
            one_line(&failure.expected),
            one_line(&failure.found)
        );
    }
    text
}

/// The name and the subject.
fn title(test: &TestVerdict) -> String {
    if test.name == test.subject {
        one_line(&test.name).into_owned()
    } else {
        format!("{} ({})", one_line(&test.name), one_line(&test.subject))
    }
}

fn place(test: &TestVerdict, sources: &SourceMap) -> String {
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
    let TestSummary { passed, failed, .. } = TestSummary::of(images);
    let all = passed + failed;
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "<testsuites name=\"golden\" tests=\"{all}\" failures=\"{failed}\" errors=\"0\">"
    );
    for image in images {
        for platform in &image.platforms {
            suite(&mut text, &image.image, platform);
        }
    }
    text + "</testsuites>\n"
}

fn suite(text: &mut String, image: &str, platform: &TestedPlatform) {
    let time: Duration = platform.tests.iter().map(|test| test.duration).sum();
    let (all, failed) = (platform.tests.len(), platform.failed());
    let image = xml(image);
    let _ = writeln!(
        text,
        "  <testsuite name=\"{image} {}\" tests=\"{all}\" failures=\"{failed}\" errors=\"0\" time=\"{:.3}\">",
        platform.platform,
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
        let lines: Vec<String> = test
            .failures
            .iter()
            .map(|one| {
                format!(
                    "{}: expected {}, found {}",
                    one.assertion, one.expected, one.found
                )
            })
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
