//! Logs: at -v what golden decides, at -vv every request. Only golden's own; libraries know no secrets from text.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Context;

/// Sends logs to stderr as `-v` asks.
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
    // A subscriber is there already only in tests that run several commands in one process.
    drop(
        tracing_subscriber::registry()
            .with(lines)
            .with(filter)
            .try_init(),
    );
}
