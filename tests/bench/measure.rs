//! Time and memory of a child process.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a run cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// From start to end.
    pub(crate) time: Duration,
    /// The highest resident memory, in bytes.
    pub(crate) peak: u64,
}

/// Runs a command to its end, which must be success.
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

/// The high-water mark of a process, asked until it is gone; the kernel keeps the mark, so no peak is missed but one
/// in the last two milliseconds.
fn watch(status: &str) -> u64 {
    let mut peak = 0;
    loop {
        #[expect(
            clippy::disallowed_methods,
            reason = "the kernel's file about a process"
        )]
        let Ok(text) = std::fs::read_to_string(status) else {
            return peak;
        };
        // A zombie has no memory lines.
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

/// The costs of several runs, by median.
pub(crate) fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by_key(|cost| cost.time);
    let peak = costs.iter().map(|cost| cost.peak).max().unwrap_or_default();
    Cost {
        time: costs[costs.len() / 2].time,
        peak,
    }
}

/// Runs what `run` does `times` times, each with its number, and gives the median.
pub(crate) fn repeat(times: usize, mut run: impl FnMut(usize) -> Cost) -> Cost {
    median((0..times).map(&mut run).collect())
}

/// Several commands, one after the other, as one cost.
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
