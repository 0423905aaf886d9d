//! Progress events. Every other module sends events; only `report` prints.

use std::fmt;

use tokio::sync::mpsc;

use crate::diagnostic::{Diagnostic, Position, Severity};
use crate::platform::Platform;
use crate::reference::{Digest, Reference, Repository, Tag};

/// One progress event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The number of images of the run is known.
    Images {
        /// The number.
        total: usize,
    },
    /// Work on an image began.
    Started {
        /// Display name of the image, such as `app:1.2.3`.
        image: String,
    },
    /// A step of the work began, such as a build step or an upload.
    Step {
        /// Display name of the image, such as `app:1.2.3`.
        image: String,
        /// The step that began.
        step: Step,
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
    /// A finding about a file of the user or about a built image. golden prints it at the end of
    /// the run.
    Finding(ReportedFinding),
    /// Work on an image waits until the other images are ready.
    Waiting {
        /// Display name of the image, such as `app:1.2.3`.
        image: String,
        /// The state in one line.
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
        /// The reason of a failure, which golden prints at the end of the run. `None` if `text`
        /// contains it.
        because: Option<String>,
    },
}

/// A finding with its location, as reports and events contain it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ReportedFinding {
    /// The stable ID of the rule.
    pub rule: String,
    /// The severity.
    pub severity: Severity,
    /// The path of the file, as the output shows it; `None` if the finding has no location.
    pub file: Option<String>,
    /// The line; `None` if the finding has no location in a file whose text is known.
    pub line: Option<usize>,
    /// The column, in characters.
    pub column: Option<usize>,
    /// The problem in one sentence.
    pub message: String,
    /// The next step for the user.
    pub help: Option<String>,
    /// The image that the finding is about, if it is about a single image.
    pub image: Option<String>,
}

impl ReportedFinding {
    /// Creates a finding at a location: a file, and a position if the text of the file is known.
    #[must_use]
    pub fn new(diagnostic: &Diagnostic, location: Option<(String, Option<Position>)>) -> Self {
        let (file, start) = location.unzip();
        let start = start.flatten();
        Self {
            rule: diagnostic.rule.clone().into_owned(),
            severity: diagnostic.severity,
            file,
            line: start.map(|start| start.line),
            column: start.map(|start| start.column),
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
            image: diagnostic.image.clone(),
        }
    }
}

/// A step of the work on an image. It is displayed in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A step of the build in an engine, as the engine describes it: `[2/3] RUN apt-get update`.
    Build(String),
    /// An engine builds the image for one platform.
    BuildOn {
        /// The platform of the image that is built.
        platform: Platform,
        /// The name of the engine.
        engine: String,
    },
    /// The image of one platform is read from an engine.
    Export {
        /// The platform of the image that is read.
        platform: Platform,
        /// The name of the engine.
        engine: String,
    },
    /// A layer of the base is read.
    ReadLayer {
        /// The digest of the layer.
        digest: Digest,
        /// The size of the layer in bytes.
        size: u64,
    },
    /// A layer of an image is read.
    ReadFiles {
        /// The digest of the layer.
        digest: Digest,
        /// The size of the layer in bytes.
        size: u64,
    },
    /// The files of the base with this image ID are read from an engine.
    ReadBase(Digest),
    /// An engine pulls an image.
    Pull(String),
    /// An engine pushes an image.
    PushThroughEngine(String),
    /// The content of an image is pushed.
    Push(Reference),
    /// Artifacts are attached to an image.
    Attach {
        /// The kinds of the artifacts, such as `signature, SBOM`.
        artifacts: String,
        /// The image that the artifacts refer to.
        image: Reference,
    },
    /// Tags are put.
    Tag {
        /// The repository of the tags.
        repository: Repository,
        /// The tags, in the order in which they are put.
        tags: Vec<Tag>,
    },
    /// The destination has a blob.
    Copied {
        /// The digest of the blob.
        digest: Digest,
        /// The way in which the destination got the blob.
        how: BlobTransfer,
    },
}

/// The way in which a destination got a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobTransfer {
    /// The destination already had it.
    Present,
    /// The registry mounted it from another repository.
    Mounted,
    /// golden sent it. The number is its size in bytes.
    Sent(u64),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(step) => f.write_str(step),
            Self::BuildOn { platform, engine } => write!(f, "{platform} on the engine {engine}"),
            Self::Export { platform, engine } => {
                write!(f, "export {platform} from the engine {engine}")
            }
            Self::ReadLayer { digest, size } => {
                write!(
                    f,
                    "read layer {} of the base ({size} bytes)",
                    digest.short()
                )
            }
            Self::ReadFiles { digest, size } => {
                write!(f, "read layer {} ({size} bytes)", digest.short())
            }
            Self::ReadBase(id) => write!(f, "read the base {} from the engine", id.short()),
            Self::Pull(name) => write!(f, "pull {name}"),
            Self::PushThroughEngine(reference) => {
                write!(f, "push {reference} through the engine")
            }
            Self::Push(reference) => write!(f, "push {reference}"),
            Self::Attach { artifacts, image } => write!(f, "attach {artifacts} to {image}"),
            Self::Tag { repository, tags } => {
                let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
                write!(f, "tag {repository}: {}", tags.join(", "))
            }
            Self::Copied { digest, how } => {
                let how = match how {
                    BlobTransfer::Present => "already exists",
                    BlobTransfer::Mounted => "mounted",
                    BlobTransfer::Sent(_) => "copied",
                };
                write!(f, "{} {how}", digest.short())
            }
        }
    }
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

    /// Sends an [`Event::Note`].
    pub fn note(&self, image: Option<&str>, text: impl Into<String>) {
        self.send(Event::Note {
            image: image.map(str::to_owned),
            text: text.into(),
        });
    }

    /// Sends an [`Event::Warning`].
    pub fn warn(&self, image: Option<&str>, text: impl Into<String>) {
        self.send(Event::Warning {
            image: image.map(str::to_owned),
            text: text.into(),
        });
    }

    /// Sends an [`Event::Step`].
    pub fn step(&self, image: &str, step: Step) {
        self.send(Event::Step {
            image: image.to_owned(),
            step,
        });
    }
}
