//! Where output goes: data to stdout, all else to stderr. Made once, or in memory for tests.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use indicatif::{MultiProgress, ProgressDrawTarget};

/// The two streams and what is known of them. Cheap to clone; whole strings are written under one lock, so lines never tear.
#[derive(Clone)]
pub struct Out {
    stdout: Sink,
    stderr: Sink,
    /// Whether diagnostics and progress may be coloured.
    pub color: bool,
    /// Whether progress is drawn, which needs a terminal.
    pub interactive: bool,
    /// Whether only errors are told.
    pub quiet: bool,
    /// Columns to wrap at.
    pub width: usize,
    /// What is drawn on stderr, and has to make room for what is written there.
    bars: Option<MultiProgress>,
    broken: Arc<BrokenStreams>,
    queue: Arc<Queue>,
}

/// Shows the events that were sent and not shown yet.
type Drain = Box<dyn FnMut() + Send>;

/// The events that are written before anything else is, so that output is in the order in which it was produced.
#[derive(Default)]
struct Queue(Mutex<Option<Drain>>);

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Drain>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What became of the streams: one that cannot be written is left alone, and the other goes on.
#[derive(Default)]
struct BrokenStreams {
    stdout: AtomicBool,
    stderr: AtomicBool,
    /// Why data did not arrive, though somebody waits for it.
    lost: OnceLock<String>,
}

/// How the process's own streams are used.
#[derive(Debug, Clone, Copy)]
pub struct OutputStyle {
    /// Whether diagnostics and progress may be coloured.
    pub color: bool,
    /// Whether progress is drawn.
    pub interactive: bool,
    /// Whether only errors are told.
    pub quiet: bool,
    /// Columns to wrap at.
    pub width: usize,
}

/// What was written to a stream in memory.
pub type Captured = Arc<Mutex<Vec<u8>>>;

#[derive(Clone)]
enum Sink {
    Stdout,
    Stderr,
    Memory(Captured),
}

impl Sink {
    fn write(&self, text: &str) -> std::io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stream = std::io::stdout().lock();
                stream
                    .write_all(text.as_bytes())
                    .and_then(|()| stream.flush())
            }
            Self::Stderr => std::io::stderr().lock().write_all(text.as_bytes()),
            Self::Memory(buffer) => {
                let mut buffer = buffer
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                buffer.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
    }
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Out")
            .field("color", &self.color)
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

impl Out {
    /// The process's own streams.
    #[must_use]
    pub fn process(style: OutputStyle) -> Self {
        let bars = || MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Self {
            stdout: Sink::Stdout,
            stderr: Sink::Stderr,
            color: style.color,
            interactive: style.interactive,
            quiet: style.quiet,
            width: style.width,
            bars: style.interactive.then(bars),
            broken: Arc::default(),
            queue: Arc::default(),
        }
    }

    /// Streams in memory; the second and third value are what was written to stdout and stderr.
    #[must_use]
    pub fn memory(width: usize) -> (Self, Captured, Captured) {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let out = Self {
            stdout: Sink::Memory(stdout.clone()),
            stderr: Sink::Memory(stderr.clone()),
            color: false,
            interactive: false,
            quiet: false,
            width,
            bars: None,
            broken: Arc::default(),
            queue: Arc::default(),
        };
        (out, stdout, stderr)
    }

    /// Writes data to stdout, exactly as given.
    pub fn data(&self, text: &str) {
        let written = self.put(&self.stdout, &self.broken.stdout, text);
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.broken.lost.get_or_init(|| error.to_string());
        }
    }

    /// Why data did not arrive on stdout, when some did not. A reader that has gone away (`golden ls | head`) has lost
    /// nothing.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        self.broken.lost.get().map(String::as_str)
    }

    /// Writes one JSON document to stdout, with `"schema": 1` as its first key. `value` is an object; anything else
    /// is put under `items`.
    pub fn json(&self, value: &impl serde::Serialize) {
        self.data(&super::json::with_schema(value));
    }

    /// Writes a line to stderr, unless only errors are told.
    pub fn message(&self, line: &str) {
        if !self.quiet {
            self.error(line);
        }
    }

    /// Writes a line to stderr that must be seen.
    pub fn error(&self, line: &str) {
        self.put_err(&format!("{line}\n"));
    }

    /// Writes to stderr as it is, for a prompt.
    pub fn prompt(&self, text: &str) {
        self.put_err(text);
    }

    /// What is drawn on stderr; None where nothing is.
    pub(super) const fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// The same streams, written at once: pending events are not shown first. For the reporter of these events.
    #[must_use]
    pub(crate) fn direct(&self) -> Self {
        Self {
            queue: Arc::default(),
            ..self.clone()
        }
    }

    /// Calls `drain` before every write of this value and of its clones, until [`Self::detach`].
    pub(super) fn attach(&self, drain: impl FnMut() + Send + 'static) {
        *self.queue.lock() = Some(Box::new(drain));
    }

    /// Ends what [`Self::attach`] began.
    pub(super) fn detach(&self) {
        *self.queue.lock() = None;
    }

    /// A stream that cannot be written is not reported on itself.
    fn put_err(&self, text: &str) {
        drop(self.put(&self.stderr, &self.broken.stderr, text));
    }

    /// Writes to a stream, after the pending events; once that failed, the rest is dropped.
    fn put(&self, sink: &Sink, broken: &AtomicBool, text: &str) -> std::io::Result<()> {
        // The lock is held while this is written, so that two writers cannot overtake each other's events.
        let mut queue = self.queue.lock();
        if let Some(drain) = queue.as_mut() {
            drain();
        }
        if broken.load(Ordering::Relaxed) {
            return Ok(());
        }
        let written = match &self.bars {
            Some(bars) => bars.suspend(|| sink.write(text)),
            None => sink.write(text),
        };
        if written.is_err() {
            broken.store(true, Ordering::Relaxed);
        }
        written
    }
}

/// A writer of whole lines to stderr, for logs.
impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.put_err(&super::text::visible(&text));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
