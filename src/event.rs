//! What happens while work is done. The core sends events; `report` is the only one that prints.

use tokio::sync::mpsc;

/// Something that happened. `image` is the display name of the image that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Work on an image began.
    Started {
        /// The image.
        image: String,
    },
    /// A step of the work began, such as a build step or an upload: `RUN apt-get install …`.
    Step {
        /// The image.
        image: String,
        /// What the step is, in one line.
        text: String,
    },
    /// A line that a step printed.
    Log {
        /// The image.
        image: String,
        /// One line without its newline.
        line: String,
    },
    /// Bytes moved so far, for a progress bar.
    Bytes {
        /// The image.
        image: String,
        /// What is moved, such as a short digest.
        what: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, when known.
        total: Option<u64>,
    },
    /// A fact worth telling, for which nothing need be done: which engine and why, which base.
    Note {
        /// The image, if it is about one.
        image: Option<String>,
        /// The fact in one line.
        text: String,
    },
    /// A fact that somebody should act on.
    Warning {
        /// The image, if it is about one.
        image: Option<String>,
        /// The fact in one line.
        text: String,
    },
    /// Work on an image ended.
    Finished {
        /// The image.
        image: String,
        /// How it ended, in one line.
        text: String,
        /// Whether it ended well.
        ok: bool,
    },
}

/// The sending end, cheap to clone. Sending never fails and never waits: nobody listening is fine.
#[derive(Debug, Clone)]
pub struct Events(mpsc::UnboundedSender<Event>);

impl Events {
    /// A channel: the sending end, and the one that a reporter reads.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// A sending end that nobody reads.
    #[must_use]
    pub fn silent() -> Self {
        Self::channel().0
    }

    /// Sends one event.
    pub fn send(&self, event: Event) {
        // A closed channel means that the reporter is gone, and with it the wish to know.
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
