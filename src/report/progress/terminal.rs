//! Shows events on a terminal: permanent lines, and one live line for each image in progress.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Reporter;
use super::plain;
use crate::event::Event;
use crate::report::out::Out;
use crate::report::text::{bytes, one_line};

/// The time before the live line of an image appears, so that short work does not flicker.
const DRAW_DELAY: Duration = Duration::from_millis(250);

/// Draws a live line for each image in progress, and permanent lines above them.
pub(super) struct Terminal {
    out: Out,
    bars: MultiProgress,
    every_line: bool,
    images: BTreeMap<String, RunningImage>,
}

/// An image in progress.
struct RunningImage {
    since: Instant,
    bar: Option<ProgressBar>,
    step: String,
    detail: String,
    transfers: BTreeMap<String, (u64, Option<u64>)>,
}

impl RunningImage {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            bar: None,
            step: String::new(),
            detail: String::new(),
            transfers: BTreeMap::new(),
        }
    }

    /// The live line of the image.
    fn line(&self, name: &str) -> String {
        let (done, total) = self
            .transfers
            .values()
            .fold((0, 0), |(done, total), (of_one, in_all)| {
                (done + of_one, total + in_all.unwrap_or(*of_one))
            });
        let moved = if total > 0 {
            format!("  {}/{}", bytes(done), bytes(total))
        } else {
            String::new()
        };
        let detail = if self.detail.is_empty() {
            String::new()
        } else {
            format!("  {}", self.detail)
        };
        // A long step is truncated, so that its output also fits into the line.
        let step = if detail.is_empty() {
            self.step.as_str().into()
        } else {
            console::truncate_str(&self.step, 40, "…")
        };
        format!("{name}  {step}{moved}{detail}")
    }
}

impl Terminal {
    /// Creates a reporter that draws on `bars`. With `every_line`, the output of steps is printed
    /// as permanent lines.
    pub(super) fn new(out: Out, bars: MultiProgress, every_line: bool) -> Self {
        Self {
            out,
            bars,
            every_line,
            images: BTreeMap::new(),
        }
    }

    /// Changes the state of an image; the next tick draws it.
    fn image(&mut self, name: &str, change: impl FnOnce(&mut RunningImage)) {
        change(
            self.images
                .entry(name.to_owned())
                .or_insert_with(RunningImage::new),
        );
    }

    fn write(&self, event: &Event) {
        let Some(line) = plain::line(event) else {
            return;
        };
        let line = if self.out.color {
            colored(event, &line)
        } else {
            line
        };
        self.out.message(&line);
    }
}

/// Colours the first word of a warning or a failure.
fn colored(event: &Event, line: &str) -> String {
    match event {
        Event::Warning { .. } => {
            let style = anstyle::AnsiColor::Yellow.on_default().bold();
            let rest = line.strip_prefix("warning").unwrap_or(line);
            format!("{style}warning{style:#}{rest}")
        }
        Event::Finished { ok: false, .. } => {
            let style = anstyle::AnsiColor::Red.on_default().bold();
            format!("{style}{line}{style:#}")
        }
        _ => line.to_owned(),
    }
}

impl Reporter for Terminal {
    fn consume(&mut self, event: &Event) {
        match event {
            Event::Started { image } => self.image(image, |_| ()),
            Event::Step { image, step } => self.image(image, |state| {
                state.step = one_line(&step.to_string()).into_owned();
                state.detail.clear();
                state.transfers.clear();
            }),
            Event::Log { image, line } => {
                self.image(image, |state| {
                    one_line(line).trim().clone_into(&mut state.detail);
                });
                if self.every_line {
                    self.write(event);
                }
            }
            Event::Bytes {
                image,
                what,
                done,
                total,
            } => self.image(image, |state| {
                state.transfers.insert(what.clone(), (*done, *total));
            }),
            Event::Finished { image, .. } => {
                if let Some(bar) = self.images.remove(image).and_then(|state| state.bar) {
                    bar.finish_and_clear();
                }
                self.write(event);
            }
            Event::Note { .. } | Event::Warning { .. } => self.write(event),
        }
    }

    fn tick(&mut self) {
        for (name, state) in &mut self.images {
            if state.bar.is_none() && state.since.elapsed() >= DRAW_DELAY {
                let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}");
                let bar = self.bars.add(ProgressBar::new_spinner());
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                state.bar = Some(bar);
            }
            if let Some(bar) = &state.bar {
                bar.set_message(state.line(name));
                bar.tick();
            }
        }
    }

    fn close(&mut self) {
        for state in std::mem::take(&mut self.images).into_values() {
            if let Some(bar) = state.bar {
                bar.finish_and_clear();
            }
        }
    }
}
