//! Repeated reads: registries that answer from replicas may show a write late.

use std::time::Duration;

use tokio::time::Instant;

use super::Registry;
use crate::reference::Digest;

/// The first pause. It doubles after each read.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The pauses between repeated reads of one value, until a deadline.
#[derive(Debug)]
pub struct Polling {
    start: Instant,
    limit: Duration,
    pause: Duration,
    reads: u32,
    restarts: u32,
}

/// The maximum number of times that the time is started again.
const MOST_RESTARTS: u32 = 200;
/// The pause before the next read when several clients write, in milliseconds. It is random, so
/// that they do not act in step.
const CONTENDED_PAUSES: std::ops::Range<u64> = 30..500;

impl Registry {
    /// Starts polling for a write that the registry may show late.
    #[must_use]
    pub fn polling(&self) -> Polling {
        Polling {
            start: Instant::now(),
            limit: self.inner.env.retry_policy.settle,
            pause: FIRST_PAUSE,
            reads: 1,
            restarts: 0,
        }
    }
}

impl Polling {
    /// Waits before the next read. Returns false once the deadline has passed; the last read
    /// happens at the deadline.
    pub async fn again(&mut self) -> bool {
        let left = self.limit.saturating_sub(self.start.elapsed());
        tokio::time::sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if left.is_zero() {
            return false;
        }
        self.reads += 1;
        true
    }

    /// Starts the time again, because another client writes the same value: the registry is not late,
    /// and the other client will finish. Has no effect after many times.
    pub fn restart(&mut self) {
        if self.restarts < MOST_RESTARTS {
            self.restarts += 1;
            self.start = Instant::now();
            self.pause = Duration::from_millis(fastrand::u64(CONTENDED_PAUSES));
        }
    }

    /// True once half of the time until the deadline has passed.
    #[must_use]
    pub fn is_half_over(&self) -> bool {
        self.start.elapsed() * 2 >= self.limit
    }

    /// The number of reads so far.
    #[must_use]
    pub const fn reads(&self) -> u32 {
        self.reads
    }

    /// The total time allowed, measured from the start.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }
}

/// Counts our writes to a tag that other clients may write at the same time, and that the registry
/// may show late.
#[derive(Debug, Default)]
pub struct Rewrites {
    over: Option<Digest>,
    times: u32,
    last: Option<Digest>,
}

impl Rewrites {
    /// Decides whether to overwrite the digest that is seen now, and records the write if so. If
    /// the digest before our last write is still shown, our write may only be late: it is repeated
    /// once, after half of the time. Any other digest was written by another client.
    pub fn calls_for(&mut self, seen: Option<&Digest>, polling: &mut Polling) -> bool {
        if self.times > 0 && self.last.as_ref() != seen && self.over.as_ref() != seen {
            polling.restart();
        }
        self.last = seen.cloned();
        let is_late = self.times > 0 && self.over.as_ref() == seen;
        let calls = !is_late || (self.times < 2 && polling.is_half_over());
        if calls {
            self.times = if is_late { self.times + 1 } else { 1 };
            self.over = seen.cloned();
        }
        calls
    }

    /// True if a write was recorded.
    #[must_use]
    pub const fn wrote(&self) -> bool {
        self.times > 0
    }
}

/// The number of consecutive equal reads after which a written tag counts as calm.
const CALM_READS: u32 = 3;
/// The same number if another client was seen to write the tag.
const CONTENDED_READS: u32 = 12;
/// The shortest and the longest pause between these reads, in milliseconds. The pauses are random,
/// so that several clients do not act in step.
const CALM_PAUSES: std::ops::Range<u64> = 50..150;

/// A tag is calm for at least this number of times the longest read.
const CALM_TIMES: u32 = 10;

/// Watches a tag after our write. Registries have no compare-and-swap: a client that read the tag
/// before our write may still overwrite it.
#[derive(Debug, Default)]
pub struct Watch {
    last: Option<Digest>,
    reads: u32,
    changes: u32,
    /// The time of the last change.
    since: Option<Instant>,
    /// The end of the last pause.
    paused: Option<Instant>,
    /// The longest time that a read took. Other clients are as slow as this one.
    slowest: Duration,
}

impl Watch {
    /// Records the digest that is seen now. Returns true if several reads in a row saw it for long
    /// enough, or if half of the time until the deadline has passed; else it waits before the next
    /// read.
    pub async fn is_calm(&mut self, seen: Option<&Digest>, polling: &Polling) -> bool {
        let now = Instant::now();
        if let Some(paused) = self.paused {
            self.slowest = self.slowest.max(now - paused);
        }
        if self.last.as_ref() == seen {
            self.reads += 1;
        } else {
            self.last = seen.cloned();
            self.reads = 0;
            self.changes += 1;
            self.since = Some(now);
        }
        let required = if self.changes > 1 || polling.restarts > 0 {
            CONTENDED_READS
        } else {
            CALM_READS
        };
        let calm = self.since.map_or(Duration::ZERO, |since| now - since);
        let is_long = calm >= self.slowest * CALM_TIMES;
        if self.reads >= required && is_long || polling.is_half_over() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(CALM_PAUSES))).await;
        self.paused = Some(Instant::now());
        false
    }
}
