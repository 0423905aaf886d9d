//! Folds the output of the steps in the log of a CI service: one fold for each image, because the
//! output of several images arrives mixed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The maximum size in bytes of the lines that wait for the end of the work on an image. More lines
/// are written in several folds, so that memory is bounded.
const MAX_SIZE: usize = 1 << 20;
/// The maximum time that lines wait, so that the log of a build that hangs shows what it printed.
const MAX_AGE: Duration = Duration::from_secs(30);

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
    since: Instant,
    lines: String,
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

    /// A time in seconds since 1970-01-01 UTC.
    fn seconds(&self, time: Instant) -> i64 {
        let seconds = time.saturating_duration_since(self.since).as_secs();
        self.start
            .saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    /// Adds a line. Returns a text to print if the fold is full.
    pub(super) fn add(&mut self, image: &str, line: &str) -> Option<String> {
        let fold = self.open.entry(image.to_owned()).or_insert(Fold {
            since: Instant::now(),
            lines: String::new(),
        });
        fold.lines.push_str(line);
        fold.lines.push('\n');
        if fold.lines.len() < MAX_SIZE {
            return None;
        }
        self.take(image)
    }

    /// The texts of the folds that have waited for a long time.
    pub(super) fn take_old(&mut self) -> Vec<String> {
        self.take_each(|fold| fold.since.elapsed() >= MAX_AGE)
    }

    /// The text of the fold of an image, without its last line break; `None` if it has no lines.
    pub(super) fn take(&mut self, image: &str) -> Option<String> {
        let fold = self.open.remove(image)?;
        self.written += 1;
        let title = format!("output of {image}");
        let (head, end) = match self.folding {
            Folding::GitHub => (format!("::group::{title}"), "::endgroup::".to_owned()),
            Folding::GitLab => {
                let name = format!("golden_{}", self.written);
                let (start, now) = (self.seconds(fold.since), self.seconds(Instant::now()));
                (
                    format!(
                        "\u{1b}[0Ksection_start:{start}:{name}[collapsed=true]\r\u{1b}[0K{title}"
                    ),
                    format!("\u{1b}[0Ksection_end:{now}:{name}\r\u{1b}[0K"),
                )
            }
        };
        Some(format!("{head}\n{}{end}", fold.lines))
    }

    /// The texts of all folds.
    pub(super) fn take_all(&mut self) -> Vec<String> {
        self.take_each(|_| true)
    }

    fn take_each(&mut self, is_wanted: impl Fn(&Fold) -> bool) -> Vec<String> {
        let wanted = self.open.iter().filter(|(_, fold)| is_wanted(fold));
        let images: Vec<String> = wanted.map(|(image, _)| image.clone()).collect();
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
            assert_eq!(folds.add(image, line), None);
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
        folds.add("app:1.0.0", "| a");
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
        let line = "x".repeat(MAX_SIZE / 4 - 1);
        let parts = (0..8).filter_map(|_| folds.add("app", &line));
        assert_eq!(parts.count(), 2);
        assert_eq!(folds.take("app"), None);
    }
}
