//! Parts of a stream, in memory.

/// The maximum number of list starts that are kept.
pub(super) const MAX_STARTS: usize = 16;

/// A part of a stream. Its bytes are collected while the stream passes.
#[derive(Debug, Default)]
pub(super) struct StreamPart {
    start: u64,
    length: u64,
    bytes: Vec<u8>,
}

impl StreamPart {
    /// A part that starts at a position, and has at most this length.
    pub(super) const fn new(start: u64, length: u64) -> Self {
        Self {
            start,
            length,
            bytes: Vec::new(),
        }
    }

    /// The position in the stream.
    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// The bytes that have passed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds the missing bytes of the stream that are in `window`, which starts at `at`.
    pub(super) fn feed(&mut self, at: u64, window: &[u8]) {
        let missing = self.length - self.bytes.len() as u64;
        let Some(skipped) = (self.start + self.bytes.len() as u64).checked_sub(at) else {
            return;
        };
        let rest = usize::try_from(skipped)
            .ok()
            .and_then(|at| window.get(at..));
        let rest = rest.unwrap_or_default();
        let taken = usize::try_from(missing).map_or(rest.len(), |missing| missing.min(rest.len()));
        self.bytes.extend_from_slice(&rest[..taken]);
    }
}

/// The positions at which lists seem to start.
#[derive(Debug, Default)]
pub(super) struct ListStarts(Vec<StreamPart>);

impl ListStarts {
    /// Adds a position, unless there are already [`MAX_STARTS`].
    pub(super) fn add(&mut self, start: u64, length: u64) {
        self.add_up_to(MAX_STARTS, start, length);
    }

    /// Adds a position, unless there are already `count`.
    pub(super) fn add_up_to(&mut self, count: usize, start: u64, length: u64) {
        if self.0.len() < count {
            self.0.push(StreamPart::new(start, length));
        }
    }

    /// Adds the missing bytes of every part, see [`StreamPart::feed`].
    pub(super) fn feed(&mut self, at: u64, window: &[u8]) {
        for place in &mut self.0 {
            place.feed(at, window);
        }
    }

    /// The parts, in the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = &StreamPart> {
        self.0.iter()
    }
}
