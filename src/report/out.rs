//! Where output goes: data to stdout, all else to stderr. Made once, or in memory for tests.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};

/// The two streams and what is known of them. Cheap to clone; whole strings are written under one lock, so lines never tear.
#[derive(Clone)]
pub struct Out {
    stdout: Sink,
    stderr: Sink,
    /// Whether diagnostics and progress may be coloured.
    pub color: bool,
    /// Whether stderr is a terminal that progress can be drawn on.
    pub interactive: bool,
    /// Columns to wrap at.
    pub width: usize,
    /// Set when a reader went away; writing then does nothing more.
    broken: Arc<std::sync::atomic::AtomicBool>,
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
                buffer
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .extend_from_slice(text.as_bytes());
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
    pub fn process(color: bool, progress: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            stdout: Sink::Stdout,
            stderr: Sink::Stderr,
            color,
            interactive: terminal && progress,
            width: 100,
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
            width,
            broken: Arc::default(),
        };
        (out, stdout, stderr)
    }

    /// Writes data to stdout, exactly as given.
    pub fn data(&self, text: &str) {
        self.put(&self.stdout, text);
    }

    /// Writes a line to stderr.
    pub fn message(&self, line: &str) {
        self.put(&self.stderr, &format!("{line}\n"));
    }

    /// A reader that has gone away (`golden ls | head`) is not an error: the rest is dropped.
    fn put(&self, sink: &Sink, text: &str) {
        use std::sync::atomic::Ordering;
        if !self.broken.load(Ordering::Relaxed) && sink.write(text).is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
    }
}
