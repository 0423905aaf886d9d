//! Shows events as lines for logs: one line for each event, which starts with the image.

use super::Reporter;
use crate::event::Event;
use crate::report::out::Out;
use crate::report::text::{bytes, one_line};

/// Writes one line for each event.
pub(super) struct Plain {
    out: Out,
}

impl Plain {
    /// Creates a reporter that writes to `out`.
    pub(super) const fn new(out: Out) -> Self {
        Self { out }
    }
}

impl Reporter for Plain {
    fn consume(&mut self, event: &Event) {
        if let Some(line) = line(event) {
            self.out.message(&line);
        }
    }
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
        Event::Finished { image, text, .. } => {
            format!("{}{}", prefix(Some(image)), one_line(text))
        }
        Event::Log { image, line } => format!("{}| {}", prefix(Some(image)), one_line(line)),
        Event::Bytes {
            image,
            what,
            done,
            total,
        } if *total == Some(*done) => {
            format!("{}{} {}", prefix(Some(image)), one_line(what), bytes(*done))
        }
        Event::Bytes { .. } => return None,
        Event::Note { image, text } => format!("{}{}", prefix(image.as_deref()), one_line(text)),
        Event::Warning { image, text } => {
            format!("warning: {}{}", prefix(image.as_deref()), one_line(text))
        }
    })
}
