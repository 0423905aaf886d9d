//! Shows events as lines for logs: one line for each event, which starts with the image.

use super::Reporter;
use super::folds::Folds;
use crate::event::Event;
use crate::report::out::Out;
use crate::report::text::{bytes, one_line, uncoloured};

/// Writes one line for each event.
pub(super) struct Plain {
    out: Out,
    folds: Option<Folds>,
}

impl Plain {
    /// Creates a reporter that writes to `out`, and the output of steps in folds.
    pub(super) const fn new(out: Out, folds: Option<Folds>) -> Self {
        Self { out, folds }
    }
}

impl Reporter for Plain {
    fn consume(&mut self, event: &Event) {
        let folded = match (event, &mut self.folds) {
            (Event::Log { image, line }, Some(folds)) => {
                let line = logged(line);
                if let Some(full) = folds.add(&one_line(image), &line) {
                    self.out.message(&full);
                }
                return;
            }
            (Event::Finished { image, .. }, Some(folds)) => folds.take(&one_line(image)),
            _ => None,
        };
        for text in folded.into_iter().chain(line(event)) {
            self.out.message(&text);
        }
    }

    fn tick(&mut self) {
        for text in self.folds.iter_mut().flat_map(Folds::take_old) {
            self.out.message(&text);
        }
    }

    fn close(&mut self) {
        for text in self.folds.iter_mut().flat_map(Folds::take_all) {
            self.out.message(&text);
        }
    }
}

/// A line of the output of a step.
fn logged(line: &str) -> String {
    format!("| {}", one_line(&uncoloured(line)))
}

/// The line of an event; `None` for intermediate progress.
pub(super) fn line(event: &Event) -> Option<String> {
    let prefix = |image: Option<&str>| {
        image.map_or_else(String::new, |image| format!("{}: ", one_line(image)))
    };
    Some(match event {
        Event::Started { image } => format!("{}started", prefix(Some(image))),
        Event::Step { image, step } => {
            format!("{}{}", prefix(Some(image)), one_line(&step.to_string()))
        }
        Event::Finished { image, text, .. } | Event::Waiting { image, text } => {
            format!("{}{}", prefix(Some(image)), one_line(text))
        }
        Event::Log { image, line } => format!("{}{}", prefix(Some(image)), logged(line)),
        Event::Bytes {
            image,
            what,
            done,
            total,
        } if *total == Some(*done) => {
            format!("{}{} {}", prefix(Some(image)), one_line(what), bytes(*done))
        }
        Event::Bytes { .. } | Event::Images { .. } | Event::Finding(_) => return None,
        Event::Note { image, text } => format!("{}{}", prefix(image.as_deref()), one_line(text)),
        Event::Warning { image, text } => {
            format!("warning: {}{}", prefix(image.as_deref()), one_line(text))
        }
    })
}
