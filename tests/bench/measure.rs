//! Time and memory of a child process.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The cost of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// The elapsed time.
    pub(crate) time: Duration,
    /// The peak resident memory, in bytes.
    pub(crate) peak: u64,
}

/// Runs a command until it exits, and panics if it fails.
pub(crate) fn run(command: &mut Command) -> Cost {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let errors = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || std::io::read_to_string(errors).unwrap_or_default());
    let watcher = std::thread::spawn({
        let status = format!("/proc/{}/status", child.id());
        move || watch(&status)
    });
    let status = child.wait().unwrap();
    let time = started.elapsed();
    let (errors, peak) = (reader.join().unwrap(), watcher.join().unwrap());
    assert!(status.success(), "{command:?}: {status}\n{errors}");
    Cost { time, peak }
}

/// The peak memory of a process, read until it exits. The kernel keeps the maximum, so only a peak
/// in the last two milliseconds can be missed.
fn watch(status: &str) -> u64 {
    let mut peak = 0;
    loop {
        #[expect(clippy::disallowed_methods, reason = "a file of the kernel")]
        let Ok(text) = std::fs::read_to_string(status) else {
            return peak;
        };
        // A zombie process has no memory lines.
        let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else {
            return peak;
        };
        peak = line
            .trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .map_or(peak, |kib| kib * 1024);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The median of the costs of several runs.
pub(crate) fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by_key(|cost| cost.time);
    let peak = costs.iter().map(|cost| cost.peak).max().unwrap_or_default();
    Cost {
        time: costs[costs.len() / 2].time,
        peak,
    }
}

/// Calls `run` `times` times, each with its number, and returns the median.
pub(crate) fn repeat(times: usize, mut run: impl FnMut(usize) -> Cost) -> Cost {
    median((0..times).map(&mut run).collect())
}

/// Runs several commands in sequence, and returns their total cost.
pub(crate) fn sequence(commands: impl IntoIterator<Item = Command>) -> Cost {
    commands
        .into_iter()
        .map(|mut command| run(&mut command))
        .fold(
            Cost {
                time: Duration::ZERO,
                peak: 0,
            },
            |sum, one| Cost {
                time: sum.time + one.time,
                peak: sum.peak.max(one.peak),
            },
        )
}
