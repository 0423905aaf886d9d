//! Looking again for something that a registry shows late: some registries answer reads from replicas.

use std::time::Duration;

use tokio::time::Instant;

use super::Registry;
use crate::reference::Digest;

/// The first pause; it doubles with each look.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The pauses between the looks at one thing, until a deadline.
#[derive(Debug)]
pub struct Polling {
    start: Instant,
    limit: Duration,
    pause: Duration,
}

impl Registry {
    /// Begins to wait for what the registry may show late.
    #[must_use]
    pub fn polling(&self) -> Polling {
        Polling {
            start: Instant::now(),
            limit: self.inner.env.retry_policy.settle,
            pause: FIRST_PAUSE,
        }
    }
}

impl Polling {
    /// Waits before the next look. False once the deadline has passed; the last look is made at the deadline.
    pub async fn again(&mut self) -> bool {
        let left = self.limit.saturating_sub(self.start.elapsed());
        tokio::time::sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        !left.is_zero()
    }

    /// Whether half of the time until the deadline has passed.
    #[must_use]
    pub fn is_half_over(&self) -> bool {
        self.start.elapsed() * 2 >= self.limit
    }

    /// The time until the deadline, from the start.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }
}

/// The writes of something that another client may write at the same time, and that a registry may show late.
#[derive(Debug, Default)]
pub struct Rewrites {
    over: Option<Digest>,
    times: u32,
}

impl Rewrites {
    /// Whether to write over what is seen now, and notes that it is done. What is still shown as it was before the last
    /// write is late: it is written over once more after half of the time. Anything else is another client's.
    pub fn calls_for(&mut self, seen: Option<&Digest>, polling: &Polling) -> bool {
        let is_late = self.times > 0 && self.over.as_ref() == seen;
        let calls = !is_late || (self.times < 2 && polling.is_half_over());
        if calls {
            self.times = if is_late { self.times + 1 } else { 1 };
            self.over = seen.cloned();
        }
        calls
    }
}
