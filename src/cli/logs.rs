//! Logs: `-v` shows the decisions of golden, `-vv` every request. Logs of libraries are not shown,
//! because libraries do not mask secrets.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Context;

/// Sends logs to stderr, at the level that `-v` sets.
pub(super) fn install(context: &Context) {
    let level = match context.globals.verbose {
        0 => return,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let out = context.out.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || out.clone())
        .with_ansi(false)
        .with_target(false)
        .without_time();
    let filter = Targets::new().with_target("golden", level);
    // This fails only in tests that run several commands in one process: a subscriber exists
    // already.
    drop(
        tracing_subscriber::registry()
            .with(lines)
            .with(filter)
            .try_init(),
    );
}
