//! Ends the process if the command computes for too long, or with too much memory, without waiting
//! for anything. Templates, expressions, globs and patterns of a workspace can cause such a
//! computation, and nothing else can stop it.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use crate::workspace::fs;

/// The time between two checks.
const INTERVAL: Duration = Duration::from_millis(100);

/// The limits of a computation.
#[derive(Debug, Clone, Copy)]
pub(super) struct ComputeLimits {
    pub(super) time: Duration,
    /// The memory of the process in bytes, once the computation has lasted for a second.
    pub(super) memory: u64,
}

impl Default for ComputeLimits {
    fn default() -> Self {
        // Hashing very large files also counts as a computation.
        Self {
            time: Duration::from_mins(5),
            memory: 2 << 30,
        }
    }
}

/// The exceeded limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// The time limit.
    Time(Duration),
    /// The limit of memory in bytes.
    Memory(u64),
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(
                f,
                "a computation did not end within {} minutes",
                time.as_secs() / 60
            ),
            Self::Memory(bytes) => {
                write!(
                    f,
                    "a computation needs more than {} GiB of memory",
                    bytes >> 30
                )
            }
        }
    }
}

/// Runs `command`. Another thread calls `stop` if a computation of it exceeds a limit.
pub(super) async fn watched<F: Future>(
    command: F,
    limits: ComputeLimits,
    stop: impl FnOnce(Excess) + Send + 'static,
) -> F::Output {
    let start = Instant::now();
    // The start of the current computation, in milliseconds; 0 while the command waits.
    let computing = Arc::new(AtomicU64::new(0));
    let watching = Arc::downgrade(&computing);
    let watch = move || {
        if let Some(excess) = watch(&watching, start, limits) {
            stop(excess);
        }
    };
    // If the system refuses the thread, the command runs without limits.
    drop(std::thread::Builder::new().spawn(watch));
    let mut command = pin!(command);
    std::future::poll_fn(move |context: &mut Context<'_>| {
        computing.store(milliseconds(start) + 1, Ordering::Relaxed);
        let polled: Poll<F::Output> = command.as_mut().poll(context);
        computing.store(0, Ordering::Relaxed);
        polled
    })
    .await
}

/// Waits until a limit is exceeded. Returns `None` once the command has ended.
fn watch(computing: &Weak<AtomicU64>, start: Instant, limits: ComputeLimits) -> Option<Excess> {
    loop {
        std::thread::sleep(INTERVAL);
        let since = computing.upgrade()?.load(Ordering::Relaxed);
        if since == 0 {
            continue;
        }
        let time = Duration::from_millis(milliseconds(start).saturating_sub(since));
        if time > limits.time {
            return Some(Excess::Time(limits.time));
        }
        if time > Duration::from_secs(1) && memory().is_some_and(|bytes| bytes > limits.memory) {
            return Some(Excess::Memory(limits.memory));
        }
    }
}

fn milliseconds(start: Instant) -> u64 {
    start.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}

/// The memory of this process in bytes, if the system reports it.
#[cfg(target_os = "linux")]
fn memory() -> Option<u64> {
    let status = fs::read(std::path::Path::new("/proc/self/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(not(target_os = "linux"))]
const fn memory() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// The excess of a command that waits, computes and waits again.
    async fn excess(time: u64, memory: u64, computation: u64) -> Option<Excess> {
        let (sender, receiver) = channel();
        let limits = ComputeLimits {
            time: Duration::from_millis(time),
            memory,
        };
        let command = async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            std::thread::sleep(Duration::from_millis(computation));
            tokio::time::sleep(Duration::from_millis(400)).await;
        };
        watched(command, limits, move |excess| sender.send(excess).unwrap()).await;
        receiver.try_recv().ok()
    }

    #[tokio::test]
    async fn only_a_computation_without_a_pause_is_stopped() {
        assert_eq!(excess(300, u64::MAX, 10).await, None);
        assert_eq!(
            excess(300, u64::MAX, 800).await,
            Some(Excess::Time(Duration::from_millis(300)))
        );
        #[cfg(target_os = "linux")]
        assert_eq!(
            excess(60_000, 1 << 20, 1500).await,
            Some(Excess::Memory(1 << 20))
        );
    }
}
