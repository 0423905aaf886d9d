//! Progress events. Every other module sends events; only `report` prints.

use tokio::sync::mpsc;

/// One progress event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Work on an image began.
    Started {
        /// Display name of the image, such as `app:1.2.3`.
        image: String,
    },
    /// A step of the work began, such as a build step or an upload: `RUN apt-get install …`.
    Step {
        /// Display name of the image, such as `app:1.2.3`.
        image: String,
        /// The step in one line.
        text: String,
    },
    /// A line that a step printed.
    Log {
        /// Display name of the image, such as `app:1.2.3`.
        image: String,
        /// One line without its line break.
        line: String,
    },
    /// Progress of a transfer, for a progress bar.
    Bytes {
        /// Display name of the image, such as `app:1.2.3`.
        image: String,
        /// The transferred item, such as a short digest.
        what: String,
        /// Bytes transferred so far.
        done: u64,
        /// Bytes in total, if known.
        total: Option<u64>,
    },
    /// Information that requires no action, such as the chosen engine.
    Note {
        /// Display name of the image; `None` if the event is not about one image.
        image: Option<String>,
        /// The information in one line.
        text: String,
    },
    /// A problem that the user should act on.
    Warning {
        /// Display name of the image; `None` if the event is not about one image.
        image: Option<String>,
        /// The problem in one line.
        text: String,
    },
    /// Work on an image ended.
    Finished {
        /// Display name of the image, such as `app:1.2.3`.
        image: String,
        /// The result in one line.
        text: String,
        /// True if the work succeeded.
        ok: bool,
    },
}

/// The sender of events. Cheap to clone. Sending never fails and never waits, even without a
/// receiver.
#[derive(Debug, Clone)]
pub struct Events(mpsc::UnboundedSender<Event>);

impl Events {
    /// Creates a channel: the sender, and the receiver that a reporter reads.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// A sender without a receiver: all events are dropped.
    #[must_use]
    pub fn silent() -> Self {
        Self::channel().0
    }

    /// Sends one event.
    pub fn send(&self, event: Event) {
        // Sending fails only after the reporter has exited; the event is dropped.
        drop(self.0.send(event));
    }

    /// Sends a [`Event::Note`].
    pub fn note(&self, image: Option<&str>, text: impl Into<String>) {
        self.send(Event::Note {
            image: image.map(str::to_owned),
            text: text.into(),
        });
    }

    /// Sends a [`Event::Warning`].
    pub fn warn(&self, image: Option<&str>, text: impl Into<String>) {
        self.send(Event::Warning {
            image: image.map(str::to_owned),
            text: text.into(),
        });
    }

    /// Sends a [`Event::Step`].
    pub fn step(&self, image: &str, text: impl Into<String>) {
        self.send(Event::Step {
            image: image.to_owned(),
            text: text.into(),
        });
    }
}
