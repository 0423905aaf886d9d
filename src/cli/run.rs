//! Runs a command to its end, or to the signal that ends it, and says how the process ends.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use super::{Context, Exit, Failure};
use crate::event::Events;
use crate::report;

/// How long what was begun may take to clean up after itself once the command was interrupted.
const CLEANUP: Duration = Duration::from_secs(3);

/// Runs a command with its events shown. A panic has been reported by the hook and is a failure.
pub(super) fn to_end<F>(mut context: Context, command: impl FnOnce(Context) -> F) -> ExitCode
where
    F: Future<Output = Result<Exit, Failure>>,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(&context, Err(Failure::new(Exit::Failed, error))),
    };
    let shown = Context { events: Events::silent(), ..context.clone() };
    let work = async {
        let (events, receiver) = Events::channel();
        context.events = events;
        let reporting = report::spawn(&context.out, receiver, context.globals.verbose);
        let result = until_interrupted(command(context)).await;
        reporting.finish().await;
        result
    };
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
    // Whoever still reads from a terminal must not hold up the end.
    runtime.shutdown_background();
    end(&shown, result.unwrap_or_else(|_| Err(Failure::shown(Exit::Failed))))
}

/// Runs `command` unless a signal comes first. Dropping it cancels all that it does; what that leaves to be cleaned up
/// elsewhere (a build on an engine) gets a moment, or until a second signal.
async fn until_interrupted(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    {
        let command = std::pin::pin!(command);
        tokio::select! {
            biased;
            result = command => return result,
            () = signal() => {}
        }
    }
    let idle = async {
        while tasks() > before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(CLEANUP, idle) => {}
        () = signal() => {}
    }
    Err(Failure::interrupted())
}

/// Waits for ^C or SIGTERM. Where a signal cannot be listened to, it ends the process as it always does.
async fn signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}

/// Shows a failure and turns the result into the process's exit code.
pub(super) fn end(context: &Context, result: Result<Exit, Failure>) -> ExitCode {
    let exit = match result {
        Ok(exit) => exit,
        Err(failure) => {
            if let Some(error) = &failure.error {
                report::failure(&context.out, error.as_ref(), &failure.hints);
            }
            failure.exit
        }
    };
    ExitCode::from(exit.code())
}
