//! The lines that show the work in progress on a terminal. They depend only on the events, the time
//! and the size of the terminal.

use std::time::{Duration, Instant};

use indexmap::IndexMap;

use crate::event::Event;
use crate::report::text::{bytes, count, one_line, uncoloured};

/// The time before the work on an image is shown, so that short work does not flicker.
const DELAY: Duration = Duration::from_millis(250);
/// The maximum width of the names, in columns.
const MAX_NAME: usize = 40;
/// The maximum width of a step that printed something, in columns.
const MAX_STEP: usize = 40;
/// The rows of the terminal that stay free: for the prompt and the last permanent line.
const FREE_ROWS: usize = 2;

/// The width and the height of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScreenSize {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// The images in progress, and the numbers of the run.
pub(super) struct Board {
    start: Instant,
    /// The number of images in the run; zero if it is not known.
    total: usize,
    done: usize,
    /// The images that were started and are not finished.
    images: IndexMap<String, RunningImage>,
    /// The last other work, such as reading a base: no event reports its end.
    other: Option<(String, RunningImage)>,
}

/// An image in progress.
struct RunningImage {
    since: Instant,
    step_since: Instant,
    step: String,
    /// The last line that the step printed.
    detail: String,
    /// Bytes done, and bytes in total, by item.
    transfers: IndexMap<String, (u64, Option<u64>)>,
}

impl Board {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            total: 0,
            done: 0,
            images: IndexMap::new(),
            other: None,
        }
    }

    /// Applies an event that arrived at `now`.
    pub(super) fn apply(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Images { total } => {
                self.total = *total;
                self.done = 0;
            }
            Event::Started { image } => {
                self.other = None;
                let started = RunningImage::new(now);
                self.images.insert(image.clone(), started);
            }
            Event::Step { image, step } => {
                if self.images.contains_key(image) {
                    self.other = None;
                }
                let state = self.image(image, now);
                state.step = one_line(&step.to_string()).into_owned();
                state.step_since = now;
                state.detail.clear();
                state.transfers.clear();
            }
            Event::Log { image, line } => {
                let line = uncoloured(line);
                let detail = one_line(&line);
                detail.trim().clone_into(&mut self.image(image, now).detail);
            }
            Event::Bytes {
                image,
                what,
                done,
                total,
            } => {
                let transfers = &mut self.image(image, now).transfers;
                transfers.insert(what.clone(), (*done, *total));
            }
            Event::Waiting { image, .. } => {
                self.other = None;
                self.images.shift_remove(image);
            }
            Event::Finished { image, .. } => {
                self.other = None;
                self.images.shift_remove(image);
                self.done += 1;
            }
            Event::Note { .. } | Event::Warning { .. } | Event::Finding(_) => {}
        }
    }

    /// True if no image is in progress.
    pub(super) fn is_idle(&self) -> bool {
        self.images.is_empty()
    }

    /// The image of a name, or the other work of that name.
    fn image(&mut self, name: &str, now: Instant) -> &mut RunningImage {
        if self.images.contains_key(name) {
            return &mut self.images[name];
        }
        let other = self.other.take().filter(|(other, _)| other == name);
        let other = other.unwrap_or_else(|| (name.to_owned(), RunningImage::new(now)));
        &mut self.other.insert(other).1
    }

    /// The lines at a time: the totals of the run, the running steps, and the number of images that
    /// do not fit. No line is wider than the terminal.
    pub(super) fn lines(&self, now: Instant, size: ScreenSize) -> Vec<String> {
        let other = self.other.iter().map(|(name, image)| (name, image));
        let shown = self.images.iter().chain(other).filter(|(_, image)| {
            let age = now.saturating_duration_since(image.since);
            age >= DELAY
        });
        let shown: Vec<_> = shown.collect();
        let mut lines = Vec::new();
        if self.total > 1
            && !self.images.is_empty()
            && now.saturating_duration_since(self.start) >= DELAY
        {
            let elapsed = clock(now.saturating_duration_since(self.start));
            lines.push(format!(
                "{}/{} images done  {elapsed}",
                self.done, self.total
            ));
        }
        // The last column stays free: some terminals wrap a full line.
        let columns = size.columns.saturating_sub(1).max(1);
        let room = size.rows.saturating_sub(FREE_ROWS + lines.len()).max(1);
        let visible = if shown.len() > room {
            room - 1
        } else {
            shown.len()
        };
        let (visible, hidden) = shown.split_at(visible);
        let widths = visible.iter().map(|(name, _)| width(name));
        let name_width = widths.max().unwrap_or_default().min(MAX_NAME);
        for (name, image) in visible {
            lines.push(image.line(name, name_width, now, columns));
        }
        if !hidden.is_empty() {
            let more = count(hidden.len(), "more image");
            let verb = if hidden.len() == 1 { "is" } else { "are" };
            lines.push(format!("{more} {verb} in progress"));
        }
        let lines = lines.iter();
        lines
            .map(|line| console::truncate_str(line, columns, "…").into_owned())
            .collect()
    }
}

impl RunningImage {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            step_since: now,
            step: String::new(),
            detail: String::new(),
            transfers: IndexMap::new(),
        }
    }

    /// The name, the time of the step, the step, the bytes, and the last line of its output. A long
    /// step is truncated if something follows it.
    fn line(&self, name: &str, name_width: usize, now: Instant, columns: usize) -> String {
        let name = console::truncate_str(name, name_width, "…");
        let padding = " ".repeat(name_width.saturating_sub(width(&name)));
        let spent = now.saturating_duration_since(self.step_since);
        let head = format!("{name}{padding}  {:>6}", clock(spent));
        let bytes = self.bytes(spent);
        // Two spaces before the step, and two before the bytes.
        let room = columns.saturating_sub(width(&head) + width(&bytes) + 4);
        let room = match (bytes.is_empty(), self.detail.is_empty()) {
            (true, true) => usize::MAX,
            (false, true) => room,
            (_, false) => room.min(MAX_STEP),
        };
        let step = console::truncate_str(&self.step, room, "…");
        let parts = [head.as_str(), &step, &bytes, &self.detail];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("  ")
    }

    /// The bytes of the transfers and their rate; empty without transfers.
    fn bytes(&self, spent: Duration) -> String {
        let transfers = self.transfers.values();
        let (done, total) = transfers.fold((0, 0), |(done, total), (of_one, in_all)| {
            (done + of_one, total + in_all.unwrap_or(*of_one))
        });
        match rate(done, spent) {
            _ if total == 0 => String::new(),
            Some(rate) => format!("{}/{}  {}/s", bytes(done), bytes(total), bytes(rate)),
            None => format!("{}/{}", bytes(done), bytes(total)),
        }
    }
}

/// The bytes per second; `None` if the time is too short for a useful number.
fn rate(done: u64, time: Duration) -> Option<u64> {
    let milliseconds = time.as_millis();
    if done == 0 || milliseconds < 1000 {
        return None;
    }
    u64::try_from(u128::from(done) * 1000 / milliseconds).ok()
}

/// A running time: `12s`, `1m04s` or `2h05m`.
fn clock(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// The width of a text, in columns.
fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Step;
    use crate::reference::Repository;

    /// A board with `images` in progress of `total`, after `seconds`.
    fn board(images: usize, total: usize) -> (Board, Instant) {
        let start = Instant::now();
        let mut board = Board::new(start);
        board.apply(&Event::Images { total }, start);
        for number in 0..total - images {
            let image = format!("done{number}:1.0.0");
            board.apply(
                &Event::Started {
                    image: image.clone(),
                },
                start,
            );
            let finished = Event::Finished {
                image,
                text: "published".to_owned(),
                ok: true,
                because: None,
            };
            board.apply(&finished, start);
        }
        let repository: Repository = "localhost:5000/team/app".parse().unwrap();
        for number in 0..images {
            let image = || match number {
                0 => "dotnet/aspnet:3.0.1".to_owned(),
                _ => format!("app{number}:1.0.0"),
            };
            board.apply(&Event::Started { image: image() }, start);
            let step = match number % 3 {
                0 => {
                    Step::Build("[2/3] RUN apt-get install -y --no-install-recommends curl".into())
                }
                1 => Step::PushThroughEngine(format!("{repository}:1.0.0")),
                _ => Step::Tag {
                    repository: repository.clone(),
                    tags: vec!["1.0.0".parse().unwrap(), "latest".parse().unwrap()],
                },
            };
            let at = start + Duration::from_secs(number as u64);
            board.apply(
                &Event::Step {
                    image: image(),
                    step,
                },
                at,
            );
            match number % 3 {
                0 => board.apply(
                    &Event::Log {
                        image: image(),
                        line: "Get:1 http://deb.example.com trixie InRelease \u{1b}[31m".into(),
                    },
                    at,
                ),
                1 => board.apply(
                    &Event::Bytes {
                        image: image(),
                        what: "layer".into(),
                        done: 30_000_000,
                        total: Some(120_000_000),
                    },
                    at,
                ),
                _ => {}
            }
        }
        (board, start + Duration::from_secs(75))
    }

    fn screen(images: usize, total: usize, columns: usize, rows: usize) -> String {
        let (board, now) = board(images, total);
        let lines = board.lines(now, ScreenSize { columns, rows });
        assert!(lines.len() + FREE_ROWS <= rows, "{lines:#?}");
        for line in &lines {
            assert!(width(line) < columns, "{line}");
        }
        lines.join("\n")
    }

    #[test]
    fn a_screen_of_80_columns_shows_the_running_steps() {
        insta::assert_snapshot!(screen(4, 12, 80, 24));
    }

    #[test]
    fn a_wide_screen_shows_more_of_each_step() {
        insta::assert_snapshot!(screen(4, 12, 120, 40));
    }

    #[test]
    fn images_that_do_not_fit_are_counted() {
        let shown = screen(40, 100, 80, 24);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 22);
        assert_eq!(lines[0], "60/100 images done  1m15s");
        assert_eq!(lines[21], "20 more images are in progress");
        let shown = screen(3, 3, 80, 5);
        assert!(
            shown.ends_with("\n2 more images are in progress"),
            "{shown}"
        );
    }

    #[test]
    fn one_image_needs_no_totals_and_short_work_is_not_shown() {
        let (board, now) = board(1, 1);
        let size = ScreenSize {
            columns: 80,
            rows: 24,
        };
        assert_eq!(board.lines(now, size).len(), 1);
        let early = board.start + DELAY / 2;
        assert!(board.lines(early, size).is_empty());
    }

    #[test]
    fn work_that_ended_is_not_shown() {
        let (mut board, now) = board(2, 2);
        let size = ScreenSize {
            columns: 80,
            rows: 24,
        };
        for image in ["dotnet/aspnet:3.0.1", "app1:1.0.0"] {
            let finished = Event::Finished {
                image: image.to_owned(),
                text: "published".to_owned(),
                ok: true,
                because: None,
            };
            board.apply(&finished, now);
        }
        assert!(board.is_idle());
        assert!(board.lines(now, size).is_empty());
        // No event reports the end of other work, so that only the last one is shown.
        for image in ["base:1", "base:2"] {
            let image = image.to_owned();
            let step = Step::Pull("base".to_owned());
            board.apply(&Event::Step { image, step }, now);
        }
        let lines = board.lines(now + DELAY, size);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("base:2 "), "{lines:?}");
    }

    #[test]
    fn the_clock_is_short() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (64, "1m04s"),
            (3599, "59m59s"),
            (7_500, "2h05m"),
        ] {
            assert_eq!(clock(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_rate_needs_a_second() {
        for (done, time, expected) in [
            (0, 5_000, None),
            (10, 999, None),
            (3_000, 1_500, Some(2_000)),
            (u64::MAX, 1_000, Some(u64::MAX)),
        ] {
            assert_eq!(rate(done, Duration::from_millis(time)), expected);
        }
    }
}
