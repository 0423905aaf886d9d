//! The output streams: data goes to stdout, everything else to stderr. Tests use streams in memory.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use indicatif::{MultiProgress, ProgressDrawTarget};

/// The two output streams and their style. It is cheap to clone. Each string is written under one
/// lock, so that lines of different writers are never mixed.
#[derive(Clone)]
pub struct Out {
    stdout: Sink,
    stderr: Sink,
    /// True if diagnostics and progress may be coloured.
    pub color: bool,
    /// True if data on stdout may be coloured.
    pub data_color: bool,
    /// True if progress is drawn, which requires a terminal.
    pub interactive: bool,
    /// True if only errors are printed.
    pub quiet: bool,
    /// The line width for wrapping, in columns.
    pub width: usize,
    /// The progress bars on stderr, which are hidden during each write.
    bars: Option<MultiProgress>,
    broken: Arc<BrokenStreams>,
    queue: Arc<Queue>,
}

/// Shows all pending events.
type Drain = Box<dyn FnMut() + Send>;

/// Shows pending events before each write, so that the output is in the order in which it was
/// produced.
#[derive(Default)]
struct Queue(Mutex<Option<Drain>>);

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Drain>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The failed streams. Nothing more is written to a failed stream; the other stream is still used.
#[derive(Default)]
struct BrokenStreams {
    stdout: AtomicBool,
    stderr: AtomicBool,
    /// The error of a failed write to stdout, unless the reader closed the pipe.
    lost: OnceLock<String>,
}

/// The style of the output streams of the process.
#[derive(Debug, Clone, Copy)]
pub struct OutputStyle {
    /// True if diagnostics and progress may be coloured.
    pub color: bool,
    /// True if data on stdout may be coloured.
    pub data_color: bool,
    /// True if progress is drawn.
    pub interactive: bool,
    /// True if only errors are printed.
    pub quiet: bool,
    /// The line width for wrapping, in columns.
    pub width: usize,
}

/// The content of a stream in memory.
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
    /// Creates the output on stdout and stderr of the process.
    #[must_use]
    pub fn process(style: OutputStyle) -> Self {
        let bars = || MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Self {
            stdout: Sink::Stdout,
            stderr: Sink::Stderr,
            color: style.color,
            data_color: style.data_color,
            interactive: style.interactive,
            quiet: style.quiet,
            width: style.width,
            bars: style.interactive.then(bars),
            broken: Arc::default(),
            queue: Arc::default(),
        }
    }

    /// Creates streams in memory. The second and third value contain the output to stdout and
    /// stderr.
    #[must_use]
    pub fn memory(width: usize) -> (Self, Captured, Captured) {
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let out = Self {
            stdout: Sink::Memory(stdout.clone()),
            stderr: Sink::Memory(stderr.clone()),
            color: false,
            data_color: false,
            interactive: false,
            quiet: false,
            width,
            bars: None,
            broken: Arc::default(),
            queue: Arc::default(),
        };
        (out, stdout, stderr)
    }

    /// Writes data to stdout, unchanged.
    pub fn data(&self, text: &str) {
        let written = self.put(&self.stdout, &self.broken.stdout, text);
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.broken.lost.get_or_init(|| error.to_string());
        }
    }

    /// The error of a failed write to stdout; `None` if all data was written. A closed pipe
    /// (`golden ls | head`) does not count as an error.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        self.broken.lost.get().map(String::as_str)
    }

    /// Writes one JSON document to stdout, with `"schema": 1` as its first key. A value that is not
    /// an object becomes the value of `items`.
    pub fn json(&self, value: &impl serde::Serialize) {
        self.data(&super::json::with_schema(value));
    }

    /// Writes one JSON document that has its own schema to stdout.
    pub fn document(&self, document: &serde_json::Value) {
        self.data(&super::json::text(document));
    }

    /// Writes a line to stderr, unless only errors are printed.
    pub fn message(&self, line: &str) {
        if !self.quiet {
            self.error(line);
        }
    }

    /// Writes a line to stderr, even if only errors are printed.
    pub fn error(&self, line: &str) {
        self.put_err(&format!("{line}\n"));
    }

    /// Writes a prompt to stderr, without a newline.
    pub fn prompt(&self, text: &str) {
        self.put_err(text);
    }

    /// The progress bars on stderr; `None` if progress is not drawn.
    pub(super) const fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// The same streams without the queue: pending events are not shown first. The reporter of
    /// these events uses it.
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

    /// Removes the function that [`Self::attach`] set.
    pub(super) fn detach(&self) {
        *self.queue.lock() = None;
    }

    /// Writes to stderr. Errors are ignored: if stderr fails, there is no place to report it.
    fn put_err(&self, text: &str) {
        drop(self.put(&self.stderr, &self.broken.stderr, text));
    }

    /// Writes to a stream, after the pending events. After the first error, output to this stream
    /// is dropped.
    fn put(&self, sink: &Sink, broken: &AtomicBool, text: &str) -> std::io::Result<()> {
        // The lock is held during the write, so that another writer cannot write between the events
        // and this text.
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

/// Writes log lines to stderr.
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
