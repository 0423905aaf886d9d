//! Shows events on a terminal: permanent lines, and below them the lines of the work in progress.

use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Reporter;
use super::board::{Board, ScreenSize};
use super::plain;
use crate::event::Event;
use crate::report::out::Out;

/// The size of a terminal that does not report its size.
const DEFAULT_SIZE: (u16, u16) = (24, 80);

/// Draws the lines of the work in progress, and permanent lines above them.
pub(super) struct Terminal {
    out: Out,
    bars: MultiProgress,
    every_line: bool,
    board: Board,
    /// One for each line that is drawn.
    lines: Vec<ProgressBar>,
}

impl Terminal {
    /// Creates a reporter that draws on `bars`. With `every_line`, the output of steps is printed
    /// as permanent lines.
    pub(super) fn new(out: Out, bars: MultiProgress, every_line: bool) -> Self {
        Self {
            out,
            bars,
            every_line,
            board: Board::new(Instant::now()),
            lines: Vec::new(),
        }
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

    /// Draws the lines, and removes those that are no longer needed.
    fn draw(&mut self, lines: Vec<String>) {
        for bar in self.lines.drain(lines.len().min(self.lines.len())..) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        for (position, line) in lines.into_iter().enumerate() {
            if position == self.lines.len() {
                let style = ProgressStyle::with_template("{msg}");
                let bar = self.bars.add(ProgressBar::new_spinner());
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                self.lines.push(bar);
            }
            self.lines[position].set_message(line);
        }
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
        self.board.apply(event, Instant::now());
        match event {
            Event::Log { .. } if self.every_line => self.write(event),
            Event::Finished { .. } => {
                // The next output may be the result of the run: no line must be drawn below it.
                if self.board.is_idle() {
                    self.draw(Vec::new());
                }
                self.write(event);
            }
            Event::Waiting { .. } | Event::Note { .. } | Event::Warning { .. } => self.write(event),
            _ => {}
        }
    }

    fn tick(&mut self) {
        let size = console::Term::stderr().size_checked();
        let (rows, columns) = size.unwrap_or(DEFAULT_SIZE);
        let size = ScreenSize {
            columns: columns.into(),
            rows: rows.into(),
        };
        let lines = self.board.lines(Instant::now(), size);
        self.draw(lines);
    }

    fn close(&mut self) {
        self.draw(Vec::new());
    }
}
