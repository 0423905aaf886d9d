//! Folds the output of the steps in the log of a CI service: one fold for each image, because the
//! output of several images arrives mixed.

use std::collections::BTreeMap;
use std::time::Instant;

/// A maximum number of lines that wait for the end of the work on an image. More lines are written
/// in several folds, so that memory is bounded and a long build shows its progress.
const MAX_LINES: usize = 5_000;

/// A service whose log viewer can fold lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// Groups of GitHub Actions (docs.github.com, "Workflow commands for GitHub Actions").
    GitHub,
    /// Collapsible sections of GitLab CI (docs.gitlab.com, "Custom collapsible sections").
    GitLab,
}

/// The lines of the images in progress.
#[derive(Debug)]
pub(super) struct Folds {
    folding: Folding,
    /// The start of the run in seconds since 1970-01-01 UTC.
    start: i64,
    since: Instant,
    open: BTreeMap<String, Fold>,
    /// The number of folds so far: GitLab needs unique names.
    written: usize,
}

#[derive(Debug)]
struct Fold {
    /// The time of the first line.
    start: i64,
    lines: Vec<String>,
}

impl Folds {
    /// No folds; the run started at `start`, in seconds since 1970-01-01 UTC.
    pub(super) fn new(folding: Folding, start: i64) -> Self {
        Self {
            folding,
            start,
            since: Instant::now(),
            open: BTreeMap::new(),
            written: 0,
        }
    }

    fn now(&self) -> i64 {
        let seconds = self.since.elapsed().as_secs();
        self.start
            .saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    /// Adds a line. Returns a text to print if the fold is full.
    pub(super) fn add(&mut self, image: &str, line: String) -> Option<String> {
        let start = self.now();
        let fold = self.open.entry(image.to_owned()).or_insert(Fold {
            start,
            lines: Vec::new(),
        });
        fold.lines.push(line);
        if fold.lines.len() < MAX_LINES {
            return None;
        }
        self.take(image)
    }

    /// The text of the fold of an image, without its last line break; `None` if it has no lines.
    pub(super) fn take(&mut self, image: &str) -> Option<String> {
        let fold = self.open.remove(image)?;
        self.written += 1;
        let title = format!("output of {image}");
        let (head, end) = match self.folding {
            Folding::GitHub => (format!("::group::{title}"), "::endgroup::".to_owned()),
            Folding::GitLab => {
                let (name, now) = (format!("golden_{}", self.written), self.now());
                (
                    format!(
                        "\u{1b}[0Ksection_start:{}:{name}[collapsed=true]\r\u{1b}[0K{title}",
                        fold.start
                    ),
                    format!("\u{1b}[0Ksection_end:{now}:{name}\r\u{1b}[0K"),
                )
            }
        };
        Some(format!("{head}\n{}\n{end}", fold.lines.join("\n")))
    }

    /// The texts of all folds.
    pub(super) fn take_all(&mut self) -> Vec<String> {
        let images: Vec<String> = self.open.keys().cloned().collect();
        images.iter().filter_map(|image| self.take(image)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_has_its_own_fold() {
        let mut folds = Folds::new(Folding::GitHub, 0);
        for (image, line) in [
            ("app:1.0.0", "| a"),
            ("db:2.0.0", "| x"),
            ("app:1.0.0", "| b"),
        ] {
            assert_eq!(folds.add(image, line.to_owned()), None);
        }
        assert_eq!(
            folds.take("app:1.0.0").as_deref(),
            Some("::group::output of app:1.0.0\n| a\n| b\n::endgroup::")
        );
        assert_eq!(folds.take("app:1.0.0"), None);
        assert_eq!(
            folds.take_all(),
            ["::group::output of db:2.0.0\n| x\n::endgroup::"]
        );
    }

    #[test]
    fn a_section_of_gitlab_has_its_times_and_a_name() {
        let mut folds = Folds::new(Folding::GitLab, 1_700_000_000);
        folds.add("app:1.0.0", "| a".to_owned());
        assert_eq!(
            folds.take("app:1.0.0").as_deref(),
            Some(
                "\u{1b}[0Ksection_start:1700000000:golden_1[collapsed=true]\r\u{1b}[0Koutput of app:1.0.0\n\
                 | a\n\u{1b}[0Ksection_end:1700000000:golden_1\r\u{1b}[0K"
            )
        );
    }

    #[test]
    fn a_long_output_is_written_in_parts() {
        let mut folds = Folds::new(Folding::GitHub, 0);
        let parts = (0..2 * MAX_LINES).filter_map(|n| folds.add("app", n.to_string()));
        assert_eq!(parts.count(), 2);
        assert_eq!(folds.take("app"), None);
    }
}
