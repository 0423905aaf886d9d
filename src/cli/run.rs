//! Runs a command until it ends or a signal stops it, and returns the exit code.

use std::fs::File;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
#[cfg(unix)]
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;

use super::watchdog::{ComputeLimits, Excess, watched};
use super::{Context, Exit, Failure};
use crate::event::Events;
use crate::report::{self, EventLog, Folding, ReportingOptions};
use crate::workspace::fs::{self, OutputError};

/// The maximum time for cleanup after an interruption.
const CLEANUP: Duration = Duration::from_secs(3);
/// The maximum time from a signal to the end of the process.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// The file of `--events` with its first line; `None` without the option. Fails if the file cannot
/// be written.
pub(super) fn event_log(
    context: &Context,
    command: &'static str,
) -> Result<Option<EventLog>, Failure> {
    let Some(path) = &context.globals.events else {
        return Ok(None);
    };
    let path = fs::output(&context.cwd.join(path))?;
    let file = File::create(&path).map_err(|source| OutputError::File {
        path: path.clone(),
        source,
    })?;
    let run = report::LoggedRun {
        command,
        start: context.now,
    };
    Ok(Some(EventLog::new(path, file, context.out.direct(), run)))
}

/// The CI service that golden runs in, if its log can fold lines.
fn folding(context: &Context) -> Option<Folding> {
    let is_true = |name| context.var(name) == Some("true");
    if is_true("GITHUB_ACTIONS") {
        Some(Folding::GitHub)
    } else if is_true("GITLAB_CI") {
        Some(Folding::GitLab)
    } else {
        None
    }
}

/// The result of a command that a signal stops.
#[derive(Debug, Clone, Copy)]
pub(super) enum OnSignal {
    /// The command ends as intended.
    Done,
    /// The command is interrupted, with the hint for the user.
    Interrupted(Option<&'static str>),
}

/// Runs a command, shows its events, and writes them to `log`. A panic counts as a failure; the
/// panic hook has reported it already.
pub(super) fn to_end<F>(
    mut context: Context,
    log: Option<EventLog>,
    on_signal: OnSignal,
    command: impl FnOnce(Context) -> F,
) -> ExitCode
where
    F: Future<Output = Result<Exit, Failure>>,
{
    // tokio panics if the system refuses to start a thread.
    let created = catch_unwind(|| {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
    });
    let runtime = match created {
        Ok(Ok(runtime)) => runtime,
        Ok(Err(error)) => return end(&context, Err(Failure::new(Exit::Failed, error))),
        Err(_) => return end(&context, Err(Failure::shown(Exit::Failed))),
    };
    let shown = Context {
        events: Events::silent(),
        ..context.clone()
    };
    let alarm = shown.clone();
    let work = async {
        let (events, receiver) = Events::channel();
        context.events = events.clone();
        let reporting = report::spawn(
            &context.out,
            receiver,
            ReportingOptions {
                verbose: context.globals.verbose,
                start: context.now,
                folding: folding(&context),
                log,
            },
        );
        let command = watched(command(context), ComputeLimits::default(), move |excess| {
            stop(&alarm, excess);
        });
        let result = until_interrupted(command, on_signal).await;
        // `until_interrupted` compares numbers of tasks, so the task that shows the events must run
        // until it returns.
        drop(events);
        let failed = result.as_ref().err();
        let error = failed.and_then(|failure| failure.error.as_ref());
        let error = error.map(|error| report::chain(error.as_ref()));
        let exit = exit_of(&shown, &result);
        reporting.finish(exit.code(), error.as_deref()).await;
        result
    };
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
    // A task that still reads from a terminal must not delay the exit.
    runtime.shutdown_background();
    end(
        &shown,
        result.unwrap_or_else(|_| Err(Failure::shown(Exit::Failed))),
    )
}

/// Ends the process because of a computation that exceeds a limit. Such a computation cannot be
/// cancelled.
#[expect(clippy::exit, reason = "nothing else stops a computation")]
fn stop(context: &Context, excess: Excess) {
    Failure::new(Exit::Failed, anyhow::anyhow!("{excess}"))
        .hint("a template, an expression or a pattern of the workspace is too complex")
        .show(context);
    std::process::exit(Exit::Failed.code().into());
}

/// Runs `command` until it ends or a signal arrives. A signal drops the command, which cancels its
/// work. Tasks that clean up elsewhere, such as a build on an engine, get a short time to finish.
async fn until_interrupted(
    command: impl Future<Output = Result<Exit, Failure>>,
    on_signal: OnSignal,
) -> Result<Exit, Failure> {
    let interrupted = listen();
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    {
        let command = std::pin::pin!(command);
        tokio::select! {
            biased;
            result = command => return result,
            () = interrupted.notified() => {}
        }
    }
    let idle = async {
        while tasks() > before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // A timeout does not change the result.
    drop(tokio::time::timeout(CLEANUP, idle).await);
    let interrupted = Failure::interrupted();
    match on_signal {
        OnSignal::Done => Ok(Exit::Done),
        OnSignal::Interrupted(Some(hint)) => Err(interrupted.hint(hint)),
        OnSignal::Interrupted(None) => Err(interrupted),
    }
}

/// Listens for ^C, SIGTERM and SIGHUP in a separate task, so that a signal is received even while
/// the command computes. The second signal ends the process immediately. So does the first one, with
/// a delay, if the command does not stop.
#[expect(clippy::exit, reason = "a signal must end the process in any case")]
fn listen() -> Arc<Notify> {
    let first = Arc::new(Notify::new());
    let notify = Arc::clone(&first);
    let mut signals = Signals::new();
    drop(tokio::spawn(async move {
        signals.next().await;
        notify.notify_one();
        drop(tokio::time::timeout(STOP_LIMIT, signals.next()).await);
        std::process::exit(Exit::Interrupted.code().into());
    }));
    first
}

/// The signals that end a process. If no handler can be installed for a signal, its default action
/// applies.
struct Signals {
    #[cfg(unix)]
    listening: Vec<tokio::signal::unix::Signal>,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !hangup_is_ignored() {
            kinds.push(SignalKind::hangup());
        }
        Self {
            listening: kinds
                .into_iter()
                .filter_map(|kind| signal(kind).ok())
                .collect(),
        }
    }

    #[cfg(not(unix))]
    const fn new() -> Self {
        Self {}
    }

    /// Waits for the next signal.
    #[cfg(unix)]
    async fn next(&mut self) {
        std::future::poll_fn(|context| {
            let mut ready = self
                .listening
                .iter_mut()
                .map(|signal| signal.poll_recv(context).is_ready());
            if ready.any(|is_ready| is_ready) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Waits for the next signal.
    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// True if the process inherited that SIGHUP is ignored, for example from `nohup`.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let status = fs::read(std::path::Path::new("/proc/self/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

/// The exit code of the process: data that could not be written is a failure.
fn exit_of(context: &Context, result: &Result<Exit, Failure>) -> Exit {
    match result {
        Ok(Exit::Done) if context.out.lost().is_some() => Exit::Failed,
        Ok(exit) => *exit,
        Err(failure) => failure.exit,
    }
}

/// Shows a failure, and returns the exit code of the process.
pub(super) fn end(context: &Context, result: Result<Exit, Failure>) -> ExitCode {
    let exit = exit_of(context, &result);
    if let Err(failure) = result {
        failure.show(context);
    }
    if let Some(error) = context.out.lost() {
        context
            .out
            .error(&format!("error: cannot write to stdout: {error}"));
    }
    ExitCode::from(exit.code())
}
