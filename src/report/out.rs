//! Where output goes: data to stdout, all else to stderr. Made once, or in memory for tests.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

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
    /// Set when a reader went away; writing then does nothing more.
    broken: Arc<AtomicBool>,
}

/// How the process's own streams are used.
#[derive(Debug, Clone, Copy)]
pub struct Style {
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
                stream.write_all(text.as_bytes()).and_then(|()| stream.flush())
            }
            Self::Stderr => std::io::stderr().lock().write_all(text.as_bytes()),
            Self::Memory(buffer) => {
                let mut buffer = buffer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                buffer.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
    }
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Out").field("color", &self.color).field("width", &self.width).finish_non_exhaustive()
    }
}

impl Out {
    /// The process's own streams.
    #[must_use]
    pub fn process(style: Style) -> Self {
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
        };
        (out, stdout, stderr)
    }

    /// Writes data to stdout, exactly as given.
    pub fn data(&self, text: &str) {
        self.put(&self.stdout, text);
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
        self.put(&self.stderr, &format!("{line}\n"));
    }

    /// Writes to stderr as it is, for a prompt.
    pub fn prompt(&self, text: &str) {
        self.put(&self.stderr, text);
    }

    /// What is drawn on stderr; None where nothing is.
    pub(super) const fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// A reader that has gone away (`golden ls | head`) is not an error: the rest is dropped.
    fn put(&self, sink: &Sink, text: &str) {
        if self.broken.load(Ordering::Relaxed) {
            return;
        }
        let written = match &self.bars {
            Some(bars) => bars.suspend(|| sink.write(text)),
            None => sink.write(text),
        };
        if written.is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
    }
}

/// A writer of whole lines to stderr, for logs.
impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.put(&self.stderr, &super::text::visible(&text));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
